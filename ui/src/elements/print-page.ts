// <print-page hidden><button type="button">Print</button></print-page> shows itself where a script can print.
class PrintPage extends HTMLElement {
  connectedCallback(): void {
    this.hidden = false;
    this.addEventListener("click", () => window.print());
  }
}
customElements.define("print-page", PrintPage);
export {};
