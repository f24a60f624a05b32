// <undo-notice> shows its button for ten seconds while nobody is at it, then only the sentence stays:
// the journal keeps the undo.
class UndoNotice extends HTMLElement {
  connectedCallback(): void {
    const form = this.querySelector("form");
    if (!form) return;
    let left = 10;
    const timer = setInterval(() => {
      if (document.hidden || this.matches(":hover, :focus-within")) return;
      if (--left > 0) return;
      clearInterval(timer);
      form.remove();
    }, 1000);
  }
}
customElements.define("undo-notice", UndoNotice);
export {};
