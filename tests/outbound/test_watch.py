"""Domains and blocklists looked at by the clock, against a real name server on loopback."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.accounts.models import Role, User
from envol.accounts.workspaces import add_member
from envol.events.models import MailRequest
from envol.outbound import blocklists, domains, watch
from envol.outbound.models import Domain, Listed
from tests.outbound.test_domains import Zone, name_server, on_route, zone_of

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture
def domain(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Domain]:
    on_route(monkeypatch, "direct")
    user = User.objects.create_user("zoe@equipe.example", "un mot de passe", language="fr")
    add_member(workspace, user, Role.OWNER)
    yield domains.add(workspace, "librairie.example")


def hours_later(hours: int) -> None:
    db.execute(
        "UPDATE outbound_domain SET checked_at = checked_at - make_interval(hours => %(h)s),"
        " failing_at = failing_at - make_interval(hours => %(h)s)",
        {"h": hours},
    )


def look(zone: Zone) -> int:
    with name_server(zone) as resolver:
        return watch.look(resolver)


def mails() -> list[str]:
    return list(MailRequest.objects.order_by("id").values_list("kind", flat=True))


def test_a_record_that_vanishes_is_told_at_once_and_closes_the_door_a_day_later(workspace: Any, domain: Domain) -> None:
    zone = zone_of(domain)
    lacking = {key: value for key, value in zone.items() if "_dmarc" not in key[0]}
    assert look(zone) == 1
    assert look(zone) == 0, "not again at once"
    hours_later(7)
    assert look(lacking) == 1
    assert mails() == ["domain_failing"]
    told = MailRequest.objects.get()
    assert "_dmarc.librairie.example" in told.facts["text"] and "24 heures" in told.facts["text"]
    assert domains.may_send_from(workspace.pk, "a@librairie.example")[0], "an hour of a mistake stops nobody's mail"
    hours_later(1)
    assert look(lacking) == 1 and mails() == ["domain_failing"], "a failing domain is asked every hour, and told once"
    hours_later(24)
    look(lacking)
    assert mails() == ["domain_failing", "domain_closed"]
    assert not domains.may_send_from(workspace.pk, "a@librairie.example")[0]
    hours_later(1)
    look(zone)
    assert domains.may_send_from(workspace.pk, "a@librairie.example")[0] and len(mails()) == 2


def test_a_mended_record_begins_the_day_anew(workspace: Any, domain: Domain) -> None:
    zone = zone_of(domain)
    lacking = {key: value for key, value in zone.items() if "_dmarc" not in key[0]}
    for found, hours in ((zone, 0), (lacking, 7), (zone, 20), (lacking, 7), (lacking, 20)):
        hours_later(hours)
        look(found)
    domain.refresh_from_db()
    assert domain.passed_at is not None


def test_a_resolver_that_fails_closes_nothing(domain: Domain) -> None:
    zone = zone_of(domain)
    look(zone)
    for _ in range(3):
        hours_later(30)
        look({key: ["SERVFAIL"] for key in zone})
    domain.refresh_from_db()
    assert domain.passed_at is not None and mails() == []


def test_the_local_route_asks_nobody(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    on_route(monkeypatch, "local")
    assert look({}) == 0


# ---- blocklists

LISTS = "zen.list.example, domain:dbl.list.example"


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(settings.ENVOL, blocklists=LISTS, helo_name="mx.envol.example")
    monkeypatch.setattr(settings, "ENVOL", config)


US: Zone = {("mx.envol.example", "A"): ["9.9.9.9"], ("mx.envol.example", "AAAA"): ["2620:fe::9"]}
V6 = "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.f.0.0.0.2.6.2"


@pytest.mark.usefixtures("watched")
def test_addresses_and_domains_are_asked_for_and_news_is_told(workspace: Any, domain: Domain, watched: None) -> None:
    config = dataclasses.replace(settings.ENVOL, blocklists=LISTS, helo_name="mx.envol.example")
    assert config.blocklists == LISTS
    zone: Zone = {
        **US,
        ("9.9.9.9.zen.list.example", "A"): ["127.0.0.2"],
        ("9.9.9.9.zen.list.example", "TXT"): ['"See https://list.example/9.9.9.9"'],
        (f"{V6}.zen.list.example", "A"): ["127.255.255.254"],
        ("librairie.example.dbl.list.example", "A"): ["127.0.1.2"],
    }
    with name_server(zone) as resolver:
        assert blocklists.look(resolver) == 2
        assert blocklists.look(resolver) == 2
    found = {one.subject: one for one in blocklists.of_workspace(workspace)}
    assert set(found) == {"9.9.9.9", "librairie.example"}, "a list that refuses the question has said nothing"
    assert "list.example/9.9.9.9" in found["9.9.9.9"].reason
    assert mails() == ["listed"], "the owner of the domain is told once"
    with name_server(US) as resolver:
        assert blocklists.look(resolver) == 0
    assert Listed.objects.filter(listed_at=None).count() == 3


def test_another_workspace_sees_nothing_of_a_domain(workspace: Any, domain: Domain) -> None:
    from envol.accounts.workspaces import create_workspace

    Listed.objects.create(zone="dbl.list.example", subject=domain.name, listed_at=domain.created_at)
    Listed.objects.update(looked_at=domain.created_at)
    other = create_workspace("autre", title="Autre")
    assert [one.subject for one in blocklists.of_workspace(workspace)] == [domain.name]
    assert blocklists.of_workspace(other) == []


def test_without_the_setting_nobody_is_asked(workspace: Any, domain: Domain) -> None:
    Listed.objects.create(zone="old.example", subject="9.9.9.9")
    with name_server({}) as resolver:
        assert blocklists.look(resolver) == 0
    assert not Listed.objects.exists(), "and what an older setting found is forgotten"
