// <select-rows data-said="{n} of {all} selected" data-all="9,812"> around a form with a box in each row: says how many
// are ticked, ticks a whole page or a range (Shift), and shows the bar of acts only while somebody is chosen.
class SelectRows extends HTMLElement {
  private last: HTMLInputElement | null = null;

  connectedCallback(): void {
    const page = this.querySelector<HTMLInputElement>("input[data-page]");
    if (!this.all() || !page) return;
    page.hidden = false;
    this.addEventListener("click", (event) => {
      const box = event.target as HTMLInputElement;
      if (!this.boxes().includes(box)) return;
      if ((event as MouseEvent).shiftKey && this.last) this.range(this.last, box);
      this.last = box;
    });
    this.addEventListener("change", (event) => {
      if (event.target === page) for (const box of this.boxes()) box.checked = page.checked;
      this.say(page);
    });
    this.say(page); // boxes stay ticked when one comes back by the browser's history
  }

  private boxes(): HTMLInputElement[] {
    return [...this.querySelectorAll<HTMLInputElement>("input[name=id]")];
  }

  private all(): HTMLInputElement | null {
    return this.querySelector("input[name=all]");
  }

  private range(from: HTMLInputElement, to: HTMLInputElement): void {
    const boxes = this.boxes();
    const [low, high] = [boxes.indexOf(from), boxes.indexOf(to)].sort((a, b) => a - b);
    for (const box of boxes.slice(low, high + 1)) box.checked = to.checked;
  }

  private say(page: HTMLInputElement): void {
    const boxes = this.boxes();
    const ticked = boxes.filter((box) => box.checked).length;
    const all = this.all()?.checked ?? false;
    page.checked = ticked === boxes.length;
    page.indeterminate = ticked > 0 && ticked < boxes.length;
    this.toggleAttribute("data-any", ticked > 0 || all);
    const whole = this.dataset.all ?? "";
    const said = (this.dataset.said ?? "").replace("{n}", all ? whole : String(ticked)).replace("{all}", whole);
    const output = this.querySelector("output");
    if (output) output.textContent = said;
    for (const box of boxes) box.closest("tr")?.toggleAttribute("data-chosen", box.checked || all);
  }
}
customElements.define("select-rows", SelectRows);
export {};
