"""A domain's page: what to publish, what was found, where they differ, and when it looks again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.web.difference import differences


@given(st.text("v=spf1 amx~-l;k", max_size=40), st.text("v=spf1 amx~-l;k", max_size=40))
def test_the_difference_spells_both_records(expected: str, found: str) -> None:
    pieces = differences(expected, found)
    assert "".join(p.text for p in pieces if p.kind != "lacking") == found
    assert "".join(p.text for p in pieces if p.kind != "extra") == expected


@pytest.fixture
def declared(shop: Any) -> Any:
    from envol.outbound import domains
    from envol.outbound.models import Domain

    one = domains.add(shop.workspace, "lettre.boutique.example")
    yield one
    Domain.objects.filter(pk=one.pk).delete()


def test_a_wrong_record_is_shown_letter_by_letter(as_member: Any, declared: Any) -> None:
    from envol.outbound import domains

    owner = as_member("owner")
    spf = next(r for r in domains.expected_records(declared) if r["record"] == "SPF")
    declared.findings = [{**spf, "found": spf["expected"].replace("~all", "?all"), "ok": False}]
    declared.checked_at = declared.created_at
    declared.save()
    page = owner.get(f"/settings/domains/{declared.pk}").content.decode()
    assert "~</ins>" in page and "?</del>" in page
    assert f"lettre.boutique.example. 3600 IN TXT &quot;{spf['expected']}&quot;" in page


def test_the_page_looks_again_by_itself_then_less_often(as_member: Any, declared: Any) -> None:
    owner = as_member("owner")
    address = f"/settings/domains/{declared.pk}"

    def trigger(age: timedelta) -> str:
        type(declared).objects.filter(pk=declared.pk).update(created_at=declared.created_at - age)
        page = owner.get(address).content.decode()
        return page.partition("load delay:")[2].partition("s")[0]

    assert trigger(timedelta()) == "30"
    assert trigger(timedelta(hours=2)) == "120"
    assert trigger(timedelta(days=1)) == "900"
    assert trigger(timedelta(days=4)) == ""
    type(declared).objects.filter(pk=declared.pk).update(created_at=declared.created_at, passed_at=declared.created_at)
    assert trigger(timedelta()) == ""


def test_an_invitation_goes_by_mail_too(as_member: Any, shop: Any) -> None:
    from envol.events.models import MailRequest

    page = as_member("owner").post("/settings/team/invite", {"email": "rose@equipe.example", "role": "editor"})
    assert page.status_code == 201
    asked = MailRequest.objects.get(recipient="rose@equipe.example")
    link = asked.facts["text"].partition("http")[2].split()[0]
    assert f"http{link}" in page.content.decode() and "/password/reset/key/" in link
    assert shop.workspace.title in asked.facts["subject"]
