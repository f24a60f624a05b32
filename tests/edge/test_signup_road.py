"""Sign-up by the road of every message: form, queue, courier, SMTP, a mailbox, the link in it, a grant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from django.test import Client

from envol import db
from envol.accounts.models import Workspace
from envol.collect import joining, signup
from envol.consent import gates, ledger, purposes, suppression
from envol.consent.models import Evidence, Permission
from envol.contacts import people
from envol.contacts.models import List
from envol.edge.http import _Discreet
from envol.outbound import domains, requests
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until

pytestmark = pytest.mark.usefixtures("empty_database")


def outcome(address: str) -> str | None:
    return db.value(
        "SELECT o.state FROM outbound_send s JOIN outbound_outcome o USING (sending_id, no) WHERE s.address = %s",
        [address],
    )


def test_from_the_form_to_a_permission(workspace: Workspace) -> None:
    domains.add(workspace, "librairie.example", trusted=True)
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Lettre"), "letter")
    signup.switch(form, True)
    text = signup.texts_of(form, "fr")[0]
    browser = Client(enforce_csrf_checks=True, headers={"host": "localhost", "accept-language": "fr"})
    stamp = joining.stamp(form, [text], datetime.now(UTC) - timedelta(minutes=1))
    suppression.add(workspace.pk, "mort@un.example", "all", "unknown_user", "outcome 1/2")
    for email in ("zoe@un.example", "mort@un.example"):
        sent = browser.post(f"/s/{form.token}", {"email": email, "agree": str(text.pk), "stamp": stamp})
        assert sent.status_code == 303
    assert requests.take() == 2

    received: list[tuple[str, bytes]] = []

    async def work() -> None:
        async with Sink() as sink, couriers(sink):
            await until(lambda: outcome("zoe@un.example") == "delivered" and outcome("mort@un.example") is not None)
            received.extend(sink.accepted)

    run(work())
    assert outcome("mort@un.example") == "suppressed", "no mail to a dead mailbox, whoever types it"
    ((recipient, raw),) = received
    assert recipient == "zoe@un.example"
    message = message_from_bytes(raw, policy=policy.default)
    body = message.get_body(("plain",))
    page = message.get_body(("html",))
    assert body and page and str(message["From"]).endswith("<noreply@librairie.example>")
    assert raw.count(b"DKIM-Signature:") == 2 and "/o/" not in page.get_content(), "signed, untracked"
    path = re.search(r"http://localhost:8025(/s/\S+)", body.get_content())
    assert path and path[1] in page.get_content()

    assert browser.get(path[1]).status_code == 200 and people.find(workspace, "zoe@un.example") is None
    assert browser.post(path[1]).status_code == 200
    zoe = people.find(workspace, "zoe@un.example")
    assert zoe and gates.may_send(workspace.pk, zoe.pk, zoe.email_key, text.purpose.pk).allowed
    granted = Permission.objects.get(contact_id=zoe.pk, until=None)
    assert Evidence.objects.get(pk=granted.evidence_id).text == text == purposes.text(text.purpose, "fr")
    assert ledger.verify(workspace.pk).ok


def test_links_of_sign_up_do_not_reach_the_log() -> None:
    import logging

    record = logging.LogRecord("django.request", 30, "", 0, "Gone: /s/%s/%s", ("A" * 32, "secret_B-1"), None)
    _Discreet().filter(record)
    assert record.getMessage() == "Gone: /…"
