"""A request changes nobody; a confirmation from the mailbox does, once, and with the exact words as proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from envol.accounts.models import Workspace
from envol.collect import joining, signup
from envol.collect.models import Attempt, SignupForm, SignupRequest
from envol.consent import acts, gates, ledger, purposes, registry, suppression
from envol.consent.models import Evidence, Permission
from envol.contacts import catalogue, people
from envol.contacts.models import Contact, Source
from envol.db import value
from envol.outbound import requests
from envol.outbound.models import Message
from tests.collect.helpers import NOON, PAGE, ask, mails, make_form, post, secret_of, shown

ADDRESS = "zoe@lecteurs.example"


def blocks(workspace: Workspace) -> int:
    return int(value("SELECT count(*) FROM consent_ledger_block WHERE workspace_id = %s", [workspace.pk]))


def may(workspace: Workspace, key: str = "newsletter", address: str = ADDRESS) -> bool:
    contact = people.find(workspace, address)
    purpose = purposes.get(workspace, key)
    return gates.may_send(workspace.pk, contact.pk if contact else None, address, purpose.pk).allowed


def confirmed(form, email: str = ADDRESS, now: datetime = NOON, **fields: str) -> Contact:  # noqa: ANN001
    assert ask(form, email, now=now, **fields) == ""
    request = joining.find(form, secret_of(mails(form.workspace)[-1]), now)
    assert request
    contact = joining.confirm(request, page=PAGE, now=now + timedelta(minutes=5))
    assert contact
    return contact


def test_a_request_says_nothing_about_anybody(workspace: Workspace) -> None:
    form = make_form(workspace)
    before = blocks(workspace)
    assert ask(form, ADDRESS, first_name="Zoé") == ""
    assert people.find(workspace, ADDRESS) is None and blocks(workspace) == before
    kept = SignupRequest.objects.get(form=form)
    assert kept.values == {"first_name": "Zoé"} and kept.expires_at == NOON + timedelta(days=7)


def test_a_strangers_request_neither_ends_a_consent_nor_hides_a_withdrawal(workspace: Workspace) -> None:
    form = make_form(workspace)
    confirmed(form)
    other = make_form(workspace, "Autre")
    ask(other, ADDRESS, now=NOON + timedelta(days=2))
    assert may(workspace), "she goes on receiving"
    contact = people.find(workspace, ADDRESS)
    assert contact
    acts.withdraw(workspace.pk, contact.pk, [purposes.get(workspace, "newsletter")])
    ask(other, ADDRESS, now=NOON + timedelta(days=4))
    with pytest.raises(acts.Refusal, match="only she herself"):
        people.grant(
            contact,
            purposes.get(workspace, "newsletter"),
            proof_of=acts.evidence(workspace, "line", "a file"),
            proof="line 3",
        )


def test_a_confirmation_writes_both_answers_with_their_dates_and_the_exact_words(workspace: Workspace) -> None:
    form = make_form(workspace)
    text = purposes.text(purposes.get(workspace, "newsletter"), "fr")
    contact = confirmed(form, first_name="Zoé")
    purposes.reword(purposes.get(workspace, "newsletter"), {"fr": "Autre chose.", "en": "Something else."})
    asked, granted = Permission.objects.filter(contact_id=contact.pk).order_by("since")
    assert (asked.state, asked.since) == ("requested", NOON)
    assert (granted.state, granted.since, granted.until) == ("granted", NOON + timedelta(minutes=5), None)
    evidence = Evidence.objects.get(pk=granted.evidence_id)
    assert evidence.text == text and evidence.strength == "line" and evidence.facts["page"] == PAGE
    assert evidence.facts["mechanism"] == "unticked_box" and evidence.facts["place"] == "hosted_page"
    assert joining.read_proof(asked.proof) == (NOON, None)
    assert joining.read_proof(granted.proof) == (NOON, NOON + timedelta(minutes=5))
    assert joining.read_proof("fiche 12") is None
    assert may(workspace) and not may(workspace, "offers"), "only what she ticked"
    assert [one.pk for one, _ in people.lists_of(contact)] == [form.list.pk]
    assert contact.props["first_name"] == "Zoé" and contact.language == "fr"
    assert Source.objects.get(pk=contact.sources["first_name"]).kind == "form"
    assert ledger.verify(workspace.pk).ok


def test_the_version_she_saw_is_the_proof_even_when_a_newer_one_exists(workspace: Workspace) -> None:
    form = make_form(workspace)
    newsletter = purposes.get(workspace, "newsletter")
    old = shown(form)
    purposes.reword(newsletter, {"fr": "Nouveaux mots.", "en": "New words."})
    written = joining.read(form, old, post(form, ADDRESS) | {"agree": [str(old.texts[0])]})
    joining.ask(form, written, old, client="192.0.2.1", language="fr", now=NOON)
    request = joining.find(form, secret_of(mails(workspace)[-1]), NOON)
    assert request
    contact = joining.confirm(request, page=PAGE, now=NOON)
    assert contact
    granted = Permission.objects.get(contact_id=contact.pk, purpose_id=newsletter.pk, until=None)
    found = Evidence.objects.get(pk=granted.evidence_id).text
    assert found and found.version == 1


def test_confirming_twice_is_harmless(workspace: Workspace) -> None:
    form = make_form(workspace)
    contact = confirmed(form)
    before = blocks(workspace)
    request = SignupRequest.objects.get(form=form)
    assert joining.confirm(request, page=PAGE, now=NOON + timedelta(days=1)) == contact
    assert blocks(workspace) == before
    assert joining.figures([form.pk]) == {form.pk: {"asked": 1, "confirmed": 1, "held": 0}}
    assert not request.email and not request.values, "what she wrote has moved on"


@pytest.mark.parametrize(
    ("after", "works"), [(timedelta(days=7) - timedelta(seconds=1), True), (timedelta(days=7), False)]
)
def test_the_link_works_for_seven_days(workspace: Workspace, after: timedelta, works: bool) -> None:
    form = make_form(workspace)
    ask(form, ADDRESS)
    request = joining.find(form, secret_of(mails(workspace)[-1]), NOON)
    assert request
    assert (joining.find(form, secret_of(mails(workspace)[-1]), NOON + after) is not None) == works
    assert (joining.confirm(request, page=PAGE, now=NOON + after) is not None) == works
    assert (people.find(workspace, ADDRESS) is not None) == works


def test_the_sweep_forgets_after_seven_days_and_not_before(workspace: Workspace) -> None:
    form = make_form(workspace)
    ask(form, ADDRESS)
    joining.sweep(NOON + timedelta(days=7) - timedelta(seconds=1))
    assert SignupRequest.objects.filter(form=form).count() == 1
    joining.sweep(NOON + timedelta(days=7))
    assert SignupRequest.objects.filter(form=form).count() == 0
    assert joining.figures([form.pk])[form.pk]["asked"] == 1, "sums stay"


def test_a_secret_opens_its_own_form_only(workspace: Workspace) -> None:
    form, other = make_form(workspace), make_form(workspace, "Autre")
    ask(form, ADDRESS)
    secret = secret_of(mails(workspace)[-1])
    assert joining.find(other, secret, NOON) is None and joining.find(form, secret[:-1] + "_", NOON) is None


def test_who_objected_or_was_erased_comes_back_by_her_own_act_alone(workspace: Workspace) -> None:
    form = make_form(workspace)
    contact = confirmed(form)
    acts.object_to_marketing(workspace.pk, contact.pk, ADDRESS, "her mail of Monday")
    assert not may(workspace)
    ask(form, ADDRESS, now=datetime.now(UTC))
    assert not may(workspace), "asking lifts nothing"
    _press(form)
    assert may(workspace)
    people.erase(people.find(workspace, ADDRESS), cause="request 12")  # type: ignore[arg-type]
    assert SignupRequest.objects.filter(form=form).count() == 0, "erasure takes her requests"
    Attempt.objects.all().delete()
    ask(form, ADDRESS, now=datetime.now(UTC))
    assert people.find(workspace, ADDRESS) is None
    _press(form)
    assert may(workspace)


def _press(form: SignupForm) -> None:
    request = joining.find(form, secret_of(mails(form.workspace)[-1]))
    assert request
    joining.confirm(request, page=PAGE)


def test_a_dead_mailbox_gets_no_confirmation_though_the_answer_is_the_same(workspace: Workspace) -> None:
    """The gate of the courier holds it back: the stream is transactional, so suppression is asked."""
    form = make_form(workspace)
    suppression.add(workspace.pk, ADDRESS, "all", "hard_bounce", "outcome 1/2")
    assert ask(form, ADDRESS) == ""
    requests.take()
    message = Message.objects.filter(workspace_id=workspace.pk).latest("id")
    assert value("SELECT kind FROM outbound_sending WHERE id = %s", [message.sending_id]) == "transactional"
    assert value("SELECT address FROM outbound_send WHERE message_id = %s", [message.pk]) == ADDRESS


def test_the_mail_holds_no_word_of_the_visitor(workspace: Workspace) -> None:
    form = make_form(workspace)
    ask(form, ADDRESS, first_name="Buy cheap pills at https://evil.example")
    (mail,) = mails(workspace)
    whole = "".join(map(str, mail.facts.values()))
    assert "evil" not in whole and "pills" not in whole
    assert f"/s/{form.token}/" in mail.facts["text"] and "7 jours" in mail.facts["text"]
    assert "<img" not in mail.facts["html"], "untracked"
    assert mail.contact_id is None, "nobody was looked up"


def test_the_mail_speaks_the_visitors_language(workspace: Workspace) -> None:
    form = make_form(workspace)
    ask(form, ADDRESS, language="en")
    assert mails(workspace)[-1].facts["subject"].startswith("Confirm your subscription")


def test_words_of_the_workspace_are_no_markup_in_the_mail(workspace: Workspace) -> None:
    Workspace.objects.filter(pk=workspace.pk).update(title="<b>Librairie</b> & Co")
    workspace.refresh_from_db()
    form = make_form(workspace)
    ask(form, ADDRESS)
    assert "<b>" not in mails(workspace)[-1].facts["html"] and "&lt;b&gt;" in mails(workspace)[-1].facts["html"]


def test_what_is_wrong_is_named_field_by_field(workspace: Workspace) -> None:
    catalogue.declare(workspace, "seats", "number", "Places", "Seats")
    form = make_form(workspace, fields=[{"key": "first_name", "required": True}, {"key": "seats", "required": False}])
    seen = shown(form)
    wrong = joining.read(form, seen, {"email": ["no address"], "field_seats": ["many"]}).wrong
    assert wrong == {
        "email": "email_wrong",
        "field_first_name": "field_needed",
        "field_seats": "field_wrong",
        "agree": "agree_needed",
    }


def test_agreeing_to_be_measured_is_no_subscription(workspace: Workspace) -> None:
    form = make_form(workspace, starter="measured")
    seen = shown(form)
    written = joining.read(form, seen, {"email": [ADDRESS], "agree": [str(seen.texts[1])]})
    assert written.wrong == {"agree": "agree_needed"}


def test_a_text_that_was_not_on_the_page_cannot_be_agreed_to(workspace: Workspace) -> None:
    form = make_form(workspace)
    foreign = purposes.text(purposes.get(workspace, "measure_opens"), "fr")
    seen = shown(form)
    written = joining.read(form, seen, {"email": [ADDRESS], "agree": [str(foreign.pk), str(seen.texts[0])]})
    assert [t.pk for t in written.texts] == [seen.texts[0]]


def test_the_stamp_is_ours_and_of_this_form(workspace: Workspace) -> None:
    form, other = make_form(workspace), make_form(workspace, "Autre")
    made = joining.stamp(form, signup.texts_of(form, "fr"), NOON)
    assert joining.read_stamp(form, made) == shown(form)
    assert joining.read_stamp(other, made) is None
    for forged in ("", "x", made[:-1] + ("A" if made[-1] != "A" else "B"), made.replace(":", ";"), "é" * 3000):
        assert joining.read_stamp(form, forged) is None


def test_nobody_fills_a_page_in_a_moment(workspace: Workspace) -> None:
    form = make_form(workspace, min_seconds=3)
    seen = shown(form)
    assert joining.too_fast(form, seen, NOON + timedelta(seconds=2.9))
    assert not joining.too_fast(form, seen, NOON + timedelta(seconds=3))
    assert not joining.too_fast(form, joining.Shown(seen.texts, None), NOON), "pasted HTML does not know the time"


def test_values_that_no_longer_fit_are_left_out(workspace: Workspace) -> None:
    catalogue.declare(workspace, "shop", "choice", "Boutique", "Shop", choices=["Nantes", "Brest"])
    form = make_form(workspace, fields=[{"key": "shop", "required": False}])
    ask(form, ADDRESS, shop="Brest")
    catalogue.declare(workspace, "shop", "choice", "Boutique", "Shop", choices=["Nantes"])
    request = joining.find(form, secret_of(mails(workspace)[-1]), NOON)
    assert request
    contact = joining.confirm(request, page=PAGE, now=NOON)
    assert contact and "shop" not in contact.props and may(workspace)


def test_who_waits_is_counted_by_purpose(workspace: Workspace) -> None:
    form = make_form(workspace)
    ask(form, ADDRESS)
    newsletter = purposes.get(workspace, "newsletter").pk
    assert joining.waiting(workspace.pk, NOON) == {newsletter: 1}
    assert joining.waiting(workspace.pk, NOON + timedelta(days=7)) == {}


def test_the_room_is_on_the_data_map_and_tells_what_waits(workspace: Workspace) -> None:
    assert {d.table for d in registry.data_map()["collect"]} >= {"collect_signup_request", "collect_attempt"}
    form = make_form(workspace)
    contact = confirmed(form)
    ask(make_form(workspace, "Autre"), ADDRESS, now=NOON + timedelta(days=2), first_name="Zoé")
    (row,) = people.export(contact)["rooms"]["collect"]["signup_requests"]
    assert row["list"] == "Autre" and row["values"] == {"first_name": "Zoé"}


def test_after_erasure_nothing_of_the_sign_up_knows_her(workspace: Workspace) -> None:
    """The mail that confirmed her went to nobody's address; it goes all the same. A neighbour's stays."""
    from tests.contacts.test_people import everything

    form = make_form(workspace)
    address = f"{workspace.name}-zoe@lecteurs.example"
    ask(form, f"near-{address}", client="198.51.100.3")
    contact = confirmed(form, address.replace("zoe", "Zoe"))
    requests.take()
    assert {"events_mail_request", "outbound_send", "contacts_contact"} <= set(everything(contact.email))
    people.erase(contact, cause="request 12")
    assert everything(contact.email) == []
    assert set(everything(f"near-{address}")) >= {"outbound_send", "collect_signup_request"}


def test_a_confirmation_and_her_preference_page_do_not_wait_crosswise(workspace: Workspace) -> None:
    """The preference page holds the ledger and wants her row; a confirmation must not hold her row meanwhile."""
    import threading

    from django.db import connection, transaction

    form, other = make_form(workspace), make_form(workspace, "Autre")
    contact = confirmed(form)
    ask(other, ADDRESS, now=NOON + timedelta(days=2))
    request = joining.find(other, secret_of(mails(workspace)[-1]), NOON + timedelta(days=2))
    assert request
    done: list[Contact | None] = []

    def press() -> None:
        try:
            done.append(joining.confirm(request, page=PAGE, now=NOON + timedelta(days=2)))
        finally:
            connection.close()

    pressing = threading.Thread(target=press)
    with transaction.atomic():
        ledger.lock(workspace.pk)
        pressing.start()
        pressing.join(0.5)
        assert pressing.is_alive(), "it waits for the ledger"
        locked = Contact.objects.select_for_update(nowait=True).get(pk=contact.pk)
        assert locked.pk == contact.pk
    pressing.join(20)
    assert done == [contact]
