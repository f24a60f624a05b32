"""The one-time link: whoever holds it becomes the first owner, once."""

from __future__ import annotations

import threading

import pytest
from django.test import Client

FORM = {
    "name": "Zoé",
    "email": "Zoe@Boutique.example",
    "password": "quatre mots bien ordinaires",
    "title": "Librairie des Deux Rives",
    "postal_address": "3 rue des Livres, 44000 Nantes",
    "language": "fr",
    "time_zone": "Europe/Paris",
}
pytestmark = pytest.mark.usefixtures("empty_database")


def link() -> str:
    from envol.accounts import first

    return f"/setup/{first.token()}"


def test_the_link_makes_owner_and_organisation_and_then_opens_nothing() -> None:
    from envol.accounts.models import JournalEntry, Member, Role

    client = Client(HTTP_HOST="localhost")
    assert client.get(link()).status_code == 200
    answer = client.post(link(), FORM)
    assert (answer.status_code, answer["Location"]) == (303, "/settings/domains")
    member = Member.objects.select_related("user", "workspace").get()
    assert (member.role, member.user.email, member.user.language) == (Role.OWNER, "zoe@boutique.example", "fr")
    assert member.workspace.title == FORM["title"] and member.workspace.postal_address == FORM["postal_address"]
    assert client.get("/settings/domains").status_code == 200  # signed in
    assert JournalEntry.objects.get(action="workspace.created").actor_id == member.pk
    stranger = Client(HTTP_HOST="localhost")
    assert stranger.get(link()).status_code == 404
    assert stranger.post(link(), {**FORM, "email": "eve@boutique.example"}).status_code == 404
    assert Member.objects.count() == 1


def test_another_token_opens_nothing() -> None:
    from envol.accounts.models import User

    client = Client(HTTP_HOST="localhost")
    for forged in ("0" * 32, link().rpartition("/")[2][:-1] + "x", "a"):
        assert client.get(f"/setup/{forged}").status_code == 404
        assert client.post(f"/setup/{forged}", FORM).status_code == 404
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("field", "typed"),
    [("password", "court"), ("password", "1234567890"), ("email", "zoe@"), ("title", ""), ("time_zone", "Mars/Ares")],
)
def test_a_mistake_comes_back_with_everything_typed(field: str, typed: str) -> None:
    from envol.accounts.models import User

    client = Client(HTTP_HOST="localhost")
    answer = client.post(link(), {**FORM, field: typed})
    page = answer.content.decode()
    assert answer.status_code == 422 and f'id="id_{field}_error"' in page
    assert "3 rue des Livres" in page and 'value="Zoé"' in page
    assert not User.objects.exists()


def test_two_people_with_the_link_make_one_owner() -> None:
    from django.db import connections

    from envol.accounts.models import User, Workspace

    codes: list[int] = []
    ready = threading.Barrier(2)

    def run(name: str) -> None:
        client = Client(HTTP_HOST="localhost")
        ready.wait(10)
        codes.append(client.post(link(), {**FORM, "email": f"{name}@boutique.example"}).status_code)
        connections.close_all()

    both = [threading.Thread(target=run, args=[name]) for name in ("zoe", "ahmed")]
    for one in both:
        one.start()
    for one in both:
        one.join(30)
    assert sorted(codes) == [303, 404]
    assert User.objects.count() == Workspace.objects.count() == 1


def test_up_prints_the_link_only_while_nobody_is_there() -> None:
    from django.conf import settings

    from envol.accounts import first
    from envol.run.up import first_link

    assert first_link(settings.ENVOL) == f"{settings.ENVOL.base_url}/setup/{first.token()}"
    first.setup("zoe@boutique.example", FORM["password"], "Librairie")
    assert first_link(settings.ENVOL) == ""
