"""A campaign that meets too many dead mailboxes or complaints waits for a person: by outcomes as they are settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from envol.accounts.models import Role, User
from envol.accounts.workspaces import add_member
from envol.campaigns import actions, brake, tick
from envol.campaigns.expand import run as expand
from envol.campaigns.models import Brake
from envol.content import links
from envol.events.models import MailRequest
from envol.outbound import lease, reputation, returned, settle
from envol.outbound.lease import Row
from envol.outbound.models import Sending
from envol.outbound.returned import Returned
from envol.outbound.settle import DEFERRED, Result
from tests.campaigns.shop import Shop, open_shop

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture
def owner(workspace: Any) -> Any:
    user = User.objects.create_user("zoe@equipe.example", "un mot de passe", language="fr")
    return add_member(workspace, user, Role.OWNER)


@pytest.fixture
def shop(workspace: Any, owner: Any) -> Shop:
    workspace.take_back_seconds = 0
    workspace.save()
    brake._looked.clear()  # sendings of other tests had the same numbers
    return open_shop(workspace)


def on_its_way(shop: Shop, count: int, domain: str = "gmail.com") -> Sending:
    shop.people(count, domain)
    actions.send(shop.campaign, None)
    row = Sending.objects.get(campaign_id=shop.campaign.pk)
    actions.begin(row.pk)
    expand(row.pk)
    return row


def rows(count: int) -> list[Row]:
    return [row for one in lease.lease("test", count, seconds=900) for row in one.rows][:count]


def ended(row: Row) -> Result:
    return Result(row, "delivered", "", 250, "2.0.0", "OK", "mx.example")


def dead(row: Row) -> Result:
    return Result(row, "bounced", "unknown_user", 550, "5.1.1", "550 5.1.1 unknown", "mx.example", suppress=True)


def settle_each(found: list[Row], how: Callable[[int, Row], Result]) -> None:
    assert settle.settle([how(n, row) for n, row in enumerate(found)]) == []


def test_dead_mailboxes_pause_it_and_a_person_resumes(shop: Shop, owner: Any) -> None:
    sending = on_its_way(shop, 400)
    settle_each(rows(400)[:200], lambda n, row: dead(row) if n < 12 else ended(row))
    tick.run()
    shop.campaign.refresh_from_db()
    assert shop.campaign.state == "paused", "12 of 200 are more than 5 %"
    held = brake.present(shop.campaign)
    assert held is not None and (held.reason, held.receiver, held.cases, held.tried) == ("hard", "all", 12, 200)
    mail = MailRequest.objects.get(kind="campaign_braked")
    assert mail.recipient == "zoe@equipe.example" and f"/campaigns/{shop.campaign.pk}/live" in mail.facts["text"]
    assert "12" in mail.facts["text"] and "6,0" in mail.facts["text"], "in her language"
    assert lease.lease("test", 100, seconds=900) == [], "nothing more leaves"
    actions.resume(shop.campaign, owner)
    held.refresh_from_db()
    assert held.released_by == owner.pk and brake.present(shop.campaign) is None
    assert brake.look(sending.pk) is None, "what she knew is not held against it again"
    shop.campaign.refresh_from_db()
    assert shop.campaign.state == "sending"


def test_it_brakes_again_for_what_came_since(shop: Shop, owner: Any) -> None:
    sending = on_its_way(shop, 400)
    found = rows(400)
    settle_each(found[:200], lambda n, row: dead(row) if n < 12 else ended(row))
    assert brake.look(sending.pk)
    actions.resume(shop.campaign, owner)
    settle_each(found[200:320], lambda n, row: dead(row) if n < 9 else ended(row))
    again = brake.look(sending.pk)
    assert again is not None and (again.cases, again.tried) == (9, 120)
    assert Brake.objects.count() == 2


@pytest.mark.parametrize(("bad", "of"), [(4, 90), (4, 100), (9, 200), (0, 300)])
def test_chance_and_the_usual_pause_nothing(shop: Shop, bad: int, of: int) -> None:
    sending = on_its_way(shop, 400)
    settle_each(rows(400)[:of], lambda n, row: dead(row) if n < bad else ended(row))
    assert brake.look(sending.pk) is None


def test_one_receiver_is_enough_and_named(shop: Shop) -> None:
    sending = on_its_way(shop, 2400)
    found = rows(2400)
    at_gmail = [row for row in found if row.site == "gmail.com"][:110]
    others = [row for row in found if row.site != "gmail.com"][:1000]
    settle_each(at_gmail + others, lambda n, row: dead(row) if n < 7 else ended(row))
    held = brake.look(sending.pk)
    assert held is not None and (held.receiver, held.cases, held.tried) == ("google", 7, 110)
    assert "Gmail" in brake.sentence(held)


def complain(workspace: Any, row: Row) -> None:
    mark = links.message_id(row.sending.id, row.no, "boutique.example")
    raw = (
        "From: feedback@poste.example\r\nSubject: FW\r\nContent-Type: multipart/report; report-type=feedback-report;"
        " boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <{mark}>\r\nSubject: x\r\n\r\nx\r\n--b--\r\n"
    )
    assert returned.take([Returned("fbl@boutique.example", raw.encode())]) == ["feedback"]


def test_complaints_pause_it(shop: Shop) -> None:
    sending = on_its_way(shop, 800)
    found = rows(800)[:600]
    settle_each(found, lambda n, row: ended(row))
    for row in found[:2]:
        complain(shop.workspace, row)
    assert brake.look(sending.pk) is None, "two may be chance"
    complain(shop.workspace, found[2])
    held = brake.look(sending.pk)
    assert held is not None and held.reason == "complained"


def test_figures_by_receiver_are_those_of_the_outcomes(shop: Shop) -> None:
    sending = on_its_way(shop, 400)
    found = rows(400)
    blocked = Result(found[0], "bounced", "reputation", 550, "5.7.1", "550 5.7.1 our policy", "mx.example")
    later = Result(found[1], DEFERRED, "rate", 421, "4.7.28", "421 4.7.28 too fast", "mx.example")
    assert settle.settle([blocked, later, dead(found[2]), *[ended(row) for row in found[3:203]]]) == []
    whole = reputation.together(reputation.of_sendings([sending.pk]).values())
    assert whole.plain() == {
        "delivered": 200, "bounced": 2, "hard": 1, "blocked": 1, "expired": 0, "deferred": 1, "complained": 0,
    }  # fmt: skip
    days = reputation.by_day([sending.pk], 7)
    assert [sum(row[-1][kind] for row in days.values()) for kind in range(3)] == [200, 2, 1]
    said = {
        word.cause
        for receiver in days
        for word in reputation.words([sending.pk], sending.created_at, receiver)
    }  # fmt: skip
    assert said == {"reputation", "rate", "unknown_user"}


def test_nobody_else_is_braked(shop: Shop) -> None:
    sending = on_its_way(shop, 400)
    settle_each(rows(400)[:200], lambda n, row: dead(row) if n < 50 else ended(row))
    Sending.objects.filter(pk=sending.pk).update(kind="test")
    assert brake.look(sending.pk) is None
