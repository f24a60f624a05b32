// <field-picker data-label data-none><select>…</select></field-picker>: a select that can be searched, as an ARIA
// combobox. The select stays the control of the form and is all there is without script.
const STYLE = `:host { position: relative; display: block } [hidden] { display: none }
input { font: inherit; color: inherit; box-sizing: border-box; inline-size: 100%; min-block-size: 2.75rem; padding: 0.5rem 2rem 0.5rem 0.75rem;
  background: var(--bg); border: 1px solid var(--field); border-radius: var(--radius); font-weight: 600; text-overflow: ellipsis }
input[aria-invalid="true"] { border: 2px solid var(--bad) } input:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px }
.arrow { position: absolute; inset-inline-end: 0.75rem; inset-block-start: 0.85rem; inline-size: 1rem; pointer-events: none; color: var(--muted) }
[role=listbox] { position: absolute; z-index: 5; inset-block-start: calc(100% + 4px); inset-inline-start: 0; inline-size: max(100%, min(24rem, 80vw)); max-block-size: 22rem;
  overflow: auto; box-sizing: border-box; background: var(--surface); border: 1px solid var(--line); border-radius: var(--radius); padding: 0.25rem; box-shadow: 0 0.5rem 1.5rem rgb(0 0 0 / 0.18) }
.name { padding: 0.5rem 0.5rem 0.125rem; font-size: 0.8125rem; font-weight: 600; color: var(--muted) }
[role=option] { display: flex; justify-content: space-between; gap: 1rem; padding: 0.375rem 0.5rem; border-radius: 4px; cursor: pointer }
[role=option] small { color: var(--muted); text-align: end; font-size: 0.8125rem } [role=option].on, [role=option]:hover { background: var(--tint); outline: 2px solid var(--primary); outline-offset: -2px }
[aria-selected=true] span { font-weight: 650 } p { margin: 0; padding: 0.5rem; color: var(--muted) }`;
const plain = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

class FieldPicker extends HTMLElement {
  private input!: HTMLInputElement;
  private list!: HTMLElement;
  private get select(): HTMLSelectElement { return this.querySelector("select")!; }
  private get options(): HTMLElement[] { return [...this.list.querySelectorAll<HTMLElement>("[role=option]")]; }

  connectedCallback(): void {
    if (this.shadowRoot) return;
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = `<input role="combobox" aria-autocomplete="list" aria-expanded="false" aria-controls="list" autocomplete="off" spellcheck="false">
      <svg class="arrow" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><path d="m4 6 4 4 4-4"/></svg>
      <div role="listbox" id="list" hidden></div>`;
    this.input = root.querySelector("input")!;
    this.list = root.querySelector("#list")!;
    this.list.ariaLabel = this.input.ariaLabel = this.dataset.label ?? "";
    this.input.addEventListener("input", (event) => { event.stopPropagation(); this.open(this.input.value); });
    this.input.addEventListener("focus", () => this.input.select());
    this.input.addEventListener("click", () => this.open(""));
    this.input.addEventListener("blur", () => this.close());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => this.choose((event.target as Element).closest<HTMLElement>("[role=option]")));
    this.addEventListener("drawn", () => { if (this.list.hidden) this.close(); }); // else somebody is typing in it
    this.close();
    if (document.activeElement === this.select) this.focus(); // the select had it, and is covered from now on
  }

  // Not the delegation of the host: it does nothing while the select inside it still counts as focused.
  focus(): void { this.input.focus(); }

  private close(): void {
    this.list.hidden = true;
    this.input.ariaExpanded = "false";
    this.input.removeAttribute("aria-activedescendant");
    const chosen = this.select.selectedOptions[0];
    this.input.value = chosen?.value ? (chosen.textContent ?? "").split(" — ")[0] : "";
    this.input.placeholder = this.select.options[0]?.textContent ?? "";
    this.input.ariaInvalid = this.dataset.wrong ? "true" : null;
    this.input.setAttribute("aria-description", this.dataset.wrong ?? "");
  }

  private open(words: string): void {
    const wanted = plain(words).split(/\s+/).filter(Boolean);
    this.list.replaceChildren();
    for (const group of this.select.querySelectorAll("optgroup")) {
      const fitting = [...group.children].filter((o) => wanted.every((w) => plain(`${o.textContent} ${group.label}`).includes(w)));
      if (!fitting.length) continue;
      const box = this.list.appendChild(Object.assign(document.createElement("div"), { role: "group", ariaLabel: group.label }));
      box.append(Object.assign(document.createElement("div"), { className: "name", ariaHidden: "true", textContent: group.label }));
      for (const o of fitting as HTMLOptionElement[]) {
        const made = Object.assign(document.createElement("div"), { role: "option", id: `o${o.index}`, ariaSelected: String(o.selected) });
        made.append(Object.assign(document.createElement("span"), { textContent: (o.textContent ?? "").split(" — ")[0] }),
          Object.assign(document.createElement("small"), { textContent: o.dataset.note ?? "" }));
        made.dataset.value = o.value;
        box.append(made);
      }
    }
    if (!this.options.length) this.list.append(Object.assign(document.createElement("p"), { textContent: this.dataset.none ?? "" }));
    this.list.hidden = false;
    this.input.ariaExpanded = "true";
    // Whoever types how a name begins means it, and not one before it in the list that holds the word somewhere.
    const named = plain(words).trim(), begins = (o: HTMLElement): boolean => plain(o.firstChild?.textContent ?? "").startsWith(named);
    this.mark(this.options.find((o) => named ? begins(o) : o.ariaSelected === "true") ?? this.options[0]);
  }

  private mark(option: HTMLElement | undefined): void {
    for (const one of this.options) one.classList.toggle("on", one === option);
    if (option) this.input.setAttribute("aria-activedescendant", option.id);
    else this.input.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || (event.altKey && this.list.hidden)) return; // keys of the page
    event.stopPropagation(); // outside of the shadow nobody sees that this is a field in which one types
    const all = this.options, now = all.findIndex((o) => o.classList.contains("on"));
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.list.hidden ? this.open("") : this.mark(all[(now + step + all.length) % all.length]);
    else if (event.key === "Enter") this.list.hidden ? this.open("") : this.choose(all[now] ?? null);
    else if (event.key === "Escape" && !this.list.hidden) this.close();
    else return;
    event.preventDefault();
  }

  private choose(option: HTMLElement | null): void {
    if (!option) return;
    this.select.value = option.dataset.value!;
    this.close();
    this.select.dispatchEvent(new Event("change", { bubbles: true }));
  }
}
customElements.define("field-picker", FieldPicker);
export {};
