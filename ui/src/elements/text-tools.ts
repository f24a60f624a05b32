// <text-tools for="ID" hidden> holds buttons with data-mark: bold, italic, link, list, chip. They write the marks that
// one could type oneself; the dialog #chip asks for the value and its fallback.
type Field = HTMLTextAreaElement | HTMLInputElement;

class TextTools extends HTMLElement {
  connectedCallback(): void {
    const field = document.getElementById(this.getAttribute("for") ?? "") as Field | null;
    if (!field) return;
    this.hidden = false;
    this.addEventListener("click", (event) => {
      const mark = (event.target as Element).closest<HTMLElement>("[data-mark]")?.dataset.mark;
      if (mark === "chip") this.chip(field);
      else if (mark) this.write(field, mark);
    });
  }

  private write(field: Field, mark: string): void {
    const chosen = field.value.slice(field.selectionStart ?? 0, field.selectionEnd ?? 0);
    switch (mark) {
      case "bold": insert(field, `**${chosen}**`, chosen ? 0 : 2); break;
      case "italic": insert(field, `*${chosen}*`, chosen ? 0 : 1); break;
      case "link": insert(field, `[${chosen}](https://)`, chosen ? 1 : 11); break;
      case "list": insert(field, chosen.split("\n").map((line) => `- ${line}`).join("\n"), 0); break;
    }
  }

  private chip(field: Field): void {
    const dialog = document.getElementById("chip") as HTMLDialogElement;
    const words = dialog.querySelector("input")!;
    words.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      field.focus();
      if (dialog.returnValue !== "insert") return;
      const fallback = words.value.replace(/[{}|]/g, "").trim();
      insert(field, `{${dialog.querySelector("select")!.value}|${fallback}}`, 0);
    }, { once: true });
    dialog.showModal();
  }
}

/** Puts text where the caret is, as if typed, so that Ctrl Z takes it back; the caret ends `back` letters before its end. */
function insert(field: Field, text: string, back: number): void {
  field.focus();
  const start = field.selectionStart ?? field.value.length;
  if (!document.execCommand("insertText", false, text)) {
    field.setRangeText(text, start, field.selectionEnd ?? start, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  const at = start + text.length - back;
  field.setSelectionRange(at, at);
}
customElements.define("text-tools", TextTools);
export {};
