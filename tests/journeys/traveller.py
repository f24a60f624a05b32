"""Somebody who goes a journey with the keyboard alone, and whose clicks and seconds are written down.

A click is a pointer action or Enter (Space on a box) on the way a newcomer would take; typing is not counted. The
names of things are the English sentences of the catalogue: the traveller looks for them in the page's language.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from django.utils import translation
from django.utils.translation import gettext

LOG = Path(__file__).resolve().parents[2] / ".test-data" / "journeys.json"
_NAME = """e => {
  while (e.shadowRoot && e.shadowRoot.activeElement) e = e.shadowRoot.activeElement;
  const named = (e.getAttribute('aria-labelledby') || '').split(' ');
  const by = named.map(i => document.getElementById(i)?.innerText || '');
  const label = e.labels && e.labels.length ? [...e.labels].map(l => l.innerText).join(' ') : '';
  const own = [e.innerText || '', e.value || '', e.name || ''];
  return [e.tagName, e.getAttribute('aria-label') || '', by.join(' '), label, ...own].join(' | ');
}"""


def signed_in(browser: Any, address: str, user: Any, language: str) -> Any:
    """A page of somebody whose session began before the journey; scripts of the test may look into it."""
    from django.conf import settings
    from django.test import Client

    user.language = language
    user.save(update_fields=["language"])
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    context = browser.new_context(locale=language, bypass_csp=True)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": address}])
    return context.new_page()


class Traveller:
    """One person at one page, in one language."""

    def __init__(self, page: Any, address: str, language: str) -> None:
        self.page = page
        self.address = address
        self.language = language
        self.clicks = 0
        self.begun = time.monotonic()
        self.steps: list[str] = []

    def say(self, sentence: str, **values: Any) -> str:
        """A sentence of ours, in the page's language."""
        with translation.override(self.language):
            return gettext(sentence) % values if values else gettext(sentence)

    def reach(self, name: str, tags: tuple[str, ...] = (), most: int = 250) -> None:
        """Walk with Tab until the focus lies on something whose name begins so; the start is where the focus is."""
        wanted = " ".join(name.split())
        walked: list[str] = []
        moved = False  # where the page puts the focus by itself counts too
        for _ in range(most):
            if walked or moved:
                self.page.keyboard.press("Tab")
            moved = True
            tag, *names = self.page.evaluate(f"({_NAME})(document.activeElement)").split(" | ")
            names = [" ".join(one.split()) for one in names]
            if (not tags or tag in tags) and any(one.startswith(wanted) for one in names):
                return
            walked.append(next((one[:40] for one in names if one), tag))
        raise AssertionError(f"{name!r} cannot be reached with the keyboard on {self.page.url}: {walked[:60]}")

    def press(self, name: str, key: str = "Enter", tags: tuple[str, ...] = ()) -> None:
        """Reach the thing and press it: one click."""
        self.reach(name, tags)
        self.click(key, name)

    def pick(self, name: str) -> None:
        """Choose one of several (radio buttons): Tab reaches the group, arrows or Space the choice. One click."""
        group = self.page.get_by_role("radio", name=name).first.get_attribute("name")
        for _ in range(250):
            self.page.keyboard.press("Tab")
            if self._radio() == group:
                break
        else:
            raise AssertionError(f"The choice {name!r} cannot be reached with the keyboard on {self.page.url}")
        wanted = " ".join(name.split())
        for _ in range(30):
            parts = self.page.evaluate(f"({_NAME})(document.activeElement)").split(" | ")
            if any(" ".join(one.split()).startswith(wanted) for one in parts):
                return self.click("Space", name)
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{name!r} is not among the choices of {group}")

    def _radio(self) -> str | None:
        found: str | None = self.page.evaluate(
            "document.activeElement.type === 'radio' ? document.activeElement.name : null"
        )
        return found

    def click(self, key: str = "Enter", name: str = "") -> None:
        """Press where the focus is: one click."""
        self.clicks += 1
        self.steps.append(name or key)
        print(f"{time.monotonic() - self.begun:6.1f} {self.page.url} {name or key}", flush=True)  # shown when it fails
        self.page.keyboard.press(key)

    def type(self, name: str, text: str) -> None:
        """Reach a field and write into it, over what stands there."""
        self.reach(name, ("INPUT", "TEXTAREA"))
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def choose(self, name: str, letters: str) -> None:
        """Reach a select and type the beginning of an option; no click, as in a field."""
        self.reach(name, ("SELECT",))
        self.page.keyboard.type(letters)

    def at(self, pattern: str) -> None:
        """Wait until the page's address ends so: a regular expression, ``/campaigns/\\d+``, or ``**/send``."""
        glob = pattern.startswith("**")
        self.page.wait_for_url(pattern if glob else re.compile(pattern + r"([?#].*)?$"), timeout=30_000)
        self.page.wait_for_load_state()

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=15_000)

    def write_down(self, number: int, title: str, most: int) -> None:
        """Keep clicks and seconds for docs/journeys.md, and hold them against the table."""
        seconds = time.monotonic() - self.begun
        LOG.parent.mkdir(exist_ok=True)
        known = json.loads(LOG.read_text()) if LOG.exists() else {}
        known[f"{number}.{self.language}"] = {
            "number": number, "title": title, "language": self.language, "clicks": self.clicks, "most": most,
            "seconds": round(seconds, 1), "steps": self.steps,
        }  # fmt: skip
        LOG.write_text(json.dumps(known, ensure_ascii=False, indent=1))
        assert self.clicks <= most, f"{self.clicks} clicks instead of {most}: {self.steps}"


# Kept by the browser itself over all pages of one road: what each key and click took until the next paint.
WATCH_PAINTS = """new PerformanceObserver(list => {
  const known = JSON.parse(sessionStorage.getItem("paints") || "{}");
  for (const e of list.getEntries()) if (e.interactionId)
    known[performance.timeOrigin + "/" + e.interactionId] = Math.max(
      known[performance.timeOrigin + "/" + e.interactionId] || 0, e.duration);
  sessionStorage.setItem("paints", JSON.stringify(known));
}).observe({type: "event", durationThreshold: 16, buffered: true});"""


def write_paints(page: Any, language: str) -> None:
    """Keep how long the interactions of a road took until the next paint; those under 16 ms are not told apart."""
    found = sorted(json.loads(page.evaluate("sessionStorage.getItem('paints') || '{}'")).values())
    assert found, "the browser told of no interaction"
    known = json.loads(LOG.read_text())
    known[f"paints.{language}"] = {
        "n": len(found), "median": found[len(found) // 2], "p98": found[min(len(found) - 1, int(len(found) * 0.98))],
    }  # fmt: skip
    LOG.write_text(json.dumps(known, ensure_ascii=False, indent=1))
