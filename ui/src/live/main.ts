// <live-rate topic="campaign.12" data-points="1795500000,310;…" data-label="messages a second"> replaces the server's
// drawing of the last quarter of an hour by one that moves. A silence of half a minute is a gap.
import uPlot from "uplot";
import { listen } from "../listen";

const WINDOW = 900;
const GAP = 30;

class LiveRate extends HTMLElement {
  private at: number[] = [];
  private rate: (number | null)[] = [];
  private plot: uPlot | null = null;
  private brief = true;
  private off: (() => void) | null = null;
  private readonly resized = new ResizeObserver(() => this.plot?.setSize(this.size()));
  private readonly theme = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = () => this.draw(true);

  connectedCallback(): void {
    for (const point of (this.dataset.points ?? "").split(";").filter(Boolean)) {
      const [at, rate] = point.split(",").map(Number);
      this.at.push(at);
      this.rate.push(rate);
    }
    this.off = listen(this.getAttribute("topic") ?? "", (state) => {
      const told = state as { state?: string; rate?: number } | undefined;
      if (told?.state === "sending" && told.rate !== undefined) this.add(told.rate);
    });
    this.theme.addEventListener("change", this.redraw);
    if (this.at.length > 1) this.draw();
  }

  disconnectedCallback(): void {
    this.off?.();
    this.resized.disconnect();
    this.theme.removeEventListener("change", this.redraw);
    this.plot?.destroy();
  }

  private add(rate: number): void {
    const now = Date.now() / 1000;
    const last = this.at.at(-1);
    if (last !== undefined && now - last > GAP) {
      this.at.push(last + 1);
      this.rate.push(null);
    }
    this.at.push(now);
    this.rate.push(rate);
    while (this.at.length && this.at[0] < now - WINDOW) {
      this.at.shift();
      this.rate.shift();
    }
    if (this.at.length > 1) this.draw();
  }

  private size(): { width: number; height: number } {
    return { width: Math.max(280, this.parentElement?.clientWidth ?? 640), height: 220 };
  }

  private draw(anew = false): void {
    const brief = (this.at.at(-1) ?? 0) - this.at[0] < 300; // below five minutes an hour says nothing
    if (this.plot && !anew && brief === this.brief) {
      this.plot.setData([this.at, this.rate]);
      return;
    }
    this.brief = brief;
    this.plot?.destroy();
    this.textContent = "";
    const lang = document.documentElement.lang.replace(/^en$/, "en-GB");
    const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
    const zone = { timeZone: this.dataset.zone };
    const clock = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(brief ? { second: "2-digit" } : {}), ...zone });
    const axis = { stroke: this.colour("--muted"), grid: { stroke: this.colour("--line"), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot(
      {
        ...this.size(),
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_, _min, max) => [0, Math.max(1, max * 1.15)] } },
        axes: [
          { ...axis, space: 80, values: (_, at) => at.map((one) => clock.format(one * 1000)) },
          { ...axis, size: 56, values: (_, rates) => rates.map((one) => number.format(one)) },
        ],
        series: [{}, { label: this.dataset.label ?? "", stroke: this.colour("--primary"), width: 2, points: { show: false } }],
      },
      [this.at, this.rate],
      this,
    );
    this.setAttribute("role", "img");
    this.setAttribute("aria-label", this.dataset.label ?? "");
    this.resized.disconnect();
    if (this.parentElement) this.resized.observe(this.parentElement);
  }

  // A colour as the page shows it now: a token may hold light-dark(), which a canvas cannot read.
  private colour(token: string): string {
    const probe = document.createElement("i");
    probe.style.color = `var(${token})`;
    this.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }
}
customElements.define("live-rate", LiveRate);
