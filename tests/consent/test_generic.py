"""A company's general address is no person's: no agreement is asked for, and it can leave like everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import pytest
from django.test import Client

from envol import db
from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.consent import acts, bases, purposes
from envol.consent.models import Purpose
from envol.contacts import people
from envol.contacts.models import Contact
from envol.outbound import states
from tests.campaigns.shop import open_shop, start
from tests.edge.sink import Sink
from tests.edge.test_courier import HTML, couriers, run, until

pytestmark = pytest.mark.usefixtures("empty_database")

GENERAL = ["info@boulangerie.example", "contact@boulangerie.example", "Bonjour@Boulangerie.example"]
GENERAL += ["commandes+salon@boulangerie.example", "service-client@boulangerie.example"]
OF_A_PERSON = ["info@gmail.com", "zoe.info@boulangerie.example", "contactless@boulangerie.example", "contact"]
OF_A_PERSON += ["bonjour.martin@boulangerie.example", "@boulangerie.example", ""]


@pytest.mark.parametrize("address", GENERAL + OF_A_PERSON)
def test_which_addresses_are_general(address: str) -> None:
    assert bases.generic(address.lower()) == (address in GENERAL)


@pytest.mark.parametrize(
    ("address", "code"),
    [("info@boulangerie.example", None), ("zoe@boulangerie.example", "no_job_relation")]
    + [("info@gmail.com", "no_job_relation"), ("", "no_job_relation")],
)
def test_only_a_general_address_needs_no_profession(address: str, code: str | None) -> None:
    lacking = bases.unmet("business", "marketing", strength="statement", email_key=address)
    assert (lacking.code if lacking else None) == code
    asked = bases.unmet("consent", "marketing", strength="none", email_key=address)
    assert asked is not None and asked.code == "no_evidence", "no other ground is any lighter"


def test_it_is_written_to_and_may_leave_by_every_message(workspace: Workspace) -> None:
    shop = open_shop(workspace, HTML)
    page = people.source(workspace, "member", "Fiche contact")
    general = people.upsert(workspace, "info@boulangerie.example", source=page)
    person = people.upsert(workspace, "zoe@boulangerie.example", source=page)
    proof = acts.evidence(workspace, "statement", "Annuaire", statement="Found on its site", member_id=4711)
    newsletter = purposes.get(workspace, "newsletter")
    since = datetime.now(UTC) - timedelta(minutes=5)
    people.grant(general, newsletter, basis="business", proof_of=proof, since=since)
    with pytest.raises(acts.Refusal) as refused:
        people.grant(person, newsletter, basis="business", proof_of=proof, since=since)
    assert refused.value.code == "no_job_relation"

    sending = start(shop)
    got: list[tuple[str, bytes]] = []

    async def work() -> None:
        async with Sink() as sink, couriers(sink):
            await until(lambda: states.finished(sending.pk))
            got.extend(sink.accepted)

    run(work())
    assert [who for who, _ in got] == ["info@boulangerie.example"], "and nobody whose profession is not known"
    message = message_from_bytes(got[0][1])
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = next(one.strip("<> ") for one in message["List-Unsubscribe"].split(",") if "http" in one)
    browser: Client = Client(HTTP_HOST="localhost")
    assert browser.post("/" + url.split("/", 3)[3], {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert Contact.objects.get(pk=general.pk).refused >> newsletter.bit & 1
    with pytest.raises(acts.Refusal, match="withdrew"):
        people.grant(general, newsletter, basis="business", proof_of=proof, since=datetime.now(UTC))
    gone = people.erase(Contact.objects.get(pk=general.pk), cause="request 3")
    assert gone["contacts_contact"] == 1 and not db.value(
        "SELECT count(*) FROM contacts_contact WHERE workspace_id = %s AND email_key LIKE 'info@%%'", [workspace.pk]
    ), "and it has every right that a person has"


def test_its_page_says_so(workspace: Workspace) -> None:
    page = people.source(workspace, "member", "Fiche contact")
    general, person = (people.upsert(workspace, f"{n}@boulangerie.example", source=page) for n in ("contact", "zoe"))
    user = User.objects.create_user(f"general{workspace.pk}@equipe.example", "x", language="en")
    add_member(workspace, user, Role.EDITOR)
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    if not Purpose.objects.filter(workspace=workspace).exists():
        purposes.create_defaults(workspace)
    newsletter = purposes.get(workspace, "newsletter")
    seen = client.get(f"/contacts/{general.pk}?grant={newsletter.pk}").content.decode()
    assert "general address and no person" in seen and "no agreement is asked for" in seen
    assert 'name="job_role"' not in seen
    other = client.get(f"/contacts/{person.pk}?grant={newsletter.pk}").content.decode()
    assert "general address" not in other and 'name="job_role"' in other
    given = {"purpose": newsletter.pk, "basis": "business", "source": "Annuaire", "statement": "On its site"}
    given |= {"date": datetime.now(UTC).date().isoformat()}
    assert client.post(f"/contacts/{person.pk}/grant", given).status_code == 422
    assert client.post(f"/contacts/{general.pk}/grant", given).status_code == 303
