// <drop-zone data-busy="Bringing {name}…"> around a plain file input: a file may be dropped on it, and goes at once.
// Its [data-send] button is for browsers without script, its [data-said] line says what is on its way.
class DropZone extends HTMLElement {
  connectedCallback(): void {
    const input = this.querySelector<HTMLInputElement>("input[type=file]");
    const form = this.closest("form");
    if (!input || !form) return;
    const button = this.querySelector<HTMLElement>("[data-send]");
    const said = this.querySelector<HTMLElement>("[data-said]");
    if (button) button.hidden = true;
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (!file) return;
      if (said) {
        said.hidden = false;
        said.textContent = (this.dataset.busy ?? "{name}").replace("{name}", file.name);
      }
      this.toggleAttribute("data-sending", true);
      form.requestSubmit();
    });
    const over = (on: boolean) => (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.toggleAttribute("data-over", on);
    };
    this.addEventListener("dragenter", over(true));
    this.addEventListener("dragover", over(true));
    this.addEventListener("dragleave", over(false));
    this.addEventListener("drop", (event) => {
      over(false)(event);
      if (!event.dataTransfer?.files.length) return;
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
}
customElements.define("drop-zone", DropZone);
export {};
