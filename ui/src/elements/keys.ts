// Keys of every page (the list is in the dialog that ? opens). Single letters never act while somebody types,
// and can be switched off on this device (WCAG 2.1.4).
const GO: Record<string, string> = { h: "/", c: "/contacts", m: "/campaigns", s: "/segments" };
const off = (): boolean => localStorage.getItem("envol.keys") === "off";
let going = false;

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));

function rows(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>("[data-row], tbody tr")].filter((row) => row.querySelector("a"));
}

// Down and up the rows of a list; on one thing of a list, to the next and the one before.
function move(step: number): void {
  const link = document.querySelector<HTMLElement>(`main a[data-step="${step}"]`);
  if (link || document.querySelector("main a[data-step]")) return link?.click();
  const all = rows();
  const now = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[Math.min(all.length - 1, Math.max(0, now + step))];
  next?.querySelector<HTMLElement>("th a, a")?.focus();
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    const inside = (event.target as Element).closest("form");
    const main = inside?.querySelector<HTMLElement>("button.primary, button:not([type])")
      ?? document.querySelector<HTMLElement>("main a.button.primary, main button.primary");
    if (main && !main.hasAttribute("data-final")) main.click(); // never the final sending
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.composedPath()[0]) || off()) return;
  if (document.querySelector("dialog[open]")) return;
  if (going) {
    going = false;
    if (GO[event.key]) location.assign(GO[event.key]);
    return;
  }
  switch (event.key) {
    case "g": going = true; setTimeout(() => { going = false; }, 1500); return;
    case "/": document.querySelector<HTMLElement>("main input[type=search]")?.focus(); break;
    case "n": document.querySelector<HTMLElement>("main [data-new], main .head a.button.primary")?.click(); break;
    case "j": move(1); break;
    case "k": move(-1); break;
    case "x": rows().find((row) => row.contains(document.activeElement))?.querySelector<HTMLElement>("input[type=checkbox]")?.click(); break;
    case "?": (document.getElementById("keys") as HTMLDialogElement | null)?.showModal(); break;
    default: return;
  }
  event.preventDefault();
});

const on = document.getElementById("keys_on") as HTMLInputElement | null;
if (on) {
  on.checked = !off();
  on.addEventListener("change", () => localStorage.setItem("envol.keys", on.checked ? "on" : "off"));
}
export {};
