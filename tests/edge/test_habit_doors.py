"""A key that is suddenly used otherwise, by real SMTP and by the send API: what is held, what pauses it, who hears it.

Its history is made through the same doors and moved back in time, since habits are those of weeks.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.policy import SMTP
from typing import Any

import pytest
from django.test import Client

from envol import db
from envol.accounts.models import ApiKey, JournalEntry
from envol.accounts.workspaces import NewKey
from envol.events.models import MailRequest
from envol.outbound import habits, lease
from envol.outbound.models import Held
from envol.outbound.settle import Result, settle
from tests.api.test_sending import post, server  # noqa: F401 -- a fixture
from tests.edge.test_fraud_doors import HINT, _fresh, message, page  # noqa: F401 -- fixtures
from tests.edge.test_http import Server
from tests.edge.test_submission import Running, keep, kept, key, relay_of, signed_in  # noqa: F401 -- fixtures

pytestmark = pytest.mark.usefixtures("empty_database")

FRENCH = "<p>Votre commande est partie ce matin, nous vous remercions pour votre confiance et restons à votre écoute."
GERMAN = "<p>Ihre Bestellung ist heute unterwegs, wir danken Ihnen für Ihr Vertrauen und wünschen einen schönen Tag."
USUAL = 25
"""Messages of an hour as it always was; over nine days, enough to be a habit."""

Door = Callable[[int, str, str], None]


@pytest.fixture(params=["smtp", "api"])
def door(request: pytest.FixtureRequest, relay_of: Running, server: Server, key: NewKey) -> Door:  # noqa: F811
    """Hand in so many messages with this HTML to people of this domain; each is taken."""

    def smtp(count: int, html: str, domain: str) -> None:
        with signed_in(relay_of, key) as client:
            one = message("La Boutique", html, None)
            for n in range(count):
                assert client.sendmail("zoe@boutique.example", [f"p{n}@{domain}"], one.as_bytes(policy=SMTP)) == {}

    def api(count: int, html: str, domain: str) -> None:
        sender = {"Email": "zoe@boutique.example", "Name": "La Boutique"}
        for first in range(0, count, 50):
            letters = [
                {"From": sender, "To": [{"Email": f"p{n}@{domain}"}], "Subject": "Votre commande", "HTMLPart": html}
                for n in range(first, min(first + 50, count))
            ]
            status, said = post(server, key, {"Messages": letters})
            assert status == 200 and {one["Status"] for one in said["Messages"]} == {"success"}

    return smtp if request.param == "smtp" else api


@pytest.fixture
def usual(door: Door) -> Door:
    """The same door, with nine days behind it on which the shop wrote French to people in France at this hour."""
    door(USUAL, FRENCH, "lecteurs.fr")
    db.execute(
        "INSERT INTO outbound_habit (key_id, hour, what, name, n) SELECT key_id, hour - make_interval(days => d),"
        " what, name, n FROM outbound_habit CROSS JOIN generate_series(1, 9) d"
    )
    db.execute("DELETE FROM outbound_habit WHERE hour > now() - interval '3 hours'")
    habits._forget()
    return door


def now() -> None:
    """What was handed in a moment ago counts for this hour, even when one ended meanwhile; and is looked at anew."""
    db.execute("UPDATE outbound_habit SET hour = date_trunc('hour', now()) WHERE hour > now() - interval '3 hours'")
    habits._forget()


def look() -> int:
    now()
    habits._looked = float("-inf")  # it is looked after every half minute
    return habits.look_after()


def held_page(page: Client) -> str:  # noqa: F811
    return page.get(f"/mail/held/{Held.objects.get().pk}").content.decode()


def test_a_good_day_changes_nothing(usual: Door) -> None:
    usual(90, FRENCH, "lecteurs.fr")
    now()
    usual(1, HINT, "lecteurs.fr")
    assert look() == 0 and not Held.objects.exists()


@pytest.mark.parametrize(
    ("html", "domain", "shifted", "said"),
    [
        (GERMAN, "leser.de", 0, ("German", ".de")),
        (GERMAN, "lecteurs.fr", 12, ("German", "hour")),
        (FRENCH, "leser.de", 12, (".de", "hour")),
    ],
)
def test_another_language_place_or_hour_holds_what_looked_a_little_odd(
    usual: Door,
    page: Client,  # noqa: F811
    html: str,
    domain: str,
    shifted: int,
    said: tuple[str, ...],
) -> None:
    db.execute("UPDATE outbound_habit SET hour = hour - make_interval(hours => %s)", [shifted])
    usual(55, html, domain)
    now()
    usual(1, html, domain)
    assert not Held.objects.exists(), "habits alone do not judge what a message says"
    usual(1, HINT, domain)
    shown = held_page(page)
    assert "bit.ly" in shown and [word for word in said if word not in shown] == []
    assert look() == 0, "and it may still be a new market"


def test_much_more_in_another_language_elsewhere_pauses_the_key(
    usual: Door,
    relay_of: Running,  # noqa: F811
    server: Server,  # noqa: F811
    key: NewKey,  # noqa: F811
    page: Client,  # noqa: F811
) -> None:
    usual(10 * USUAL + 5, GERMAN, "leser.de")
    assert look() == 1
    row = ApiKey.objects.get(public_id=key.key)
    assert row.paused_at is not None
    assert JournalEntry.objects.get(workspace=row.workspace, action="api_key.paused").actor_kind == "job"
    with relay_of.client() as client, pytest.raises(smtplib.SMTPAuthenticationError, match="paused"):
        client.login(key.key, key.secret)
    one: dict[str, Any] = {"From": {"Email": "zoe@boutique.example"}, "To": [{"Email": "l@x.example"}], "TextPart": "x"}
    assert post(server, key, {"Messages": [one]})[0] in (401, 403)
    (told,) = MailRequest.objects.filter(kind="key_paused")
    assert told.recipient == "rose@equipe.example" and f"/settings/keys/{row.pk}" in told.facts["text"]
    for word in (str(10 * USUAL + 5), "German", ".de"):
        assert word in told.facts["text"], told.facts["text"]
    shown = page.get(f"/settings/keys/{row.pk}").content.decode()
    assert "paused" in shown.lower() and ".de" in shown
    assert look() == 0, "once"


def test_too_many_people_who_are_not_there_pause_it(
    door: Door,
    key: NewKey,  # noqa: F811
    page: Client,  # noqa: F811
) -> None:
    door(USUAL, FRENCH, "lecteurs.fr")  # without any history: a new key as well
    rows = [row for one in lease.lease("courier", 100, seconds=60) for row in one.rows]
    assert len(rows) == USUAL
    settle([Result(row, "bounced", "user_unknown", 550, "5.1.1", "no such user", suppress=True) for row in rows])
    assert look() == 1
    (told,) = MailRequest.objects.filter(kind="key_paused")
    assert "100" in told.facts["text"] and ApiKey.objects.get(public_id=key.key).paused_at is not None
