// <kept-writing data-away="…" data-lost="…"><form data-draft="…">…#content-state…iframe.preview…</form></kept-writing>
// Keeps what is typed 120 ms after the last letter and shows it; the last answer wins. A chosen file is sent at once.
// Without script the form has a button that fills the frame.
class KeptWriting extends HTMLElement {
  private form!: HTMLFormElement;
  private timer = 0;
  private asked: AbortController | null = null;

  connectedCallback(): void {
    this.form = this.querySelector("form")!;
    this.classList.add("live");
    this.form.addEventListener("input", (event) => {
      if ((event.target as HTMLInputElement).type !== "file") this.soon(120);
    });
    this.form.addEventListener("change", (event) => {
      const input = event.target as HTMLInputElement;
      const upload = input.type === "file" && input.value && input.parentElement?.querySelector<HTMLElement>("[data-upload]");
      if (upload) this.form.requestSubmit(upload);
    });
    this.form.addEventListener("submit", () => this.asked?.abort()); // what the button does holds more
    this.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "s") {
        event.preventDefault();
        this.form.requestSubmit(this.form.querySelector<HTMLElement>("[value=save]"));
      }
    });
    if (this.looks()) this.show(this.querySelector<HTMLElement>("#content-state")!); // the browser remembers the ticks
  }

  private looks(): string {
    const ticked = [...new FormData(this.form)].filter(([name, value]) => /^see\.(dark|no_images|part)$/.test(name) && value);
    return ticked.map(([name, value]) => `&${name}=${value as string}`).join("");
  }

  private soon(wait: number): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.keep(), wait);
  }

  private async keep(): Promise<void> {
    this.asked?.abort();
    this.asked = new AbortController();
    const body = new FormData(this.form);
    for (const [name, value] of [...body]) if (value instanceof File) body.delete(name);
    try {
      const answer = await fetch(this.form.dataset.draft!, { method: "POST", body, signal: this.asked.signal });
      if (answer.redirected) {
        this.say(this.dataset.away);
        return this.soon(4000);
      }
      const token = answer.status === 403 ? answer.headers.get("X-Token") : null;
      if (token) { // signed in again in another window: the old token is of no use any more
        (this.form.elements.namedItem("csrfmiddlewaretoken") as HTMLInputElement).value = token;
        return this.soon(0);
      }
      if (![200, 409, 422].includes(answer.status)) throw new Error(answer.statusText);
      this.put(await answer.text());
    } catch (error) {
      if ((error as Error).name === "AbortError") return;
      this.say(this.dataset.lost);
      this.soon(4000);
    }
  }

  private say(text = ""): void {
    const kept = this.querySelector(".kept-at");
    if (kept) kept.textContent = text;
    kept?.classList.add("lost");
  }

  private put(html: string): void {
    const holder = document.createElement("template");
    holder.innerHTML = html; // our own server's, escaped there
    const state = holder.content.querySelector<HTMLElement>("#content-state");
    if (!state) return;
    const open = this.querySelector<HTMLDetailsElement>(".notes")?.open;
    const notes = state.querySelector<HTMLDetailsElement>(".notes");
    if (notes && open !== undefined) notes.open = open;
    this.querySelector("#content-state")!.replaceWith(state);
    (this.form.elements.namedItem("seen") as HTMLInputElement).value = state.dataset.seen ?? "0";
    this.show(state);
    this.dispatchEvent(new CustomEvent("kept", { detail: state }));
  }

  /** The next frame loads behind the present one, and takes its place and its scroll when it is whole. */
  private show(state: HTMLElement): void {
    const now = this.querySelector<HTMLIFrameElement>("iframe.preview:not(.coming)")!;
    this.querySelector("iframe.coming")?.remove();
    const next = now.cloneNode() as HTMLIFrameElement;
    next.classList.add("coming");
    next.src = state.dataset.preview + this.looks();
    next.addEventListener("load", () => {
      if (!next.isConnected) return;
      try {
        next.contentWindow?.scrollTo(0, now.contentWindow?.scrollY ?? 0);
      } catch {
        // One of the two says an error, and is nobody's to look into.
      }
      next.classList.remove("coming");
      now.remove();
    });
    now.after(next);
  }
}
customElements.define("kept-writing", KeptWriting);
export {};
