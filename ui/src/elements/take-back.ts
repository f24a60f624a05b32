// <take-back data-left="60" data-one="Leaves in 1 second." data-other="Leaves in {n} seconds." data-now="Leaving now.">
// with a <p role="timer"> and a <progress>: counts down what the server said is left. The page around it learns from
// the stream when it really begins. A number of seconds that the server says anew is taken over.
class TakeBack extends HTMLElement {
  static observedAttributes = ["data-left"];
  private until = 0;
  private timer = 0;

  attributeChangedCallback(): void {
    this.until = performance.now() + 1000 * Number(this.dataset.left ?? 0);
  }

  connectedCallback(): void {
    this.timer = window.setInterval(() => this.tick(), 250);
  }

  disconnectedCallback(): void {
    clearInterval(this.timer);
  }

  private tick(): void {
    const left = Math.max(0, Math.ceil((this.until - performance.now()) / 1000));
    const plural = new Intl.PluralRules(document.documentElement.lang).select(left);
    const sentence = left ? (plural === "one" ? this.dataset.one : this.dataset.other) : this.dataset.now;
    const text = (sentence ?? "").replace(/\{n\}|\d+/, String(left));
    const line = this.querySelector("[role=timer]");
    if (line && line.textContent !== text) line.textContent = text;
    this.querySelector("progress")?.setAttribute("value", String(left));
  }
}
customElements.define("take-back", TakeBack);
export {};
