// <live-notices src="/notices" since="1795500000"></live-notices> inside the status line: when a sending or an import
// ends while this page is open, the server's sentence about it appears there, once.
import { listen } from "../listen";

class LiveNotices extends HTMLElement {
  private known: Set<string> | null = null;

  connectedCallback(): void {
    if (!this.hasAttribute("src")) return;
    listen("counts", (state) => {
      const ended = (state as { ended?: string[] } | undefined)?.ended;
      if (!ended) return; // without a stream, the next page tells
      const fresh = this.known !== null && ended.some((one) => !this.known?.has(one));
      this.known = new Set(ended);
      if (fresh) void this.show();
    });
  }

  private async show(): Promise<void> {
    const answer = await fetch(`${this.getAttribute("src")}?since=${this.getAttribute("since")}`).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    this.setAttribute("since", answer.headers.get("X-Until") ?? this.getAttribute("since") ?? "");
    this.insertAdjacentHTML("beforeend", await answer.text()); // our own server's, escaped there
  }
}
customElements.define("live-notices", LiveNotices);
