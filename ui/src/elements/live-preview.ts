// <live-preview data-frame="name"><form>…</form><iframe name="name"></live-preview>
// Shows in the frame what is being typed, 250 ms after the last key; the form's own preview buttons do it without script.
// The frame is replaced, not pushed: the browser's Back button keeps its meaning.
class LivePreview extends HTMLElement {
  private timer = 0;
  private language = "";

  connectedCallback(): void {
    const form = this.querySelector("form");
    const buttons = this.querySelectorAll<HTMLButtonElement>("button[formtarget]");
    const frame = this.querySelector<HTMLIFrameElement>(`iframe[name="${this.dataset.frame}"]`);
    const address = buttons[0]?.formAction;
    if (!form || !frame || !address) return;
    const show = (): void => {
      const typed = new FormData(form);
      typed.delete("csrfmiddlewaretoken");
      typed.delete("once");
      if (this.language) typed.set("l", this.language);
      const query = new URLSearchParams([...typed].map(([name, value]) => [name, String(value)]));
      frame.contentWindow?.location.replace(`${address}?${query}`);
    };
    form.addEventListener("input", (event) => {
      const at = (event.target as HTMLElement).lang;
      if (at) this.language = at;
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(show, 250);
    });
    buttons.forEach((button) =>
      button.addEventListener("click", (event) => {
        event.preventDefault();
        this.language = button.value;
        show();
      }),
    );
  }
}
customElements.define("live-preview", LivePreview);
export {};
