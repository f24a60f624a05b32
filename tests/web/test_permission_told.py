"""Why somebody may be written to, told to a program by key and to a member on the page of the person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.consent import acts, ledger, purposes
from envol.contacts.models import Contact
from tests.web.shop import Shop, open_shop
from tests.web.test_segments_told import Program

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def own() -> Shop:
    return open_shop("Registre", readers=30)


def test_then_and_now_by_key_and_on_the_page(own: Shop, as_member: Sign) -> None:
    person = Contact.objects.filter(workspace_id=own.workspace.pk).order_by("pk").first()
    assert person is not None
    offers, now = purposes.get(own.workspace, "offers"), timezone.now()
    form = acts.evidence(own.workspace, "line", "carnet <du> salon", text=purposes.text(offers))
    given = ledger.Line(person.pk, offers.pk, "granted", "consent", now - timedelta(days=9), form.pk, "p. 3")
    ledger.append(own.workspace.pk, [given])
    ledger.append(
        own.workspace.pk, [ledger.Line(person.pk, offers.pk, "withdrawn", "consent", now - timedelta(days=2))]
    )
    program, then = Program(own), (timezone.localtime(now) - timedelta(days=5)).date().isoformat()
    where = f"/consent/why.json?email={person.email.upper()}&purpose=offers"
    today, that_day = program.get(where).json(), program.get(f"{where}&at={then}").json()
    assert (today["allowed"], today["reason"], today["line"]["state"]) == (False, "withdrawn", "withdrawn")
    assert that_day["allowed"] and that_day["line"]["source"] == "carnet <du> salon"
    assert that_day["sentence"]["fr"].startswith("Oui") and "block" in that_day["sentence"]["en"]
    stranger = program.get("/consent/why.json?email=nobody@elsewhere.example&purpose=offers").json()
    assert stranger["contact"] is None and not stranger["allowed"]
    assert not program.get(f"{where}&channel=sms").json()["allowed"]
    for wrong in (f"{where}x", where + "&at=2999-01-01", where + "&at=never", "/consent/why.json?purpose=offers"):
        assert program.get(wrong).status_code == 400 and program.get(wrong).json()["error"].endswith("."), wrong
    page = as_member("viewer", own).get(f"/contacts/{person.pk}?on={then}").content.decode()
    assert "carnet &lt;du&gt; salon; line 0 of block" in page and "was allowed on" in page
    wrong_page = as_member("viewer", own).get(f"/contacts/{person.pk}?on=2999-01-01").content.decode()
    assert "lies in the future" in wrong_page and 'value="2999-01-01"' in wrong_page


def test_a_key_without_the_scope_and_a_person_of_another_workspace(own: Shop, shop: Shop) -> None:
    program = Program(own)
    theirs = Contact.objects.filter(workspace_id=shop.workspace.pk, allowed__gt=0).exclude(
        email_key__in=Contact.objects.filter(workspace_id=own.workspace.pk).values("email_key")
    ).first()  # fmt: skip
    assert theirs is not None
    told = program.get(f"/consent/why.json?email={theirs.email}&purpose=newsletter").json()
    assert told["contact"] is None and told["line"] is None
    api_keys.limit(program.row, Limits(scopes=["segments"]))
    assert program.get(f"/consent/why.json?email={theirs.email}&purpose=newsletter").status_code == 403
