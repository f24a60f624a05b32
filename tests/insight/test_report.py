"""The report says what happened: nobody twice, nobody missing, and every figure opens the people behind it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from envol.accounts.models import Workspace
from envol.content.models import Template, Version
from envol.db import execute, value
from envol.events import NewEvent, counters, record
from envol.events.models import Kind
from envol.insight.report import Report, Share, report
from envol.outbound.models import Sending

START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
OPENS, CLICKS = 1, 2  # masks of the measuring purposes


class Campaign:
    """Readers at two sites; what they allow and do is written down beside, to be compared with."""

    def __init__(self, workspace: Workspace, links: int = 3) -> None:
        self.workspace = workspace
        template = Template.objects.create(workspace=workspace, name=f"lettre {random.random()}")
        self.version = Version.objects.create(
            workspace=workspace, template=template, no=1, mode="text", source="", subject="Bonjour",
            links=[
                {"no": n, "url": f"https://boutique.example/{n}", "label": f"Lien {n}"} for n in range(1, links + 1)
            ],
        )  # fmt: skip
        self.sendings: list[int] = []
        self.send()

    def send(self, kind: str = "campaign", campaign_id: int | None = None) -> int:
        sending = Sending.objects.create(
            workspace=self.workspace, kind=kind, version_id=self.version.pk, state="sent", started_at=START,
            campaign_id=campaign_id,
        )  # fmt: skip
        self.sendings.append(sending.id)
        return sending.id

    def person(self, site: str = "a.example", allowed: int = OPENS | CLICKS, refused: int = 0) -> int:
        address = f"p{random.randrange(10**12)}@{site}"
        return value(
            "INSERT INTO contacts_contact (workspace_id, email, email_key, allowed, refused)"
            " VALUES (%s, %s, %s, %s, %s) RETURNING id",
            [self.workspace.id, address, address, allowed, refused],
        )

    def sent(self, contact: int, state: str = "delivered", cause: str = "", sending: int | None = None) -> int:
        sending = sending or self.sendings[-1]
        address = value("SELECT email FROM contacts_contact WHERE id = %s", [contact])
        execute(
            "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
            " VALUES (%s, %s, %s, %s, %s, 1)",
            [sending, contact, contact, address, address.partition("@")[2]],
        )
        if state == "deferred":
            execute(
                "INSERT INTO outbound_retry (sending_id, no, site, priority, due, attempts, first_at)"
                " VALUES (%s, %s, 'x', 5, now(), 1, now())",
                [sending, contact],
            )
        elif state != "waiting":
            execute(
                "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, cause, code, reply)"
                " VALUES (%s, %s, %s, %s, 1, %s, 250, 'said so')",
                [sending, contact, state, START + timedelta(minutes=5), cause],
            )
        return contact

    def did(
        self, kind: Kind, contact: int | None, link: int | None = None, hour: float = 1, machine: str | None = None,
        sending: int | None = None,
    ) -> None:  # fmt: skip
        record(
            [NewEvent(self.workspace.id, kind, contact, sending or self.sendings[-1], link, machine,
                      at=START + timedelta(hours=hour))]
        )  # fmt: skip

    def report(self) -> Report:
        found = report(self.workspace, self.sendings)
        json.dumps(found.as_dict())
        return found


@pytest.fixture
def campaign(workspace: Workspace) -> Campaign:
    return Campaign(workspace)


def test_everybody_accepted_stands_somewhere(campaign: Campaign) -> None:
    plan = {"delivered": 5, "bounced": 2, "expired": 1, "cancelled": 1, "suppressed": 1, "deferred": 2, "waiting": 3}
    who = {state: [campaign.sent(campaign.person(), state) for _ in range(n)] for state, n in plan.items()}
    found = campaign.report()
    assert found.outcome == {"accepted": 15, **plan} and found.balanced
    for state, people in who.items():
        assert found.people(state).ids() == sorted(people)
    assert found.people("accepted").count() == 15


def test_sites_causes_and_exclusions(campaign: Campaign) -> None:
    for site, state, cause in (
        ("a.example", "delivered", ""), ("a.example", "bounced", "hard_bounce"),
        ("b.example", "bounced", "hard_bounce"), ("b.example", "suppressed", "withdrawn"),
        ("b.example", "delivered", ""),
    ):  # fmt: skip
        reader = campaign.sent(campaign.person(site), state, cause)
    campaign.did(Kind.CLICKED, reader, 1)
    left_out = campaign.person()
    execute("INSERT INTO outbound_excluded VALUES (%s, %s, 'no_permission')", [campaign.sendings[0], left_out])
    found = campaign.report()
    by_site = {site.site: site for site in found.sites}
    assert [site.site for site in found.sites] == ["b.example", "a.example"], "the largest first"
    assert (by_site["b.example"].accepted, by_site["b.example"].bounced, by_site["b.example"].clicked) == (3, 1, 1)
    assert by_site["a.example"].clicked == 0
    assert [(c.state, c.cause, c.people) for c in found.causes] == [
        ("bounced", "hard_bounce", 2), ("suppressed", "withdrawn", 1),
    ]  # fmt: skip
    assert found.excluded == {"no_permission": 1}
    assert found.people("excluded:no_permission").ids() == found.people("excluded").ids() == [left_out]
    assert found.people("bounced:hard_bounce").count() == 2
    assert found.people("site:b.example").count() == 3
    assert found.people("site:b.example:delivered").ids() == [reader]


def test_people_events_sums_and_machines_are_apart(campaign: Campaign) -> None:
    one, two, gateway = (campaign.sent(campaign.person()) for _ in range(3))
    for link in (1, 1, 2):
        campaign.did(Kind.CLICKED, one, link)
    campaign.did(Kind.CLICKED, two, 1)
    campaign.did(Kind.CLICKED, None, 1)
    campaign.did(Kind.CLICKED, gateway, 3, machine="head")
    campaign.did(Kind.OPENED, one)
    campaign.did(Kind.UNSUBSCRIBED, two)
    campaign.did(Kind.COMPLAINED, two)
    found = campaign.report()
    clicked = found.clicked
    assert (clicked.events, clicked.people, clicked.nameless) == (5, 2, 1)
    assert (clicked.machine_events, clicked.machine_people) == (1, 1)
    assert found.people("clicked").ids() == sorted([one, two])
    assert found.people("clicked:machine").ids() == [gateway]
    assert (found.opened.people, found.unsubscribed.people, found.complained.people) == (1, 1, 1)
    assert found.people("unsubscribed").ids() == found.people("complained").ids() == [two]

    assert [(k.no, k.people, k.events, k.nameless, k.machine_events) for k in found.links] == [
        (1, 2, 4, 1, 0), (2, 1, 1, 0, 0), (3, 0, 0, 0, 1),
    ]  # fmt: skip
    assert found.links[0].url == "https://boutique.example/1" and found.links[0].label == "Lien 1"
    assert found.people(found.links[0].figure).ids() == sorted([one, two])
    assert found.people(found.links[2].figure).ids() == []


def test_a_rate_is_of_those_who_agreed(campaign: Campaign) -> None:
    agreed = [campaign.sent(campaign.person()) for _ in range(40)]
    silent = [campaign.sent(campaign.person(allowed=0)) for _ in range(20)]
    refused = campaign.sent(campaign.person(allowed=CLICKS, refused=CLICKS))
    lost = campaign.sent(campaign.person(), "bounced", "hard_bounce")
    for contact in [*agreed[:10], refused]:
        campaign.did(Kind.CLICKED, contact, 1)
    for _ in silent:
        campaign.did(Kind.CLICKED, None, 1)
    campaign.did(Kind.CLICKED, agreed[11], 1, machine="too_fast")
    found = campaign.report()
    assert found.clicked.agreed == Share(10, 40), "machines and people who were not reached are not in it"
    assert found.clicked.people == 11 and found.clicked.nameless == 20
    assert found.people("agreed_clicks").ids() == sorted(agreed) and lost not in agreed
    assert found.clicked.agreed.sentence("fr") == "25 % des 40 qui l’acceptent"
    assert found.clicked.agreed.sentence("en") == "25 % of the 40 who agreed"
    assert found.as_dict()["clicked"]["agreed"] == {"people": 10, "of": 40, "rate": 0.25}


def test_few_people_have_numbers_but_no_percentage() -> None:
    assert Share(3, 7).sentence("en") == "3 of the 7 who agreed"
    assert Share(0, 0).rate is None
    assert Share(600, 1234).sentence("fr") == "49 % des 1\u202f234 qui l’acceptent"


def test_without_individual_measuring_there_is_no_share(campaign: Campaign) -> None:
    Workspace.objects.filter(id=campaign.workspace.id).update(clicks_mode="aggregate")
    campaign.workspace.refresh_from_db()
    campaign.sent(campaign.person())
    assert campaign.report().clicked.agreed is None


def test_the_time_line_begins_with_the_sending_and_leaves_machines_out(campaign: Campaign) -> None:
    reader = campaign.sent(campaign.person())
    campaign.did(Kind.CLICKED, reader, 1, hour=0.2, machine="head")
    campaign.did(Kind.CLICKED, reader, 1, hour=1.5)
    campaign.did(Kind.OPENED, reader, hour=3.1)
    campaign.did(Kind.CLICKED, reader, 2, hour=80)
    hours = campaign.report().hours
    assert [(h.hour, h.delivered, h.opened, h.clicked) for h in hours] == [
        (0, 1, 0, 0), (1, 0, 0, 1), (2, 0, 0, 0), (3, 0, 1, 0),
    ], "gaps are there, and 72 hours are the end"  # fmt: skip


def test_a_person_of_two_sendings_is_one_person(campaign: Campaign) -> None:
    first = campaign.sendings[0]
    reader = campaign.sent(campaign.person(), sending=first)
    second = campaign.send()
    campaign.sent(reader, sending=second)
    for sending in (first, second):
        campaign.did(Kind.CLICKED, reader, 1, sending=sending)
        campaign.did(Kind.CLICKED, None, 2, sending=sending)
    found = campaign.report()
    assert (found.clicked.events, found.clicked.people, found.clicked.nameless) == (4, 1, 2)
    assert [(k.no, k.people, k.events, k.nameless) for k in found.links][:2] == [(1, 1, 2, 0), (2, 0, 2, 2)]
    assert found.outcome["accepted"] == 2 and found.people("accepted").ids() == [reader]
    alone = report(campaign.workspace, second)
    assert (alone.clicked.events, alone.clicked.people) == (2, 1)


def test_counters_remain_when_single_events_are_gone(campaign: Campaign) -> None:
    reader = campaign.sent(campaign.person())
    campaign.did(Kind.CLICKED, reader, 1)
    before = campaign.report()
    counters.freeze(campaign.sendings[0])
    execute("DELETE FROM events_event WHERE sending_id = %s", [campaign.sendings[0]])
    after = campaign.report()
    assert after.frozen and after.clicked.people == before.clicked.people == 1
    assert [k.people for k in after.links] == [k.people for k in before.links]
    assert after.people("clicked").ids() == []


def test_another_workspace_sees_nothing(campaign: Campaign) -> None:
    from envol.accounts.workspaces import create_workspace

    campaign.sent(campaign.person())
    stranger = create_workspace(f"w{random.randrange(10**9)}")
    found = report(stranger, campaign.sendings)
    assert found.sendings == () and found.outcome["accepted"] == 0 and found.links == ()


def test_a_campaign_is_its_sendings_without_tests(campaign: Campaign) -> None:
    number = random.randrange(10**9)
    kept = campaign.send(campaign_id=number)
    campaign.send("test", campaign_id=number)

    class Chosen:
        pk = number

    assert report(campaign.workspace, Chosen()).sendings == (kept,)


@pytest.mark.parametrize("figure", ["", "clicks", "link:1", "link:a:b", "delivered'; --", "site:", "accepted:x"])
def test_figures_there_are_not_are_refused_with_those_there_are(campaign: Campaign, figure: str) -> None:
    with pytest.raises(ValueError, match="there are accepted"):
        campaign.report().people(figure)


def test_an_empty_sending_has_a_report(campaign: Campaign) -> None:
    found = campaign.report()
    assert found.balanced and found.hours == () and len(found.links) == 3
