// <copy-text data-done="Copied"><code>…</code><button type="button" hidden>Copy</button></copy-text>
// Copies the text of its <code>, <pre>, <textarea> or <output>; says so; nothing shows without script.
class CopyText extends HTMLElement {
  connectedCallback(): void {
    const button = this.querySelector("button");
    const source = this.querySelector<HTMLElement>("code, pre, textarea, output");
    if (!button || !source || !navigator.clipboard) return;
    button.hidden = false;
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    said.className = "muted";
    button.after(said);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source instanceof HTMLTextAreaElement ? source.value : source.innerText);
      said.textContent = this.dataset.done ?? "✓";
    });
  }
}
customElements.define("copy-text", CopyText);
export {};
