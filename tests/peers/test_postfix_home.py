"""What Debian's Postfix refuses now and takes later, and what it takes and sends back afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.consent import suppression
from envol.content import templates
from envol.outbound import domains, states
from envol.outbound.accept import expand_batch
from envol.outbound.models import Domain
from tests.edge.test_courier import until
from tests.edge.test_inbound import Running, inbound  # noqa: F401 -- a fixture
from tests.outbound.helpers import people, queued, sending
from tests.peers import postfix as peers
from tests.peers.test_postfix import HTML, deliver, outcomes

pytestmark = [
    pytest.mark.peers,
    pytest.mark.usefixtures("empty_database"),
    pytest.mark.skipif(peers.POSTFIX is None, reason="Postfix is not installed: apt-get install postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts as root only"),
]
HOME = "bounces.librairie.example"


@pytest.fixture
def letter(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """A letter of a domain to which bounces come home."""
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, inbound="127.0.0.1:0"))
    domain = domains.add(workspace, "librairie.example", trusted=True)
    Domain.objects.filter(pk=domain.pk).update(returns_at=datetime.now(UTC))
    domains._forget()
    return templates.save(workspace, "lettre", "html", HTML, "Des livres pour l’été").id


@pytest.fixture
def base() -> Iterator[Path]:
    # Not pytest's own directory: Postfix's account could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="envol-postfix-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_what_it_takes_and_cannot_deliver_comes_home(
    workspace: Any,
    letter: int,
    inbound: Running,  # noqa: F811
    base: Path,
) -> None:
    """It answers 250 for everybody and knows two mailboxes of three: its own report (RFC 3464) comes to the inbound."""
    one = sending(workspace, version_id=letter)
    three = people(workspace, 3, domain=peers.DOMAIN)
    expand_batch(one, three)
    kept, other, gone = (address for _, address in three)
    (base / "boxes").write_text(f"{kept} inbox/\n{other} inbox/\n")
    more = (
        "smtpd_reject_unlisted_recipient = no\n"
        f"virtual_mailbox_maps = texthash:{base}/boxes\n"
        f"transport_maps = inline:{{ {{ {HOME} = smtp:[127.0.0.1]:{inbound.port} }} }}\n"
        "smtp_tls_security_level = none\n"
    )
    with peers.running(base, more, "smtp unix - - n - - smtp\n") as postfix:
        deliver(one, postfix.ports["tls"])
        assert outcomes(one) == {("delivered", "TLSv1.3", 250)}, "it took all three"

        asyncio.run(until(lambda: bool(suppression.lookup(workspace.pk, [gone])), 30))
        assert f"relay=127.0.0.1[127.0.0.1]:{inbound.port}" in postfix.log
    (said,) = suppression.lookup(workspace.pk, [kept, other, gone]).items()
    assert (said[0], said[1].scope, said[1].reason) == (gone, "all", "unknown_user")
    late = db.rows("SELECT facts ->> 'class', facts ->> 'late' FROM events_event WHERE facts ? 'late'")
    assert late == [("user_unknown", "true")]
    assert states.counts(one.id)["delivered"] == 3 and states.invariants() == []


def test_greylisting_and_refusals_by_its_own_policy(workspace: Any, letter: int, base: Path) -> None:
    """Debian's Postfix with a policy service that defers each pair once, and a table of those whom it refuses."""
    one = queued(workspace, 4, domain=peers.DOMAIN, version_id=letter)
    refused, *others = (row[0] for row in db.rows("SELECT address FROM outbound_send WHERE sending_id = %s", [one.id]))
    (base / "refused").write_text(f"{refused} 550 5.1.1 no such reader\n")
    with peers.greylisting() as policy:
        more = (
            f"smtpd_recipient_restrictions = check_recipient_access texthash:{base}/refused, reject_unauth_destination,"
            f" check_policy_service inet:127.0.0.1:{policy.port}\n"
        )
        with peers.running(base, more) as postfix:
            deliver(one, postfix.ports["tls"], retries_at_once=True)
            assert len(postfix.lines("tls", "450 4.7.1")) == 3
            assert len(postfix.lines("tls", "550 5.1.1")) == 1
    assert outcomes(one) == {("delivered", "TLSv1.3", 250), ("bounced", "TLSv1.3", 550)}
    assert sorted(policy.asked.values()) == [2, 2, 2], "once deferred, once taken"
    assert set(suppression.lookup(workspace.pk, [refused, *others])) == {refused}
    assert states.invariants() == []
