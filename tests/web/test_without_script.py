"""Every page of a member without script: each form can be sent, each button does something, each link leads somewhere.

What only a script can do (copy, print, marks in a text) stays hidden until that script shows it; everything else is
plain HTML. ``tests/browser/test_without_script.py`` walks the longer roads in a browser whose scripts are off.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import Resolver404, resolve
from selectolax.lexbor import LexborHTMLParser, LexborNode

from tests.browser.every_page import every_page

# A script shows these, and only a script could use them.
OF_SCRIPT = {"copy-text", "drop-zone", "text-tools", "print-page", "live-region", "select-rows", "undo-notice"}
TYPED = {None, "", "text", "search", "email", "url", "tel", "number", "date", "password", "time", "datetime-local"}


class Page:
    """One answer, and what is wrong in it for whoever has no script."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.tree = LexborHTMLParser(text)
        self.wrong: list[str] = []
        for node in self.tree.css("script, template"):
            node.decompose()

    def of(self, selector: str) -> list[LexborNode]:
        return self.tree.css(selector)

    def say(self, node: LexborNode, what: str) -> None:
        self.wrong.append(f"{what}: {(node.html or '')[:140]}")

    def around(self, node: LexborNode) -> list[LexborNode]:
        found: list[LexborNode] = [node]
        while (above := found[-1].parent) is not None and above.tag not in ("html", "-undef", None):
            found.append(above)
        return found

    def shown(self, node: LexborNode) -> bool:
        """Neither hidden nor in a dialog, which opens by script alone."""
        return not any("hidden" in one.attributes or one.tag == "dialog" for one in self.around(node))

    def form_of(self, node: LexborNode) -> LexborNode | None:
        if name := node.attributes.get("form"):
            return self.tree.css_first(f"form[id='{name}']")
        return next((one for one in self.around(node) if one.tag == "form"), None)

    def buttons(self, form: LexborNode) -> list[LexborNode]:
        found = [b for b in self.of("button, input[type=submit], input[type=image]") if _submits(b)]
        return [b for b in found if self.form_of(b) == form and self.shown(b)]


def _submits(button: LexborNode) -> bool:
    return button.attributes.get("type") in (None, "", "submit", "image")


def look(page: Page) -> None:
    for form in page.of("form"):
        method = (form.attributes.get("method") or "get").lower()
        if method == "dialog":
            if page.shown(form):
                page.say(form, "a form of a dialog outside of one")
            continue
        action = urlsplit(urljoin(page.path, form.attributes.get("action") or page.path)).path
        try:
            resolve(action)
        except Resolver404:
            page.say(form, f"no such address {action}")
        if method == "post" and not form.css("input[name=csrfmiddlewaretoken]"):
            page.say(form, "no token")
        controls = [c for c in form.css("input, select, textarea") if c.attributes.get("type") != "hidden"]
        if not page.shown(form) or not controls or page.buttons(form):
            continue
        typed = [i for i in form.css("input") if i.attributes.get("type") in TYPED]
        if len(typed) != 1:  # Enter sends a form of one line (HTML §4.10.21.2)
            page.say(form, "nothing sends this form")
    for button in page.of("button"):
        sends = _submits(button) and page.form_of(button) is not None
        if page.shown(button) and not sends and not button.attributes.get("popovertarget"):
            page.say(button, "does nothing without script")
    for control in page.of("input, select, textarea"):
        if control.attributes.get("type") != "hidden" and page.shown(control) and page.form_of(control) is None:
            page.say(control, "belongs to no form")
    for link in page.of("a"):
        href = link.attributes.get("href")
        if not href or href == "#" or href.startswith("javascript:"):
            page.say(link, "leads nowhere")
        elif href.startswith("#") and not page.tree.css_first(f"[id='{href[1:]}']"):
            page.say(link, "its target is not on the page")
    for node in page.of("[hx-get], [hx-post]"):
        plain = node.tag in ("a", "form") or node.css("a[href], form") or page.form_of(node)
        if not plain:
            page.say(node, "only htmx reaches this")
    for node in page.of("[hidden]"):
        around = {one.tag for one in page.around(node)}
        if not around & OF_SCRIPT and "data-script" not in node.attributes:
            page.say(node, "shown by script alone")


def asks(page: Page, client: Client) -> int:
    """Each opener of a dialog is a link to a page that asks the same, with the same buttons."""
    openers = page.of("[data-dialog]")
    for opener in openers:
        if not page.shown(opener):
            continue
        dialog = page.tree.css_first(f"dialog[id='{opener.attributes['data-dialog']}']")
        if opener.tag != "a" or dialog is None:
            page.say(opener, "opens nothing without script")
            continue
        target = urljoin(page.path, opener.attributes.get("href") or "")
        there = Page(target, client.get(target).content.decode())
        wanted = {_act(form) for form in dialog.css("form[method=post]")}
        offered = {_act(form) for form in there.of("form[method=post]") if there.shown(form)}
        if not wanted or not wanted <= offered:
            page.say(opener, f"the page {target} does not ask the same")
    return len(openers)


def _act(form: LexborNode) -> tuple[str, tuple[str, ...]]:
    values = sorted(b.attributes.get("value") or "" for b in form.css("button"))
    return form.attributes.get("action") or "", tuple(values)


def in_states(shop: Any) -> list[str]:
    """Pages that say more while something moves: work in progress, a sending, an error."""
    from envol.accounts.models import Job
    from envol.consent.tasks import VERIFY
    from envol.outbound.models import Sending

    Sending.objects.filter(pk=shop.sending.pk).update(state="sending", ended_at=None)
    type(shop.sent).objects.filter(pk=shop.sent.pk).update(state="sending")
    job = Job.objects.create(workspace=shop.workspace, kind="import.dry_run", state="running", done=3, total=10)
    type(shop.imp).objects.filter(pk=shop.imp.pk).update(job_id=job.pk, state="mapped")
    Job.objects.create(workspace=shop.workspace, kind=VERIFY, state="running", done=3, total=10)
    return [
        f"/campaigns/{shop.sent.pk}/live",
        f"/campaigns/{shop.sent.pk}/live?ask=stop",
        f"/imports/{shop.imp.pk}",
        "/consent",
        "/segments/new",
        "/contacts?q=zoe&tag=vip",
    ]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.web.shop import open_shop

    return open_shop(title="Librairie sans script", readers=30, folder=tmp_path_factory.mktemp("own"))


@pytest.mark.parametrize("role", ["owner", "editor", "viewer"])
def test_every_page_works_without_script(own: Any, role: str) -> None:
    client = Client(HTTP_HOST="localhost")
    client.force_login(own.members[role].user, "allauth.account.auth_backends.AuthenticationBackend")
    found: dict[str, list[str]] = {}
    seen = dialogs = 0
    for path in [*every_page(own), *in_states(own)]:
        answer = client.get(path, follow=True)
        if answer.status_code == 403:
            continue
        page = Page(path, answer.content.decode())
        look(page)
        dialogs += asks(page, client)
        seen += 1
        if page.wrong:
            found[path] = page.wrong
    assert not found, "\n".join(f"{path}: {wrong}" for path, wrongs in found.items() for wrong in wrongs)
    assert seen > (15 if role == "viewer" else 30)
    assert dialogs or role == "viewer"
