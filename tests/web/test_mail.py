"""The message log as pages: found, read in full, sent again; masked for those who may not see addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from envol import db
from envol.accounts.models import ApiKey, Member, Workspace
from envol.events import NewEvent, record
from envol.events.models import Kind
from envol.outbound import domains, lease, mail_log, queue, rolls
from envol.outbound.accept import Outgoing, accept_messages
from envol.outbound.settle import Result, settle
from envol.wire.smtp.grammar import Reply
from envol.wire.smtp.transcript import Said
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
ADDRESS = "client.fidele@lecteurs.example"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return open_shop("Librairie des reçus", readers=28)


def receipt(shop: Shop, subject: str, to: str = ADDRESS, **more: object) -> tuple[int, int]:
    domains.add(shop.workspace, "boutique.example", trusted=True)
    sender = ("La caisse", "caisse@boutique.example")
    made = Outgoing(shop.workspace.pk, sender, [("", to)], subject, "Merci", **more)  # type: ignore[arg-type]
    return accept_messages([made])[0].recipients[0]


def ended(key: tuple[int, int], state: str = "bounced", reply: str = f"no mailbox for {ADDRESS}") -> None:
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, enhanced, reply, host)"
        " VALUES (%s, %s, %s, 1, 'unknown_user', 550, '5.1.1', %s, 'mx.lecteurs.example')",
        [*key, state, reply],
    )


def test_it_is_found_by_address_and_says_why_it_was_refused(shop: Shop, as_member: Sign) -> None:
    key = receipt(shop, "Commande 4711", facts={"by": "smtp", "key": shop.key.pk})
    ended(key)
    client = as_member("editor", shop)
    found = client.get("/mail", {"q": ADDRESS})
    assert found.status_code == 200
    page = found.content.decode()
    assert "Commande 4711" in page and "La caisse" in page and "no such mailbox" in page
    assert f"/mail/{key[0]}/{key[1]}" in page
    one = client.get(f"/mail/{key[0]}/{key[1]}").content.decode()
    assert "550 5.1.1" in one and "mx.lecteurs.example" in one and "Accepted by us" in one
    path = f"/mail/{key[0]}/{key[1]}"
    assert path not in client.get("/mail", {"q": "Commande 4711", "state": "delivered"}).content.decode()
    assert "Commande 4711" in client.get("/mail", {"key": str(shop.key.pk)}).content.decode()
    assert "Commande 4711" not in client.get("/mail", {"until": "2020-01-01"}).content.decode()


def test_each_attempt_shows_its_whole_dialogue(shop: Shop, as_member: Sign) -> None:
    receipt(shop, "Avec dialogue", to="dialogue@lecteurs.example")
    row = None
    while row is None:  # what other tests left waiting may come first
        leases = lease.lease("test", 100, seconds=60)
        assert leases, "it is among what waits"
        rows = [row for one in leases for row in one.rows]
        row = next((row for row in rows if row.address == "dialogue@lecteurs.example"), None)
    talk: list[Said] = [
        b"RCPT TO:<dialogue@lecteurs.example>\r\n",
        Reply(250, "2.1.5", ("fine",)),
        "message of 9 octets",
    ]
    opening = "* connected to mx.lecteurs.example (192.0.2.1) from 192.0.2.9"
    settle([Result(row, "delivered", "", 250, "2.0.0", "OK", "mx.lecteurs.example", dialogue=(opening, talk))])
    page = as_member("editor", shop).get(f"/mail/{row.key[0]}/{row.key[1]}").content.decode()
    assert "connected to mx.lecteurs.example (192.0.2.1)" in page
    assert "C: RCPT TO:&lt;recipient&gt;\nS: 250 2.1.5 fine\n* message of 9 octets" in page
    assert "kept for 7 days" in page


def test_a_viewer_reads_what_happened_and_no_whole_address(shop: Shop, as_member: Sign) -> None:
    key = receipt(shop, f"Pour {ADDRESS}")
    ended(key)
    client = as_member("viewer", shop)
    for path in ("/mail", f"/mail/{key[0]}/{key[1]}", f"/mail?q={key[0]}/{key[1]}"):
        page = client.get(path).content.decode()
        assert ADDRESS not in page, path
        assert "Send it again" not in page
    # Nor does she find out by asking whether something went to an address.
    assert f"/mail/{key[0]}" not in client.get("/mail", {"q": ADDRESS, "state": "queued"}).content.decode()
    assert client.post(f"/mail/{key[0]}/{key[1]}/resend").status_code == 403


def test_it_is_sent_again_once_and_its_new_page_opens(shop: Shop, as_member: Sign) -> None:
    key = receipt(shop, "Encore", to="revenu@lecteurs.example")
    client = as_member("editor", shop)
    path = f"/mail/{key[0]}/{key[1]}"
    assert "Send it again" not in client.get(path).content.decode()  # it is on its way
    answer = client.post(f"{path}/resend", follow=True)
    assert "still on its way" in answer.content.decode()
    ended(key, "expired")
    assert "Send it again" in client.get(path).content.decode()
    answer = client.post(f"{path}/resend")
    assert answer.status_code == 303 and answer["Location"] != path
    assert "sent again, as a new message" in client.get(answer["Location"]).content.decode()
    assert "sent a message again" in as_member("owner", shop).get("/settings/journal").content.decode()


def test_a_search_that_takes_too_long_says_what_to_do(
    shop: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_log, "PATIENCE", 0.0)
    page = as_member("editor", shop).get("/mail", {"q": "words"}).content.decode()
    assert "Name a period of some days" in page


def test_a_page_that_begins_nowhere_is_not_found(shop: Shop, as_member: Sign) -> None:
    assert as_member("viewer", shop).get("/mail", {"before": "1.x.2"}).status_code == 404


def test_traffic_is_told_by_receiver_domain_key_and_hour(shop: Shop, as_member: Sign) -> None:
    client = as_member("viewer", shop)
    page = client.get("/mail/traffic").content.decode()
    for said in ("Google", "1,840", "lecteurs.example", "La caisse", "no such mailbox", "13.1 MB"):
        assert said in page, said
    assert "caisse@boutique.example" not in page  # a viewer sees no whole address, ours neither
    one = client.get("/mail/traffic", {"report": "domain", "days": "30"}).content.decode()
    assert "poste.example" in one and "Google" not in one
    file = client.get("/mail/traffic.csv", {"report": "out"})
    assert file["Content-Disposition"] == 'attachment; filename="traffic-out-7.csv"'
    lines = file.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "Receiver,delivered,put off,refused,given up,Data"
    assert lines[1] == "Google,1840,0,0,0,13064000"
    assert client.get("/mail/traffic", {"report": "nothing"}).status_code == 404


def test_failed_sign_ins_are_told_by_key(shop: Shop, as_member: Sign) -> None:
    key = ApiKey.objects.filter(workspace=shop.workspace).order_by("pk").first()
    assert key is not None
    rolls.count("auth_key", str(key.pk), "refused", workspace=shop.workspace.pk, n=9)
    rolls.count("auth_key", str(key.pk), "http: refused", workspace=shop.workspace.pk, n=4)
    rolls.flush()
    client = as_member("viewer", shop)
    page = client.get("/mail/traffic", {"report": "auth_key"}).content.decode()
    assert key.name in page and "wrong key or secret" in page
    file = client.get("/mail/traffic.csv", {"report": "auth_key"}).content.decode()
    assert f'{key.name},"wrong secret, at the HTTP API",4' in file and "at the HTTP API" in page
    assert (
        f"{key.name},wrong key or secret,9" in client.get("/mail/traffic.csv", {"report": "auth_key"}).content.decode()
    )


def test_how_long_the_queue_waits_is_a_page_and_a_file_that_agree(shop: Shop, as_member: Sign) -> None:
    client = as_member("viewer", shop)
    found = queue.ages(shop.workspace.pk)
    file = client.get("/mail/traffic.csv", {"report": "queue"}).content.decode("utf-8-sig").splitlines()
    assert file[0].startswith("State,People,Oldest (s),not due yet,≤ 5 min")
    told = {line.split(",")[0]: int(line.split(",")[1]) for line in file[1:]}
    names = {"queued": "not tried yet", "leased": "being tried", "deferred": "put off"}
    assert told == {names[state]: one.people for state, one in found.items() if one.people} and told
    page = client.get("/mail/traffic", {"report": "queue"}).content.decode()
    assert all(name in page for name in told) and "Waiting now, by age" in page
    assert "report=queue" in client.get("/mail/queue").content.decode()
    assert client.get("/mail/traffic.csv", {"report": "queue_all"}).status_code == 404


def test_every_workspace_is_told_to_who_runs_the_machine_alone(shop: Shop, as_member: Sign) -> None:
    owner = as_member("owner", shop)
    first = Workspace.objects.order_by("pk").first()
    assert first is not None
    if first.pk != shop.workspace.pk:
        assert owner.get("/mail/traffic.csv", {"report": "account"}).status_code == 404
        Member.objects.get_or_create(workspace=first, user=shop.members["owner"].user, defaults={"role": "owner"})
        session = owner.session
        session["workspace"] = first.pk
        session.save()
    rolls.count("out", "google", "delivered", workspace=shop.workspace.pk, n=3)
    rolls.flush()
    said = owner.get("/mail/traffic.csv", {"report": "account"}).content.decode()
    assert f"\n{shop.workspace.name}," in said.replace('"', "") and said.startswith("\ufeffWorkspace,")
    assert as_member("viewer", shop).get("/mail/traffic.csv", {"report": "account"}).status_code == 404


def test_connections_are_shown_to_who_runs_the_machine(shop: Shop, as_member: Sign) -> None:
    rolls.count("auth", "192.0.2.77", "refused", n=12)
    rolls.flush()
    first = Workspace.objects.order_by("pk").first()
    assert first is not None
    owner = as_member("owner", shop)
    seen = "192.0.2.77" in owner.get("/mail/traffic").content.decode()
    assert seen is (first.pk == shop.workspace.pk)
    assert owner.get("/mail/traffic", {"report": "auth"}).status_code == (200 if seen else 404)
    for role in ("editor", "viewer"):
        assert "192.0.2.77" not in as_member(role, shop).get("/mail/traffic").content.decode()
        assert as_member(role, shop).get("/mail/traffic.csv", {"report": "auth"}).status_code == 404
    Member.objects.get_or_create(workspace=first, user=shop.members["owner"].user, defaults={"role": "owner"})
    session = owner.session
    session["workspace"] = first.pk
    session.save()
    assert "192.0.2.77" in owner.get("/mail/traffic", {"report": "auth"}).content.decode()


def test_the_queue_says_who_waits_and_lets_them_be_tried_or_cancelled(shop: Shop, as_member: Sign) -> None:
    editor = as_member("editor", shop)
    page = editor.get("/mail/queue").content.decode()
    assert "poste.example" in page and "come back in five minutes" in page and "Try now" in page
    asked = {"site": "poste.example", "cause": "greylisted"}
    assert "1 message to poste.example will not be delivered" in editor.get("/mail/queue", asked).content.decode()
    assert "Try now" not in as_member("viewer", shop).get("/mail/queue").content.decode()
    group = {"site": "poste.example", "cause": "greylisted"}
    assert as_member("viewer", shop).post("/mail/queue/act", {**group, "act": "now"}).status_code == 403
    said = editor.post("/mail/queue/act", {**group, "act": "now"}, follow=True).content.decode()
    assert "1 message is tried again now." in said
    assert (
        "faster" in editor.post("/mail/queue/act", {**group, "cause": "x", "act": "now"}, follow=True).content.decode()
    )
    assert editor.post("/mail/queue/act", {**group, "act": "x"}).status_code == 404
    said = editor.post("/mail/queue/act", {**group, "act": "cancel"}, follow=True).content.decode()
    assert "1 message is cancelled." in said and "poste.example" not in said
    assert "cancelled messages that waited" in as_member("owner", shop).get("/settings/journal").content.decode()


def test_one_message_that_waits_is_cancelled_on_its_page(shop: Shop, as_member: Sign) -> None:
    key = receipt(shop, "Trop vite", to="trop.vite@lecteurs.example")
    path = f"/mail/{key[0]}/{key[1]}"
    editor = as_member("editor", shop)
    assert "Cancel this message" in editor.get(path).content.decode()
    assert "leaves no more" in editor.post(f"{path}/act", {"act": "cancel"}, follow=True).content.decode()
    assert "Cancel this message" not in editor.get(path).content.decode()
    assert "Too late" in editor.post(f"{path}/act", {"act": "now"}, follow=True).content.decode()


def test_what_came_back_later_stands_in_the_report(shop: Shop, as_member: Sign) -> None:
    person = shop.people[7]
    facts = {"late": True, "class": "mailbox_full", "no": person.pk}
    record([NewEvent(shop.workspace.pk, Kind.BOUNCED, person.pk, shop.sending.pk, facts=facts)])
    client = as_member("editor", shop)
    report = f"/campaigns/{shop.sent.pk}"
    page = client.get(f"{report}/report?whole=1").content.decode()
    assert "1 message came back later, although their server had taken it first." in page
    people = client.get(f"{report}/people", {"show": "returned"}).content.decode()
    assert person.email in people and "came back later" in people
    sites = client.get(f"{report}/report.csv", {"table": "sites"}).content.decode()
    assert "Came back later" in sites
