"""A permission ends by its term and not before; people are asked first, unmeasured, and keep it by one button."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client

from envol.accounts.models import Workspace
from envol.audience import engine
from envol.campaigns import actions, asking, checks
from envol.campaigns.refusals import Refused
from envol.consent import acts, lapse, ledger, purposes, why
from envol.consent.models import Permission, Purpose
from envol.contacts import people
from envol.contacts.masks import rebuild_masks
from envol.contacts.models import Contact
from envol.content import links
from envol.content.compose import Composer
from envol.content.preview import person_of
from envol.db import rows
from envol.outbound.models import Sending

NOW = datetime.now(UTC)


@pytest.fixture
def newsletter(workspace: Workspace) -> Purpose:
    return purposes.get(workspace, "newsletter")


def reader(newsletter: Purpose, name: str, days_ago: int, **more: object) -> Contact:
    workspace = newsletter.workspace
    made = people.upsert(workspace, f"{name}@lecteurs.example", {}, source=people.source(workspace, "form", "Salon"))
    proof = acts.evidence(workspace, "line", "salon", facts={"job_role": "x", "relation_note": "y"})
    since = NOW - timedelta(days=days_ago)
    people.grant(made, newsletter, proof_of=proof, proof="1", since=since, **more)
    return made


def test_it_ends_at_its_term_after_thirty_days_and_she_may_agree_again(
    workspace: Workspace, newsletter: Purpose
) -> None:
    old, new = reader(newsletter, "zoe", 800), reader(newsletter, "ana", 10)
    job = reader(newsletter, "leo", 900, basis="business")
    with pytest.raises(ValueError, match="1 to 120"):
        lapse.change(newsletter, 0)
    lapse.change(newsletter, 24)
    assert lapse.ages(newsletter) == lapse.Ages(1, 1)
    assert lapse.end(workspace.pk) == {}, "who is there already can be asked for thirty days"
    Purpose.objects.filter(pk=newsletter.pk).update(lapses_from=date.today() - timedelta(days=1))  # as a month later
    assert lapse.end(workspace.pk) == {"newsletter": 1} and lapse.end(workspace.pk) == {}
    for one, allowed in ((old, False), (new, True), (job, True)):
        one.refresh_from_db()
        assert bool(one.allowed >> newsletter.bit & 1) is allowed and not one.refused
        assert why.why(workspace, one.pk, one.email_key, newsletter).answer.allowed is allowed
    row = Permission.objects.get(contact_id=old.pk, purpose_id=newsletter.pk, until=None)
    assert (row.state, row.proof) == ("lapsed", "term of 24 months")
    told = why.why(workspace, old.pk, old.email_key, newsletter)
    assert told.answer.reason == "no_permission" and "ended by its term" in told.sentence("en")
    before = why.why(workspace, old.pk, old.email_key, newsletter, at=NOW - timedelta(days=1))
    assert before.answer.allowed, "what was sent before it ended was allowed"
    assert ledger.verify(workspace.pk).ok and rebuild_masks(workspace) == 0
    people.grant(old, newsletter, proof_of=acts.evidence(workspace, "line", "salon"), proof="2")
    assert old.allowed >> newsletter.bit & 1, "no refusal stands in her way"


def test_a_longer_term_gives_no_new_thirty_days_and_a_shorter_one_does(newsletter: Purpose) -> None:
    lapse.change(newsletter, 24)
    Purpose.objects.filter(pk=newsletter.pk).update(lapses_from=date(2026, 1, 1))
    newsletter.refresh_from_db()
    lapse.change(newsletter, 36)
    assert newsletter.lapses_from == date(2026, 1, 1)
    lapse.change(newsletter, 12)
    assert newsletter.lapses_from is not None and newsletter.lapses_from > date.today()
    given = datetime(2024, 8, 31, tzinfo=UTC)
    assert lapse.ends(Purpose(months=6, kind="marketing"), given) == datetime(2025, 3, 1, tzinfo=UTC)
    assert lapse.ends(Purpose(months=6, kind="marketing"), given.replace(day=28)) == datetime(2025, 2, 28, tzinfo=UTC)
    assert lapse.ends(Purpose(months=6, kind="marketing"), datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(
        2027, 7, 1, tzinfo=UTC
    )


def test_she_keeps_it_by_one_button_on_her_own_page(workspace: Workspace, newsletter: Purpose) -> None:
    lapse.change(newsletter, 24)
    soon, new = reader(newsletter, "zoe", 700), reader(newsletter, "ana", 10)
    made = asking.for_keeping(newsletter, base_url="http://localhost:8025")
    assert made.unmeasured and made.segment is not None
    assert engine.count(workspace, made.segment.whole) == 1
    html = made.template.versions.latest("no").html  # type: ignore[union-attr]
    assert "preferences_url" in html and "Newsletter" in html or "Lettre d" in html
    client = Client(HTTP_HOST="localhost")

    def page(one: Contact) -> str:
        return f"/p/{links.person_token(workspace.pk, one.pk)}?l=en"

    assert "Keep my agreement" not in client.get(page(new)).content.decode()
    shown = client.get(page(soon)).content.decode()
    assert "Keep my agreement" in shown and "Your agreement ends on" in shown and len(shown.encode()) < 15_000
    for one, act in ((new, "keep_"), (soon, "keep_")):
        client.post(page(one), {"act": f"{act}{newsletter.pk}"})
    kept = Permission.objects.get(contact_id=soon.pk, purpose_id=newsletter.pk, until=None)
    assert kept.state == "granted" and kept.since > NOW - timedelta(minutes=5) and kept.evidence_id
    assert Permission.objects.filter(contact_id=new.pk, purpose_id=newsletter.pk).count() == 1, "nothing to keep yet"
    assert "Keep my agreement" not in client.get(page(soon)).content.decode()
    assert lapse.ages(newsletter).soon == 0
    with pytest.raises(Refused, match="nobody to ask"):
        asking.for_keeping(newsletter, base_url="http://localhost:8025")


def test_who_never_said_is_asked_and_the_message_measures_nobody(workspace: Workspace, newsletter: Purpose) -> None:
    unasked = reader(newsletter, "zoe", 5)
    for name, act in (("yes", "grant"), ("no", "withdraw")):
        one = reader(newsletter, name, 5)
        for key in ("measure_opens", "measure_clicks"):
            measure = purposes.get(workspace, key)
            if act == "grant":
                people.grant(one, measure, proof_of=acts.evidence(workspace, "line", "salon"), proof="1")
            else:
                acts.withdraw(workspace.pk, one.pk, [measure], state="refused")
    made = asking.for_measuring(workspace, base_url="http://localhost:8025", from_address="lettre@boutique.example")
    assert made.unmeasured and made.segment is not None
    query, params = engine.ids_sql(workspace, made.segment.whole)
    assert [row[0] for row in rows(query, params)] == [unasked.pk]
    again = asking.for_measuring(workspace, base_url="http://localhost:8025")
    assert again.segment == made.segment, "one segment, however often it is asked"

    said = {one.code for one in checks.check(made) if one.where == "content"}
    assert not said & {"no_link", "words_of_model"}, "it leads to her choices, in words that are ready"
    agreed = Contact.objects.get(workspace_id=workspace.pk, email="yes@lecteurs.example")
    version = made.template.versions.latest("no")  # type: ignore[union-attr]
    for campaign, pixels in ((made, 0), (actions.edit(again, again.revision, unmeasured=False), 1)):
        sending = Sending(
            id=1, workspace=workspace, kind="campaign", version_id=version.pk, sender=actions._sender(campaign)
        )
        sender = {**sending.sender, "address": "lettre@boutique.example"}
        composer = Composer(sending, version, workspace, sender, (), "http://localhost:8025", attachments=())
        html = composer.parts(person_of(agreed, agreed.pk)).html or ""
        assert html.count("/o/") == pixels and "/p/" in html
