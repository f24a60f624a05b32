"""Every page that a member can open by GET, from the routes themselves: a new one is looked at without being listed."""

from __future__ import annotations

from typing import Any

# Pages whose address says more than the route: a figure, an open tab, a filter.
MORE = (
    "/contacts?q=zo", "/search?q=lettre", "/2fa/", "/nowhere", "{sent}/people?show=bounced", "{draft}", "{draft}/send",
    "{draft}/content", "/contacts/act?act=set&all=1&property=city", "/contacts/act?act=leave&all=1&q=martin",
    "/fields?q=zzz", "/contacts/{person}?grant={purpose}",
)  # fmt: skip

_pages: dict[str, bool] = {}
"""Whether an address answers with a whole page: asked once, whatever the number of languages, roles and looks."""


def every_page(shop: Any) -> list[str]:
    """Addresses that answer with a whole page of ours, in order; parts, files and previews are left out."""
    from django.test import Client

    from tests.web.test_doors import POST_ONLY, address, ours

    owner = Client(HTTP_HOST="localhost")
    owner.force_login(shop.members["owner"].user, "allauth.account.auth_backends.AuthenticationBackend")
    sent, draft = f"/campaigns/{shop.sent.pk}", f"/campaigns/{shop.draft.pk}"
    paths = {address(route, shop) for route, name, _least in ours() if name not in POST_ONLY}
    offers = shop.workspace.purposes.get(key="offers")
    more = {"sent": sent, "draft": draft, "person": shop.people[0].pk, "purpose": offers.pk}
    paths |= {path.format(**more) for path in MORE}
    for path in paths - _pages.keys():
        _pages[path] = is_page(owner.get(path))
    return [path for path in sorted(paths) if _pages[path]]


def is_page(answer: Any) -> bool:
    if answer.streaming or not answer.headers.get("Content-Type", "").startswith("text/html"):
        return False
    return b"</html>" in answer.content and b'id="main"' in answer.content
