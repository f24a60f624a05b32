"""Mail for a listed domain waits, and goes to its own server when that one asks (RFC 1985): real sessions all along."""

from __future__ import annotations

import asyncio
import smtplib
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.accounts.workspaces import NewKey, create_workspace
from envol.outbound import domains, lease, states, stored
from envol.outbound.models import StoredDomain
from tests.edge.sink import Sink, Talk
from tests.edge.test_courier import couriers, until
from tests.edge.test_courier_direct import resolving, to_sink
from tests.edge.test_inbound import Running as Mx
from tests.edge.test_inbound import inbound  # noqa: F401 -- a fixture
from tests.edge.test_submission import Running, keep, kept, key, relay_of, signed_in  # noqa: F401 -- fixtures

pytestmark = pytest.mark.usefixtures("empty_database")

LETTER = "From: ami@ailleurs.example\nTo: zoe@client.example\nSubject: Bonjour\n\nÀ bientôt.\n.\n"
ZONE: Any = {("mail.client.example", "A"): ["127.0.0.1"], ("client.example", "MX"): ["10 mx.boutique.example."]}


@pytest.fixture
def listed(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> StoredDomain:
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, route="direct"))
    domains._forget()
    domains.add(workspace, "client.example", trusted=True)
    return stored.add(workspace, "client.example", "mail.client.example", recipients=["zoe", "Luc"])


def send(mx: Mx, recipient: str = "zoe@client.example", raw: str = LETTER) -> tuple[int, str]:
    return mx.send(recipient, raw, "ami@ailleurs.example")


def deliver(done: Any, script: Any = None) -> Sink:
    found: list[Sink] = []

    async def work() -> None:
        with resolving(ZONE) as resolver:
            async with Sink(script) as sink, couriers(sink, route=to_sink(sink), resolver=resolver):
                found.append(sink)
                await until(lambda: done(sink))

    asyncio.run(work())
    return found[0]


def test_it_waits_until_it_is_asked_for(relay_of: Running, key: NewKey, inbound: Mx, listed: StoredDomain) -> None:  # noqa: F811
    assert send(inbound) == (250, "") and send(inbound, "LUC@client.example") == (250, "")
    assert send(inbound, "nobody@client.example")[0] == 550 and send(inbound, "zoe@other.example")[0] == 550
    assert stored.waiting(listed) == 2 and lease.lease("test", 10, seconds=60) == [], "until it is asked for"
    with signed_in(relay_of, key) as client:
        client.ehlo()
        assert client.has_extn("etrn")
        assert client.docmd("ETRN", "other.example") == (459, b"5.7.1 Node other.example not allowed")
        assert client.docmd("ETRN", "client.example")[0] == 253
        assert client.docmd("ETRN", "@client.example")[0] == 252, "once in five minutes"
        assert client.docmd("ETRN", "nothing spaced")[0] == 501 and client.docmd("TURN")[0] == 502
    sink = deliver(lambda sink: len(sink.accepted) == 2)
    assert {to for to, _ in sink.accepted} == {"zoe@client.example", "LUC@client.example"}
    raw = sink.accepted[0][1]
    assert (
        raw.startswith(b"Received: from ")
        and b"DKIM-Signature" not in raw
        and raw.endswith("À bientôt.\r\n.\r\n".encode())
    )
    assert all("MAIL FROM:<ami@ailleurs.example>" in line for line in sink.commands if line.startswith("MAIL"))
    assert states.invariants() == []
    with signed_in(relay_of, key) as client:
        assert client.docmd("ETRN", "client.example")[0] == 251


def test_nobody_learns_whose_mail_waits(relay_of: Running, key: NewKey, listed: StoredDomain) -> None:  # noqa: F811
    other = create_workspace("other", title="Other")
    domains.add(other, "voisin.example", trusted=True)
    stored.add(other, "voisin.example", "mail.voisin.example")
    with smtplib.SMTP("127.0.0.1", relay_of.port, timeout=20) as client:
        client._host = "localhost"  # type: ignore[attr-defined]
        client.starttls(context=relay_of.trust)
        client.ehlo()
        assert client.docmd("ETRN", "client.example")[0] == 502 and not client.has_extn("etrn")
        client.login(key.key, key.secret)
        said = {client.docmd("ETRN", name) for name in ("voisin.example", "nulle-part.example")}
        assert {code for code, _ in said} == {459} and len({text.split(b" ", 2)[2][-11:] for _, text in said}) == 1


def test_what_its_server_refuses_comes_back_to_nobody(inbound: Mx, listed: StoredDomain) -> None:  # noqa: F811
    send(inbound)
    stored.start(listed.workspace_id, "client.example")

    def no(talk: Talk, verb: str) -> str | None:
        return "550 5.1.1 no such user" if verb == "RCPT" else None

    deliver(lambda sink: states.finished(listed.sending_id), no)
    assert db.rows("SELECT state, code FROM outbound_outcome") == [("bounced", 550)]
    lease.sweep()
    assert db.value("SELECT count(*) FROM outbound_send") == 1, "no bounce to a stranger"
    assert db.value("SELECT count(*) FROM consent_suppression") == 0


def test_a_server_that_is_away_is_waited_for_and_what_is_old_ends(inbound: Mx, listed: StoredDomain) -> None:  # noqa: F811
    send(inbound)
    stored.start(listed.workspace_id, "client.example")
    deliver(lambda sink: db.value("SELECT count(*) FROM outbound_retry"), lambda talk, verb: "451 4.3.2 not now")
    state = "SELECT state FROM outbound_sending WHERE kind = 'stored'"
    stored.look_after()
    assert db.value(state) == "sending", "for ten minutes it tries"
    db.execute("UPDATE outbound_stored SET asked_at = now() - interval '11 minutes'")
    stored.look_after()
    assert db.value(state) == "paused" and stored.waiting(listed) == 1
    send(inbound)
    assert stored.start(listed.workspace_id, "client.example")[0] == 253
    db.execute("UPDATE outbound_retry SET first_at = now() - interval '6 days'")
    db.execute("UPDATE outbound_chunk SET due = now() - interval '6 days' WHERE NOT done")
    stored.look_after()
    assert db.rows("SELECT state, cause FROM outbound_outcome") == [("expired", "not_fetched")] * 2
    assert stored.waiting(listed) == 0 and states.invariants() == []


def test_only_what_is_hers_is_listed_and_a_loop_or_a_flood_is_refused(
    workspace: Any,
    inbound: Mx,  # noqa: F811
    listed: StoredDomain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, host, said in (
        ("ailleurs.example", "mail.ailleurs.example", "not declared"),
        ("client.example", "mail.client.example", "already"),
        ("client.example", "192.0.2.1", "."),
    ):
        with pytest.raises(ValueError, match=said):
            stored.add(workspace, name, host)
    with pytest.raises(smtplib.SMTPDataError) as error:
        send(inbound, raw="Received: by a\n" * 101 + LETTER)
    assert error.value.smtp_code == 554
    monkeypatch.setattr(stored, "MOST_WAITING", 1)
    assert send(inbound) == (250, "")
    with pytest.raises(smtplib.SMTPDataError) as error:
        send(inbound)
    assert error.value.smtp_code == 452 and stored.waiting(listed) == 1
    assert stored.remove(listed) == 1
    lease.sweep()
    assert db.rows("SELECT state FROM outbound_outcome") == [("cancelled",)] and send(inbound)[0] == 550
