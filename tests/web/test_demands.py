"""The register of foreign authorities' demands on its pages: written down, decided, answered, by whoever may."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from django.test import Client

from envol.consent import demands
from envol.consent.models import Demand
from tests.web.shop import Shop

Sign = Callable[..., Client]


def test_from_the_order_to_the_answer(shop: Shop, as_member: Sign) -> None:
    editor, day = as_member("editor"), shop.workspace.today().isoformat()
    given = {"authority": "High Court", "country": "GB", "reference": "7", "what": "Addresses", "received_on": day}
    for wrong in ({"country": "FR"}, {"authority": ""}, {"what": " "}, {"received_on": "2999-01-01"}):
        assert editor.post("/consent/demands", given | wrong).status_code == 422
    made = editor.post("/consent/demands", given)
    one = Demand.objects.get(workspace=shop.workspace, authority="High Court")
    try:
        assert made.status_code == 303 and made["Location"] == f"/consent/demands/{one.pk}"
        assert "High Court" in editor.get("/consent/demands").content.decode()
        where = f"/consent/demands/{one.pk}"
        given = {"act": "decide", "decision": "given", "agreement": "", "why": "It was ordered."}
        refused = editor.post(f"{where}/step", given)
        assert refused.status_code == 422 and "nothing may be given" in refused.content.decode()
        assert "It was ordered." in refused.content.decode(), "what was typed stays"
        assert editor.post(f"{where}/step", given | {"decision": "refused"}).status_code == 303
        page = editor.get(where).content.decode()
        assert "It was ordered." in page and "Write the answer down" in page and 'name="decision"' not in page
        assert editor.post(f"{where}/step", {"act": "answer", "said": "No.", "on": "2999-01-01"}).status_code == 422
        assert editor.post(f"{where}/step", {"act": "answer", "said": "No.", "on": day}).status_code == 303
        page = editor.get(where).content.decode()
        assert f"{where}/step" not in page and "Answered on" in page
        assert editor.post(f"{where}/step", {"act": "answer", "said": "Yes.", "on": day}).status_code == 422
        assert as_member("viewer").get(where).status_code == 403
    finally:
        one.delete()


def test_the_register_is_paged(shop: Shop, as_member: Sign) -> None:
    day = shop.workspace.today()
    made = [demands.receive(shop.workspace, f"Court no. {n}", "US", "All", day) for n in range(60)]
    try:
        editor = as_member("editor")
        first = editor.get("/consent/demands").content.decode()
        assert "Court no. 59<" in first and "Court no. 0<" not in first
        seen, page = set(re.findall(r"Court no\. \d+", first)), first
        while older := re.search(r'href="(\?[^"]*)">Next', page):
            page = editor.get("/consent/demands" + html.unescape(older[1])).content.decode()
            seen |= set(re.findall(r"Court no\. \d+", page))
        assert len(seen) == 60
    finally:
        Demand.objects.filter(pk__in=[one.pk for one in made]).delete()
