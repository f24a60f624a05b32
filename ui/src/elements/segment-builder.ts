// <segment-builder data-figures data-leave> around the form of a rule. Each change posts the form and morphs the tree,
// each keystroke asks for new figures; the last answer wins. Without script the same buttons post the whole page.
import htmx from "htmx.org/dist/htmx.esm.js";

class SegmentBuilder extends HTMLElement {
  private form!: HTMLFormElement;
  private timer = 0;
  private typed = 0; // what was typed after a question was asked makes its answer stale
  private sent = 0;
  private stale = false;
  private asked = "";
  private open: string[] = [];
  private waiting = 0;
  private later = 0;
  private touched = 0; // when something was typed last
  private lettered = 0; // when a letter was pressed last
  private drawn: Promise<unknown> = Promise.resolve();

  connectedCallback(): void {
    this.form = this.querySelector("form")!;
    this.asked = this.rule();
    this.form.addEventListener("input", () => {
      this.typed++;
      clearTimeout(this.timer);
      // The first letter after a rest is answered at once, a quick run of them when it pauses.
      const rested = performance.now() - this.touched > 300;
      this.touched = performance.now();
      this.timer = window.setTimeout(() => this.count(), rested ? 0 : 120);
    });
    this.form.addEventListener("change", (event) => {
      const target = event.target as HTMLElement;
      this.typed++; // a field that was picked types nothing, and an answer on its way knows nothing of it
      clearTimeout(this.later);
      // Who types the first letters of an option changes the select with each of them: drawn between two letters it
      // would forget the first ones.
      const spelt = target instanceof HTMLSelectElement && performance.now() - this.lettered < 300;
      if (target.closest("#tree")) this.later = window.setTimeout(() => this.draw("draw"), spelt ? 300 : 0);
      else if (target.id === "purpose") this.count();
    });
    this.form.addEventListener("submit", (event) => {
      const button = event.submitter as HTMLButtonElement | null;
      if (button?.name !== "act" || button.classList.contains("primary") || "whole" in button.dataset) return;
      event.preventDefault();
      if (button.getAttribute("aria-disabled") !== "true") this.draw(button.value);
    });
    this.form.addEventListener("keydown", (event) => this.key(event));
    this.addEventListener("htmx:before:swap", (event) => {
      const ctx = (event as CustomEvent).detail.ctx;
      if (ctx.target?.id !== "tree") return;
      this.stale = this.sent !== this.typed;
      // As they are now: she may have opened one while the answer was on its way.
      this.open = [...this.form.querySelectorAll("#tree details[open]")].map((one) => one.id);
      // The morph follows at once; what the browser shows is settled before the next key can be pressed, for later it
      // would take back what that key chose.
      if (this.stale) event.preventDefault();
      else queueMicrotask(() => this.settle(this.open));
    });
    window.addEventListener("pagehide", () => navigator.sendBeacon(this.dataset.leave!, new FormData(this.form)));
    this.follow();
    // Not before the first frame: what is not drawn yet cannot take the focus, and the browser may have given it to a
    // select that a picker has covered since.
    requestAnimationFrame(() => {
      const now = document.activeElement;
      if (!now || now === document.body || now.hasAttribute("autofocus")) this.focusFirst();
    });
  }

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.key.length === 1) this.lettered = performance.now();
    if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      const verb = event.key === "ArrowUp" ? "up" : "down";
      const mover = target.closest(".rule, .rule-group")?.querySelector<HTMLElement>(`.tools [value^="${verb}:"]`);
      if (!mover) return;
      event.preventDefault();
      mover.click();
    } else if (event.key === "Enter" && target.id === "name") {
      event.preventDefault();
      this.form.querySelector<HTMLElement>("button.primary")!.click();
    }
  }

  // One after the other: two quick clicks on "Add a rule" add two.
  private draw(act: string): void {
    if (act === "draw" && this.waiting > 1) return;
    this.waiting++;
    this.drawn = this.drawn.then(async () => {
      do {
        this.stale = false;
        this.sent = this.typed;
        const address = this.form.getAttribute("action")!;
        await htmx.ajax("POST", address, { source: this.form, target: "#tree", swap: "outerMorph", values: { act } });
      } while (this.stale);
      if (this.rule() !== this.asked) this.count();
    }).catch(() => undefined).finally(() => this.waiting--); // a question that failed does not stop the next one
  }

  // A morph changes attributes; what the person sees are properties.
  private settle(open: string[]): void {
    const tree = this.form.querySelector("#tree")!;
    for (const one of tree.querySelectorAll("input")) {
      if (one.type === "checkbox") one.checked = one.defaultChecked;
      else if (one.value !== one.defaultValue) one.value = one.defaultValue;
    }
    for (const one of tree.querySelectorAll("option")) if (one.selected !== one.defaultSelected) one.selected = one.defaultSelected;
    for (const id of open) (document.getElementById(id) as HTMLDetailsElement | null)?.setAttribute("open", "");
    for (const one of tree.querySelectorAll("field-picker")) one.dispatchEvent(new Event("drawn"));
    this.focusFirst();
  }

  private focusFirst(): void {
    const focus = this.form.querySelector<HTMLElement>("#tree [autofocus]");
    (focus?.closest<HTMLElement>("field-picker") ?? focus)?.focus();
  }

  private rule(): string {
    const pairs = [...new FormData(this.form)].filter(([name]) => name.startsWith("r.") || name === "purpose");
    return new URLSearchParams(pairs as [string, string][]).toString();
  }

  private count(values: Record<string, string> = {}): void {
    clearTimeout(this.timer);
    this.asked = this.rule();
    const turn = this.form.elements.namedItem("turn") as HTMLInputElement;
    turn.value = String(Number(turn.value) + 1);
    const where = { source: "#figures", target: "#figures", swap: "outerMorph", values };
    void htmx.ajax("POST", this.dataset.figures!, where).then(() => this.follow());
  }

  // What was not quick enough for the page comes now; an estimate stands until the exact figures are there.
  private follow(): void {
    const figures = this.form.querySelector<HTMLElement>("#figures");
    const more = figures?.dataset.more;
    if (!figures || !more || this.rule() !== this.asked) return;
    delete figures.dataset.more;
    this.count(more === "exact" ? { act: "exact" } : {});
  }
}
customElements.define("segment-builder", SegmentBuilder);
