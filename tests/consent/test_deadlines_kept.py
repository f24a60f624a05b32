"""More deadlines by the moved clock (`tests.consent.test_deadlines`): what is kept, and what lets somebody in.

What the database's clock ends by itself is left to tests that move the row: a person's pause
(`tests/web/test_rights.py`), metadata of messages (`tests/outbound/test_emptying.py`), files of people
(`tests/contacts/test_export_files.py`). Who was erased is gone from the columns beside the database within an hour
(`tests/consent/test_erased_everywhere.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client, override_settings

from envol import db
from envol.consent import acts, gates, lapse, purposes, requests, suppression, tasks
from envol.consent.models import Evidence, Processor, RightsRequest
from envol.contacts import people
from envol.events.models import MailRequest
from tests.consent.test_deadlines import ZOE, Deadline, Over, Place, _signed_in, after, hold, midnight, moment, months

pytestmark = pytest.mark.usefixtures("empty_database")


def kept(number: int) -> Callable[[datetime], datetime]:
    return lambda now: moment(now, number)


def _gone(there: Callable[[], bool]) -> Over:
    def over() -> bool:
        tasks.retain(0)
        return not there()

    return over


def _evidence(place: Place) -> Over:
    proof = acts.evidence(place.workspace, "document", "carnet", document=b"signed")
    return _gone(Evidence.objects.filter(pk=proof.pk).exists)


def _refusal(place: Place) -> Over:
    suppression.add(place.workspace.pk, ZOE, "all", "hard_bounce", "outcome 1/1")
    assert suppression.lift(place.workspace.pk, ZOE, "all", "it works again")
    past = "SELECT EXISTS (SELECT FROM consent_suppression_past WHERE workspace_id = %s)"
    assert db.value(past, [place.workspace.pk])
    return _gone(lambda: bool(db.value(past, [place.workspace.pk])))


def _processor(place: Place) -> Over:
    one = Processor.objects.create(workspace=place.workspace, name="X", role="recipient", ended_on=place.now.date())
    return _gone(Processor.objects.filter(pk=one.pk).exists)


def _request(place: Place) -> Over:
    one = requests.receive(place.workspace, "access", ZOE, channel="member", actor_id=1)
    requests.refuse(requests.prove(one, "called back", 1), "not ours", 1)
    return _gone(RightsRequest.objects.filter(pk=one.pk).exists)


def _taken_over(place: Place) -> Over:
    newsletter = purposes.get(place.workspace, "newsletter")
    made = people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
    said = "Mailjet said so on the day we left it"
    proof = acts.evidence(place.workspace, "legacy", "Mailjet", statement=said, member_id=place.owner.pk)
    people.grant(made, newsletter, proof_of=proof, proof="1", since=place.now - timedelta(days=3000))
    lapse.change(newsletter, 6, legacy=True)

    def over() -> bool:
        tasks.lapse_permissions(0)
        return not gates.may_send(place.workspace.pk, made.pk, made.email_key, newsletter.pk).allowed

    return over


def _opens(path: str) -> bool:
    page = Client(HTTP_HOST="localhost").get(path, follow=True)
    return page.status_code == 200 and 'type="password"' in page.content.decode()


def _invitation(place: Place) -> Over:
    page = _signed_in(place.owner).post("/settings/team/invite", {"email": "n@equipe.example", "role": "editor"})
    assert page.status_code == 201
    text = MailRequest.objects.filter(kind="invitation", recipient="n@equipe.example").latest("pk").facts["text"]
    assert "trois jours" in text
    path = re.search(r"https?://[^/]+(/\S+)", text)
    assert path
    return lambda: not _opens(path[1])


def _password(place: Place) -> Over:
    user = place.owner.user
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    with override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"):
        assert Client(HTTP_HOST="localhost").post("/password/reset/", {"email": user.email}).status_code == 302
    path = re.search(r"https?://[^/]+(/\S+)", str(mail.outbox[-1].body))  # type: ignore[attr-defined]
    assert path
    return lambda: not _opens(path[1])


def _session(place: Place) -> Over:
    """One that is used begins anew, so each look is by a browser of its own."""
    browsers = [_signed_in(place.owner) for _ in range(2)]
    return lambda: browsers.pop().get("/").status_code == 302


DEADLINES: dict[str, Deadline] = {
    "evidence that proves nothing any more": Deadline(_evidence, kept(60)),
    "a refusal that ended": Deadline(_refusal, kept(60)),
    "a recipient whose contract ended": Deadline(
        _processor, lambda now: midnight(months(now.date(), 60) + timedelta(days=1), UTC)
    ),
    "a request that was answered": Deadline(_request, kept(60)),
    "a permission taken over from a former system": Deadline(_taken_over, kept(6)),
    "an invitation": Deadline(_invitation, after(days=3)),
    "a link for a new password": Deadline(_password, after(days=3)),
    "a session": Deadline(_session, after(days=14)),
}


@pytest.mark.parametrize("name", DEADLINES)
def test_it_is_over_at_its_end_and_not_before(name: str) -> None:
    hold(name, DEADLINES[name])
