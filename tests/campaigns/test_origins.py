"""Whoever's data came from somebody else is told so, in the first message and within a month; who was told is known."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import time_machine

from envol import db
from envol.accounts.models import Workspace
from envol.campaigns import actions, checks, content, origins
from envol.consent import informing, policies, purposes, registry, tasks
from envol.consent.models import Evidence, Informing, Origin
from envol.contacts import imports
from envol.contacts.models import Contact
from envol.events.models import MailRequest
from tests.campaigns.shop import Shop, deliver, open_shop, start
from tests.contacts.test_imports import CONSENT, FRENCH, bring

LIMIT = datetime(2026, 2, 28, 22, 59, 59, tzinfo=UTC)


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace)


def came(shop: Shop, *ids: int, name: str = "Salon du livre") -> Origin:
    query = "SELECT unnest(%(ids)s::bigint[])"
    made = informing.begin(shop.workspace, name, date(2026, 1, 31), (query, {"ids": list(ids)}))
    assert made is not None
    return made


def test_no_campaign_reaches_them_before_it_says_where_the_data_came_from(shop: Shop) -> None:
    ours, theirs, never = (shop.person(f"{n}@lecteurs.example", allowed=n != "never") for n in ("a", "b", "never"))
    origin = came(shop, theirs, never)
    assert origin.due_at == LIMIT, "a month by the calendar of the organisation"
    policies.ensure_notice(shop.workspace)

    look = checks.look(shop.campaign)
    assert look.who is not None and look.who.allowed == 1 and look.who.excluded == {"no_permission": 1, "not_told": 1}
    told = next(one for one in look.checks if one.code == "not_told")
    assert "Salon du livre" in told.fr and "1 person" in told.en
    query, params = checks.allowed_ids(shop.campaign)
    assert {row[0] for row in db.rows(query, params)} == {ours}

    other = actions.duplicate(shop.campaign)
    version = origins.add(shop.campaign)
    theirs_now = checks.latest_version(other)
    assert theirs_now is not None and theirs_now.informs == [], "whoever shares the content keeps it as it is"
    assert checks.latest_version(shop.campaign) == version
    for part in (version.html, version.text):
        assert (
            "Salon du livre" in part
            and "Si vous ne nous avez pas" in part
            and "31 janvier 2026" in part
            and "January 31, 2026" in part
        )
        assert part.count("preferences_url") >= 3, "her own page, in either language, before the footer"
    with pytest.raises(actions.Refused, match="Everybody"):
        came(shop, never)
        db.execute("UPDATE consent_informing SET at = now() WHERE contact_id = %s", [theirs])
        origins.add(shop.campaign)
    db.execute("UPDATE consent_informing SET at = NULL")
    # New words keep the paragraph; it is never there twice.
    words = content.words_of(version)
    shop.campaign.refresh_from_db()
    again = content.save(shop.campaign, shop.campaign.revision, words, base_url="https://envol.example")
    assert again.informs == [origin.pk] and again.text.count("31 janvier 2026") == 1 and again.no > version.no
    assert checks.summary(shop.campaign).excluded == {"no_permission": 1}

    # A second source makes one paragraph of both.
    second = came(shop, ours, name="Annuaire du port")
    shop.campaign.refresh_from_db()
    both = origins.add(shop.campaign)
    assert sorted(both.informs) == sorted([origin.pk, second.pk]) and both.html.count("Salon du livre") == 2
    assert both.html.count("Annuaire du port") == 2, "once in each language"

    sending = start(shop)
    deliver(sending)
    actions.refresh(sending.pk)
    assert Informing.objects.get(contact_id=ours).at is not None
    row = Informing.objects.get(contact_id=theirs)
    assert row.at is not None and row.sending_id == sending.pk and row.notice == 1
    assert Informing.objects.get(contact_id=never).at is None, "she got nothing"
    assert [(one.origin.pk, one.waiting, one.told) for one in informing.open_of(shop.workspace.pk)] == [
        (origin.pk, 1, 1)
    ]


def test_a_message_without_the_paragraph_leaves_them_out(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (shop.person(f"{n}@lecteurs.example") for n in ("a", "b"))
    came(shop, theirs)
    sending = start(shop)
    assert db.rows("SELECT no FROM outbound_send WHERE sending_id = %s", [sending.pk]) == [(ours,)]
    left = "SELECT contact_id, reason FROM outbound_excluded WHERE sending_id = %s"
    assert db.rows(left, [sending.pk]) == [(theirs, "not_told")]
    deliver(sending)
    actions.refresh(sending.pk)
    assert Informing.objects.get(contact_id=theirs).at is None
    # A gate that is forgotten is noticed.
    monkeypatch.setattr(informing, "waits_sql", lambda *_args: "false")
    assert checks.summary(shop.campaign).allowed == 2


def test_the_others_are_told_by_a_service_message_once(shop: Shop) -> None:
    ids = [shop.person(f"{n}@lecteurs.example", allowed=False) for n in "abc"]
    origin = came(shop, *ids)
    said = "\n\n".join(informing.sentences(shop.workspace, [origin]))
    for _again in range(2):
        tasks.tell_origin(origin.pk, tasks.start_informing(origin, "D'où", said, 1).pk, "D'où", said)
    asked = MailRequest.objects.filter(workspace_id=shop.workspace.pk, kind="informing")
    assert asked.count() == 3 and "Salon du livre" in asked[0].facts["text"]
    assert informing.open_of(shop.workspace.pk) == [] and informing.standing(origin).told == 3
    told = registry.export_person(shop.workspace.pk, ids[0])["rooms"]["consent"]["came_from"]
    assert told[0]["source"] == "Salon du livre" and told[0]["told_at"]


def test_today_is_the_day_of_the_workspace(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(FRENCH, "utf-8")
    imp = bring(workspace, path, CONSENT)
    with time_machine.travel(datetime(2026, 11, 27, 23, 30, tzinfo=UTC), tick=False):  # half past midnight in Paris
        with pytest.raises(imports.ImportProblem, match="future"):
            imports.set_origin(imp, imports.OTHER, "Salon du livre", "2026-11-29")
        assert imports.set_origin(imp, imports.OTHER, "Salon du livre", "2026-11-28").origin["on"] == "2026-11-28"


def test_a_file_from_somebody_else_starts_the_month_for_who_is_new(workspace: Workspace, tmp_path: Path) -> None:
    policies.ensure_notice(workspace)
    purposes.get(workspace, "newsletter")
    path = tmp_path / "people.csv"
    path.write_text(FRENCH, "utf-8")
    imp = bring(workspace, path, CONSENT)
    with pytest.raises(imports.ImportProblem, match="future"):
        imports.set_origin(imp, imports.OTHER, "Salon du livre", "2099-01-01")
    imports.set_origin(imp, imports.OTHER, "Salon du livre", "2026-01-31")
    imports.dry_run(imp)
    assert not Origin.objects.filter(workspace=workspace).exists(), "a try starts nothing"
    imports.run(imp)
    origin = Origin.objects.get(workspace=workspace)
    assert (origin.name, origin.import_id, origin.due_at) == ("Salon du livre", imp.pk, LIMIT)
    assert informing.standing(origin).waiting == 3 == Contact.objects.filter(workspace_id=workspace.pk).count()
    assert Evidence.objects.get(pk=imp.permission["evidence_id"]).facts["notice"] == 1
    imports.undo(imp)
    assert not Origin.objects.filter(workspace=workspace).exists()
