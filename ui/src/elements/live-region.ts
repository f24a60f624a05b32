// <live-region topic="campaign.12" src="/campaigns/12/live">…</live-region> shows what the server shows at src for
// htmx, again whenever one of its topics moves. Keeps the focus (morph), never lets a bar go back, and says the
// sentence of [data-quarter] when that number rises. Links marked .refresh are for those without script.
import htmx from "htmx.org/dist/htmx.esm.js";
import { listen } from "../listen";

class LiveRegion extends HTMLElement {
  private off: (() => void)[] = [];
  private busy = false;
  private again = false;
  private last = "";
  private quarter = 0;
  private said!: HTMLElement;

  connectedCallback(): void {
    this.quarter = this.now();
    for (const link of this.querySelectorAll<HTMLElement>(".refresh")) link.hidden = true;
    if (!this.said) {
      this.said = document.createElement("p");
      this.said.className = "hidden-text";
      this.said.setAttribute("role", "status");
    }
    this.after(this.said);
    for (const topic of (this.getAttribute("topic") ?? "").split(" ").filter(Boolean)) {
      this.off.push(listen(topic, (state) => this.heard(topic, state)));
    }
  }

  disconnectedCallback(): void {
    for (const off of this.off.splice(0)) off();
  }

  private now(): number {
    return Number(this.querySelector<HTMLElement>("[data-quarter]")?.dataset.quarter ?? 0);
  }

  private heard(topic: string, state: unknown): void {
    const told = state === undefined ? "" : `${topic} ${JSON.stringify(state)}`;
    if (told && told === this.last) return;
    this.last = told;
    void this.show();
  }

  private async show(): Promise<void> {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    const bar = this.querySelector("progress[data-forward]");
    const was = bar ? Number(bar.getAttribute("value")) / Number(bar.getAttribute("max")) : 0;
    try {
      await htmx.ajax("GET", this.getAttribute("src") ?? location.pathname, { source: this, target: this, swap: "innerMorph" });
    } catch {
      // away for a moment: what stands there stays
    }
    for (const link of this.querySelectorAll<HTMLElement>(".refresh")) link.hidden = true;
    const now = this.querySelector("progress[data-forward]");
    if (now && Number(now.getAttribute("value")) / Number(now.getAttribute("max")) < was) {
      now.setAttribute("value", String(was * Number(now.getAttribute("max"))));
    }
    if (this.now() > this.quarter) this.said.textContent = this.querySelector("[data-quarter]")?.textContent ?? "";
    this.quarter = this.now();
    this.busy = false;
    if (this.again) {
      this.again = false;
      window.setTimeout(() => void this.show(), 500);
    }
  }
}
customElements.define("live-region", LiveRegion);
