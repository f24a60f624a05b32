// <code-editor for="ID" nonce="…"> puts an editor in the place of a textarea, which stays the truth: it is written at
// every change, and posted. What the server found is marked at its line. Without script the textarea is all there is.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { html } from "@codemirror/lang-html";
import { HighlightStyle, bracketMatching, foldGutter, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

// Our tokens, so that both themes have contrast.
const colours = HighlightStyle.define([
  { tag: [tags.tagName, tags.angleBracket], color: "var(--primary)" },
  { tag: tags.attributeName, color: "var(--chart-3)" },
  { tag: [tags.attributeValue, tags.string], color: "var(--chart-4)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.propertyName], color: "var(--chart-2)" },
]);
const look = EditorView.theme({
  "&": { backgroundColor: "var(--bg)", color: "var(--ink)", border: "1px solid var(--field)", borderRadius: "var(--radius)", fontSize: "0.875rem" },
  "&.cm-focused": { outline: "3px solid var(--focus)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "ui-monospace, monospace", maxBlockSize: "70vh", minBlockSize: "20rem" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--muted)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--primary) 8%, transparent)" },
  ".cm-cursor": { borderInlineStartColor: "var(--ink)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--primary) 25%, transparent) !important" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--ink)", border: "1px solid var(--line)" },
});

class CodeEditor extends HTMLElement {
  connectedCallback(): void {
    const area = document.getElementById(this.getAttribute("for") ?? "") as HTMLTextAreaElement | null;
    if (!area) return;
    const view = new EditorView({
      parent: this,
      state: EditorState.create({
        doc: area.value,
        extensions: [
          EditorView.cspNonce.of(this.nonce ?? ""),
          lineNumbers(), foldGutter(), lintGutter(), history(), drawSelection(), highlightSpecialChars(),
          highlightActiveLine(), bracketMatching(), html({ selfClosingTags: true }), syntaxHighlighting(colours), look,
          EditorView.lineWrapping,
          // Tab leaves the editor, as it leaves every other field (WCAG 2.1.2).
          keymap.of([...defaultKeymap, ...historyKeymap, ...lintKeymap]),
          EditorView.contentAttributes.of({ "aria-label": area.labels?.[0]?.textContent ?? "", tabindex: "0" }),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged) return;
            area.value = update.state.doc.toString();
            area.dispatchEvent(new Event("input", { bubbles: true }));
          }),
        ],
      }),
    });
    area.hidden = true;
    area.required = false; // a hidden field cannot say that it is empty; the server does
    const keeper = this.closest("kept-writing");
    keeper?.addEventListener("kept", (event) => mark(view, (event as CustomEvent<HTMLElement>).detail));
    const state = keeper?.querySelector<HTMLElement>("#content-state");
    if (state) mark(view, state);
  }
}

/** What the server found, at its lines. */
function mark(view: EditorView, state: HTMLElement): void {
  const found = [...state.querySelectorAll<HTMLElement>(".problems [data-part=html], .problems [data-part=text]")];
  const diagnostics: Diagnostic[] = found.map((item) => {
    const line = view.state.doc.line(Math.min(Math.max(Number(item.dataset.line), 1), view.state.doc.lines));
    return { from: line.from, to: line.to, severity: "error", message: item.textContent ?? "" };
  });
  view.dispatch(setDiagnostics(view.state, diagnostics));
}
customElements.define("code-editor", CodeEditor);
