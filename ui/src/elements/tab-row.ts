/** `<tab-row>` around the list of tabs: on a phone the row is wider than the page, and begins where one is. */
class TabRow extends HTMLElement {
  private readonly watch = new ResizeObserver(() => this.show());

  connectedCallback(): void {
    this.watch.observe(this);
  }

  disconnectedCallback(): void {
    this.watch.disconnect();
  }

  private show(): void {
    const row = this.querySelector("ul");
    const here = row?.querySelector("[aria-current]");
    if (!row || !here) return;
    const [outer, inner] = [row.getBoundingClientRect(), here.getBoundingClientRect()];
    row.scrollLeft += inner.left + inner.width / 2 - (outer.left + outer.width / 2);
  }
}
customElements.define("tab-row", TabRow);
export {};
