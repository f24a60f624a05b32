// <kept-forms data-offline data-signed-out data-offer data-bring data-forget hidden> once on every page. Of each form
// that is posted: a second press while the first is on its way does nothing; without a connection it stays here and
// says so; a long one is kept in this tab while it is written, and offered again when it was never done. What the
// server did is told by the cookie "sent" (envol/web/once.py). Signing out forgets all of it.
type Draft = { once: string; at: number; pairs: [string, string][] };
const PREFIX = "envol.draft:";
const CARRIED = new Set(["csrfmiddlewaretoken", "once", "revision", "seen", "page", "turn", "was", "version"]);
const TYPED = "textarea, input:not([type]), input[type=text], input[type=email], input[type=url], input[type=date]";

const once = (form: HTMLFormElement): string => form.querySelector<HTMLInputElement>("input[name=once]")?.value ?? "";
const pairs = (form: HTMLFormElement): [string, string][] =>
  [...new FormData(form)].filter(([name, value]) => !CARRIED.has(name) && typeof value === "string") as [string, string][];
const same = (a: [string, string][], b: [string, string][]): boolean =>
  JSON.stringify(a).replace(/\\r/g, "") === JSON.stringify(b).replace(/\\r/g, "");

class KeptForms extends HTMLElement {
  private forms: HTMLFormElement[] = [];

  connectedCallback(): void {
    this.forgetDone();
    this.forms = [...document.querySelectorAll<HTMLFormElement>("main form[method=post]")];
    for (const form of this.forms) if (this.isLong(form)) this.keep(form);
    document.addEventListener("submit", (event) => this.submit(event));
    addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sending; });
    document.addEventListener("signed-out", () => this.say(document.querySelector("main h1"), this.dataset.signedOut));
  }

  private isLong(form: HTMLFormElement): boolean {
    const fields = [...form.querySelectorAll(TYPED)];
    const long = fields.length > 1 || fields.some((field) => field.tagName === "TEXTAREA");
    return long && !form.closest("kept-writing, dialog") && !form.querySelector("input[type=password]");
  }

  private key(form: HTMLFormElement): string {
    const alike = this.forms.filter((one) => one.action === form.action);
    return `${PREFIX}${location.pathname} ${new URL(form.action).pathname} ${alike.indexOf(form)}`;
  }

  private keep(form: HTMLFormElement): void {
    const key = this.key(form);
    const begun = pairs(form);
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "null") as Draft | null;
    if (kept && !same(kept.pairs, begun)) this.offer(form, key, kept);
    let timer = 0;
    const store = (): void => {
      clearTimeout(timer);
      const draft: Draft = { once: once(form), at: Date.now(), pairs: pairs(form) };
      if (same(draft.pairs, begun)) return;
      try { sessionStorage.setItem(key, JSON.stringify(draft)); } catch { /* full: the page itself still has it */ }
    };
    form.addEventListener("input", () => { clearTimeout(timer); timer = window.setTimeout(store, 300); });
    form.addEventListener("submit", store);
  }

  private submit(event: SubmitEvent): void {
    const form = event.target as HTMLFormElement;
    const button = event.submitter;
    if (event.defaultPrevented || form.method !== "post" || form.target || button?.hasAttribute("formtarget")) return;
    if (/\/logout\/$/.test(form.action)) return sessionStorage.clear();
    if (form.dataset.sending) return event.preventDefault();
    if (!navigator.onLine) {
      event.preventDefault();
      this.say(form, this.dataset.offline);
      return;
    }
    form.dataset.sending = "1";
    window.setTimeout(() => delete form.dataset.sending, 8000); // an answer that is a file leaves the page as it is
  }

  private forgetDone(): void {
    const done = /(?:^|; )sent=([\w-]+)/.exec(document.cookie)?.[1];
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith(PREFIX) && done && (JSON.parse(sessionStorage.getItem(key)!) as Draft).once === done) sessionStorage.removeItem(key);
    }
  }

  private say(before: Element | null, words = ""): HTMLElement {
    document.getElementById("kept-said")?.remove();
    const notice = document.createElement("div");
    notice.id = "kept-said";
    notice.className = "notice warn";
    notice.setAttribute("role", "alert");
    notice.append(Object.assign(document.createElement("div"), { textContent: words }));
    before?.before(notice);
    return notice;
  }

  private offer(form: HTMLFormElement, key: string, kept: Draft): void {
    const time = new Date(kept.at).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
    const notice = this.say(form, (this.dataset.offer ?? "").replace("{time}", time));
    const act = (words = "", then: () => void): HTMLButtonElement => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: words });
      button.addEventListener("click", () => { notice.remove(); then(); });
      return button;
    };
    notice.append(
      act(this.dataset.bring, () => this.bring(form, kept)),
      act(this.dataset.forget, () => sessionStorage.removeItem(key)),
    );
    for (let around: Element | null = form; around; around = around.parentElement) if (around instanceof HTMLDetailsElement) around.open = true;
  }

  private bring(form: HTMLFormElement, kept: Draft): void {
    if (form.dataset.redraw) return this.redraw(form, kept);
    const left = [...kept.pairs];
    for (const control of form.elements as unknown as Iterable<HTMLInputElement>) {
      if (!control.name || CARRIED.has(control.name) || control.type === "hidden" || control.type === "file") continue;
      const at = left.findIndex(([name, value]) => name === control.name && (!/checkbox|radio/.test(control.type) || value === control.value));
      if (/checkbox|radio/.test(control.type)) control.checked = at >= 0;
      else if (at >= 0) control.value = left[at][1];
      if (at >= 0) left.splice(at, 1);
    }
    form.dispatchEvent(new Event("input", { bubbles: true }));
    form.querySelector<HTMLElement>(TYPED)?.focus();
  }

  /** A form whose fields follow from one another is drawn anew by the server, as its own buttons do. */
  private redraw(form: HTMLFormElement, kept: Draft): void {
    const sent = document.createElement("form");
    sent.method = "post";
    sent.action = form.action;
    const carried = [...form.querySelectorAll<HTMLInputElement>("input[type=hidden]")].filter((one) => CARRIED.has(one.name));
    for (const [name, value] of [...carried.map((one) => [one.name, one.value]), ...kept.pairs.filter(([name]) => name !== "act"), ["act", form.dataset.redraw!]]) {
      sent.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
    }
    document.body.append(sent);
    sent.submit();
  }
}
customElements.define("kept-forms", KeptForms);
export {};
