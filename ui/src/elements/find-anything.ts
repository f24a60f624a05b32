// The palette: Ctrl K anywhere. The list is the server's own search page, without its frame; arrows walk it.
const dialog = document.getElementById("palette");

class FindAnything extends HTMLElement {
  private input!: HTMLInputElement;
  private list!: HTMLElement;
  private timer = 0;
  private asked: AbortController | null = null;

  connectedCallback(): void {
    this.input = this.querySelector("input")!;
    this.list = this.querySelector("#palette_found")!;
    this.input.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => void this.ask(), 120);
    });
    this.addEventListener("keydown", (event) => this.walk(event));
  }

  open(): void {
    (dialog as HTMLDialogElement).showModal();
    this.input.select();
    void this.ask();
  }

  private async ask(): Promise<void> {
    this.asked?.abort(); // the last answer wins
    this.asked = new AbortController();
    const address = `/search?part=found&q=${encodeURIComponent(this.input.value)}`;
    try {
      const answer = await fetch(address, { signal: this.asked.signal });
      if (answer.ok && !answer.redirected) this.list.innerHTML = await answer.text(); // our own server's, escaped there
    } catch {
      return; // abandoned, or away: what stands there stays
    }
    this.mark(this.links()[0]);
  }

  private links(): HTMLAnchorElement[] {
    return [...this.list.querySelectorAll("a")];
  }

  private mark(link: HTMLAnchorElement | undefined): void {
    for (const one of this.links()) one.removeAttribute("data-on");
    link?.setAttribute("data-on", "");
    link?.scrollIntoView({ block: "nearest" });
    if (link && !link.id) link.id = `palette_${this.links().indexOf(link)}`;
    if (link) this.input.setAttribute("aria-activedescendant", link.id);
  }

  private walk(event: KeyboardEvent): void {
    const links = this.links();
    const now = links.findIndex((link) => link.hasAttribute("data-on"));
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && links.length) {
      event.preventDefault();
      this.mark(links[(now + step + links.length) % links.length]);
    } else if (event.key === "Enter" && links[now]) {
      event.preventDefault();
      links[now].click();
    }
  }
}
customElements.define("find-anything", FindAnything);

const openPalette = (): void => document.querySelector<FindAnything>("find-anything")?.open();
document.addEventListener("click", (event) => {
  if (!(event.target as Element).closest("[data-palette]") || (event as MouseEvent).ctrlKey) return;
  event.preventDefault();
  openPalette();
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && dialog) {
    event.preventDefault();
    openPalette();
  }
});
export {};
