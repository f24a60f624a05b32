"""May I write, and can I prove it: the page's figures, words by version, one proof in full, who may lift what."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import Job, JournalEntry
from envol.collect import signup
from envol.collect.models import SignupRequest
from envol.consent import acts, chain, ledger, purposes, suppression, tasks
from envol.consent.models import Evidence, LedgerBlock, Permission, Purpose, PurposeText
from envol.db import execute, value
from envol.web.views.consent import diff
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
ODD = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that these tests may change."""
    return open_shop("Librairie des preuves", readers=30, folder=tmp_path_factory.mktemp("consent"))


def grant(shop: Shop, at: int, key: str = "offers", strength: str = "line", **more: object) -> Permission:
    person, purpose = shop.people[at], purposes.get(shop.workspace, key)
    evidence = acts.evidence(
        shop.workspace,
        strength,
        "Comptoir",
        text=purposes.text(purpose, "fr"),
        **more,  # type: ignore[arg-type]
    )
    acts.grant(shop.workspace.pk, person.pk, person.email_key, purpose, proof_of=evidence, proof="fiche 12")
    return Permission.objects.get(contact_id=person.pk, purpose_id=purpose.pk, until=None)


def row_of(page: str, name: str) -> str:
    found = re.search(rf"<tr>(?:(?!</tr>).)*{re.escape(name)}.*?</tr>", page, re.DOTALL)
    assert found, name
    return found[0]


def test_the_figures_are_the_people(own: Shop, as_member: Sign) -> None:
    grant(own, 27)
    acts.withdraw(own.workspace.pk, own.people[28].pk, [purposes.get(own.workspace, "offers")], state="refused")
    viewer = as_member("viewer", own)
    page = viewer.get("/consent").content.decode()
    offers = row_of(page, "Offers")
    link = re.search(r'href="(/contacts\?permission=offers\.granted)">(\d+)<', offers)
    assert link and link[2] == "1" and 'permission=offers.refused">1<' in offers
    assert re.search(r'class="piece run" width="3\.3"', offers), "one of thirty, as a bar"
    people = viewer.get(link[1]).content.decode()
    assert f"/contacts/{own.people[27].pk}" in people and f"/contacts/{own.people[26].pk}" not in people
    assert "have no proof" in page, "the shop's first permissions came without evidence"


def people_of(client: Client, where: str) -> int:
    """How many people a page lists (all of them: the shop is small), after its own figure."""
    page = LexborHTMLParser(client.get(where).content.decode())
    listed = len(page.css("main tbody tr"))
    said = page.css_first(".total, .head p")
    assert said is not None and int(re.findall(r"\d+", said.text())[0] if listed else 0) == listed, where
    return listed


def test_every_figure_opens_as_many_people_as_it_says(own: Shop, as_member: Sign) -> None:
    grant(own, 27)
    for n, state in ((20, "refused"), (21, "withdrawn"), (22, "refused")):
        acts.withdraw(own.workspace.pk, own.people[n].pk, [purposes.get(own.workspace, "newsletter")], state=state)
    execute("UPDATE contacts_contact SET suppressed = true WHERE id = %s", [own.people[27].pk])
    form = signup.of_list(own.workspace, own.list.pk)
    assert form is not None
    words = purposes.text(purposes.get(own.workspace, "offers"), "fr").pk
    for n in range(3):
        SignupRequest.objects.create(
            form=form, workspace_id=own.workspace.pk, secret_sha256=bytes([n] * 32), email=f"new{n}@lecteurs.example",
            email_key=f"new{n}@lecteurs.example", language="fr", texts=[words], pasted=False,
            asked_at=datetime.now(UTC),
            expires_at=datetime.now(UTC) + timedelta(days=7 if n else -1),
        )  # fmt: skip
    viewer = as_member("viewer", own)
    page = LexborHTMLParser(viewer.get("/consent").content.decode())
    shown = set()
    for link in page.css("main a"):
        where = link.attributes["href"] or ""
        if not where.startswith("/contacts?") and not where.endswith("/asked"):
            continue
        number = int(re.findall(r"\d+", link.text())[0])
        assert people_of(viewer, where) == number, where
        assert "@" not in viewer.get(where).content.decode().replace("•••@", ""), "a viewer sees no whole address"
        if number:
            shown.add(where.rpartition("/")[2].partition("?")[2].partition("=")[2] or "asked")
    assert shown >= {"newsletter.granted", "newsletter.refused", "offers.granted", "asked", "none", "line"}


def test_who_asks_elsewhere_is_seen_by_nobody_here(own: Shop, as_member: Sign) -> None:
    other = open_shop("Ailleurs", readers=30)
    theirs = purposes.get(other.workspace, "offers")
    assert as_member("owner", own).get(f"/consent/purposes/{theirs.pk}/asked").status_code == 404


def test_a_new_version_stands_beside_the_old_one(own: Shop, as_member: Sign) -> None:
    permission = grant(own, 26, "personalisation")
    purpose = Purpose.objects.get(pk=permission.purpose_id)
    where = f"/consent/purposes/{purpose.pk}"
    editor = as_member("editor", own)
    old = purposes.text(purpose, "fr")
    sent = {"act": "reword", "version": "1", "text_fr": old.text + " Promis.", "text_en": "I agree. Promised."}
    assert editor.post(where, sent).status_code == 303
    assert purposes.text(purpose, "fr").version == 2 and PurposeText.objects.get(pk=old.pk).text == old.text
    page = editor.get(where).content.decode()
    assert "<ins> Promis.</ins>" in page and "Version 2" in page and "1 answer cites it" in page
    late = editor.post(where, sent | {"text_fr": "Autre"})
    assert late.status_code == 409 and "Autre" in late.content.decode(), "two people: nothing is overwritten or lost"
    again = editor.post(where, {**sent, "version": "2"})
    assert again.status_code == 303 and purposes.text(purpose, "fr").version == 2, "the same words are no new version"
    empty = editor.post(where, {**sent, "version": "2", "text_en": " "})
    assert empty.status_code == 422 and purposes.text(purpose, "fr").version == 2


def test_a_purpose_is_created_and_renamed(own: Shop, as_member: Sign) -> None:
    editor = as_member("editor", own)
    new = {"label_fr": "Agenda", "label_en": "Diary", "fr": "J’accepte l’agenda.", "en": "", "kind": "marketing"}
    refused = editor.post("/consent/purposes", new)
    page = refused.content.decode()
    assert refused.status_code == 422 and "J’accepte l’agenda." in page and 'id="en_help"' in page
    assert editor.post("/consent/purposes", {**new, "en": "I agree to the diary."}).status_code == 303
    made = purposes.get(own.workspace, "diary")
    assert made.kind == "marketing" and purposes.text(made, "en").text == "I agree to the diary."
    twice = editor.post("/consent/purposes", {**new, "en": "I agree."})
    assert twice.status_code == 422
    assert editor.post("/consent/purposes", {**new, "label_en": "X", "en": "x", "kind": "measuring"}).status_code == 422
    editor.post(f"/consent/purposes/{made.pk}", {"act": "rename", "label_fr": "Sorties", "label_en": "Events"})
    made.refresh_from_db()
    assert (made.label_fr, made.label_en, made.key) == ("Sorties", "Events", "diary")


def test_without_purposes_the_usual_six_are_proposed(tmp_path_factory: pytest.TempPathFactory, as_member: Sign) -> None:
    shop = open_shop("Vide", readers=30, folder=tmp_path_factory.mktemp("none"))
    for table in ("consent_permission", "campaigns_campaign"):
        execute(f"DELETE FROM {table} WHERE workspace_id = %s", [shop.workspace.pk])
    Evidence.objects.filter(workspace=shop.workspace).delete()
    Purpose.objects.filter(workspace=shop.workspace).delete()
    editor = as_member("editor", shop)
    page = editor.get("/consent").content.decode()
    assert page.count('name="proposed"') == 6 and "May I write to people" in page
    assert editor.post("/consent/purposes", {"proposed": "newsletter"}).status_code == 303
    assert purposes.get(shop.workspace, "newsletter").kind == "marketing"
    assert editor.get("/consent").content.decode().count('name="proposed"') == 5


def test_words_are_no_markup(own: Shop, as_member: Sign) -> None:
    made = purposes.add(own.workspace, "odd", ODD, ODD, texts={"fr": ODD, "en": ODD})
    purposes.reword(made, {"fr": ODD + " <b>x</b>", "en": ODD})
    editor = as_member("editor", own)
    for path in ("/consent", f"/consent/purposes/{made.pk}"):
        assert "<script>alert" not in editor.get(path).content.decode()
    assert diff("a <b>c</b> d", "a <i>c</i> d") == "a <del>&lt;b&gt;c&lt;/b&gt;</del><ins>&lt;i&gt;c&lt;/i&gt;</ins> d"
    assert diff("same", "same") == ""


def test_a_proof_shows_the_exact_words_and_can_be_checked_without_us(own: Shop, as_member: Sign) -> None:
    permission = grant(own, 25)
    purpose = Purpose.objects.get(pk=permission.purpose_id)
    words = purposes.text(purpose, "fr").text
    purposes.reword(purpose, {"fr": "Plus tard.", "en": "Later."})
    editor = as_member("editor", own)
    page = editor.get(f"/consent/proof/{permission.pk}").content.decode()
    assert words.replace("'", "&#x27;") in page and "Plus tard." not in page
    assert "Comptoir" in page and "fiche 12" in page and own.people[25].email in page and "Checked just now" in page
    file = editor.get(f"/consent/proof/{permission.pk}?format=json").json()
    leaf = hmac.digest(bytes.fromhex(file["key"]), file["payload"].encode(), "sha256")
    assert leaf.hex() == file["leaf"]
    top = chain.climb(leaf, [(step["left"], bytes.fromhex(step["hash"])) for step in file["steps"]])
    block = file["block"]
    at = datetime.fromisoformat(block["at"])
    made = chain.block_hash(block["workspace"], block["no"], block["lines"], at, bytes.fromhex(block["previous"]), top)
    assert made.hex() == block["hash"]
    assert hashlib.sha256(file["text"].encode()).hexdigest() == file["text_sha256"]


def test_a_changed_row_is_said_to_be_changed(own: Shop, as_member: Sign) -> None:
    permission = grant(own, 24)
    execute("UPDATE consent_permission SET proof = 'fiche 13' WHERE id = %s", [permission.pk])
    page = as_member("editor", own).get(f"/consent/proof/{permission.pk}").content.decode()
    assert "somebody changed it" in page and "Checked just now" not in page
    execute("UPDATE consent_permission SET proof = 'fiche 12' WHERE id = %s", [permission.pk])


def test_a_viewer_sees_no_address_in_a_proof(own: Shop, as_member: Sign) -> None:
    permission = grant(
        own, 23, "offers", "statement", statement=f"Vu avec {own.people[22].email}", member_id=own.members["owner"].pk
    )
    page = as_member("viewer", own).get(f"/consent/proof/{permission.pk}").content.decode()
    for whole in own.addresses | {own.members["owner"].user.email}:
        assert whole not in page
    assert "•••" in page


def test_the_chain_is_verified_by_a_job(own: Shop, as_member: Sign) -> None:
    editor = as_member("editor", own)
    assert editor.post("/consent/verify").status_code == 303
    assert editor.post("/consent/verify").status_code == 303
    jobs = Job.objects.filter(workspace=own.workspace, kind=tasks.VERIFY)
    assert jobs.count() == 1, "a second press joins the first"
    assert value("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'consent.verify'") >= 1
    waits = editor.get("/consent/ledger", headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" in waits and "<html" not in waits
    job = jobs.get()
    tasks.verify(own.workspace.pk, job.pk)
    job.refresh_from_db()
    head = ledger.head(own.workspace.pk)
    assert head and job.state == "done" and job.result["ok"] and job.result["head"] == [head[0], head[1].hex()]
    assert job.done == job.total == job.result["lines"]
    page = editor.get("/consent").content.decode()
    assert "nothing was changed" in page and "hx-get" not in page


def test_a_broken_chain_is_told_and_a_cut_tail_too(tmp_path_factory: pytest.TempPathFactory, as_member: Sign) -> None:
    shop = open_shop("Falsifiée", readers=30, folder=tmp_path_factory.mktemp("broken"))
    editor = as_member("editor", shop)
    editor.post("/consent/verify")
    tasks.verify(shop.workspace.pk, Job.objects.get(workspace=shop.workspace, kind=tasks.VERIFY).pk)
    last = LedgerBlock.objects.filter(workspace_id=shop.workspace.pk).order_by("-no").first()
    assert last
    execute("ALTER TABLE consent_ledger_block DISABLE TRIGGER USER")
    execute("DELETE FROM consent_ledger_block WHERE workspace_id = %s AND no = %s", [shop.workspace.pk, last.no])
    execute("ALTER TABLE consent_ledger_block ENABLE TRIGGER USER")
    execute("DELETE FROM consent_permission WHERE workspace_id = %s AND block = %s", [shop.workspace.pk, last.no])
    editor.post("/consent/verify")
    job = Job.objects.filter(workspace=shop.workspace, kind=tasks.VERIFY).latest("id")
    tasks.verify(shop.workspace.pk, job.pk)
    page = editor.get("/consent").content.decode()
    assert "1 place is not as it was written" in page and "noted earlier" in page


def test_the_verification_can_be_stopped(own: Shop) -> None:
    job = Job.objects.create(workspace=own.workspace, kind=tasks.VERIFY, cancel_requested=True)
    tasks.verify(own.workspace.pk, job.pk)
    job.refresh_from_db()
    assert job.state == "cancelled"


def look_up(client: Client, address: str, **more: str):  # noqa: ANN201
    return client.post("/consent/suppressed", {"address": address, **more})


def test_an_owner_looks_up_an_address(own: Shop, as_member: Sign) -> None:
    suppression.add(own.workspace.pk, "mort@un.example", "all", "unknown_user", "outcome 1/2")
    owner = as_member("owner", own)
    found = look_up(owner, " Mort@un.example ").content.decode()
    assert "the mailbox does not exist" in found and "outcome 1/2" in found and "Lift this suppression" in found
    assert "not on the list" in look_up(owner, "vivant@un.example").content.decode()
    wrong = look_up(owner, "nobody")
    assert wrong.status_code == 422 and 'value="nobody"' in wrong.content.decode()
    for role in ("editor", "viewer"):
        assert look_up(as_member(role, own), "mort@un.example").status_code == 403
        assert 'name="address"' not in as_member(role, own).get("/consent").content.decode()


def test_a_dead_mailbox_is_lifted_with_a_cause_and_journaled(own: Shop, as_member: Sign) -> None:
    suppression.add(own.workspace.pk, "reparee@un.example", "all", "hard_bounce", "outcome 3/4")
    owner = as_member("owner", own)
    for why in ("", "parce que reparee@un.example marche"):
        assert look_up(owner, "reparee@un.example", act="lift", why=why).status_code == 422
    assert suppression.lookup(own.workspace.pk, ["reparee@un.example"])
    assert look_up(owner, "reparee@un.example", act="lift", why="Boîte réparée").status_code == 303
    assert not suppression.lookup(own.workspace.pk, ["reparee@un.example"])
    entry = JournalEntry.objects.filter(workspace=own.workspace, action="suppression.lifted").latest("id")
    assert entry.actor_id == own.members["owner"].pk and entry.facts["cause"] == "Boîte réparée"
    assert "reparee" not in str(entry.facts)


@pytest.mark.parametrize(
    ("scope", "reason"),
    [("all", "complaint"), ("marketing", "objection"), ("marketing", "unsubscribed"), ("marketing", "erased")],
)
def test_what_the_person_decided_nobody_lifts(own: Shop, as_member: Sign, scope: str, reason: str) -> None:
    address = f"{reason}@un.example"
    suppression.add(own.workspace.pk, address, scope, reason, "her act 1")
    owner = as_member("owner", own)
    shown = look_up(owner, address).content.decode()
    assert "Nobody here may lift it" in shown and "Lift this suppression" not in shown
    look_up(owner, address, act="lift", why="Parce que")
    assert suppression.lookup(own.workspace.pk, [address]), "nor by a forged form"


def test_a_digest_of_another_workspace_is_not_found(own: Shop, other_shop: Shop, as_member: Sign) -> None:
    suppression.add(other_shop.workspace.pk, "ailleurs@un.example", "all", "hard_bounce", "outcome 5/6")
    assert "not on the list" in look_up(as_member("owner", own), "ailleurs@un.example").content.decode()


def test_who_asked_by_a_form_is_counted_apart(own: Shop, as_member: Sign) -> None:
    from envol.collect import joining, signup

    execute("DELETE FROM collect_attempt")
    form = signup.of_list(own.workspace, own.list.pk)
    assert form
    texts = signup.texts_of(form, "fr")
    written = joining.Written("attend@un.example", "attend@un.example", {}, texts[:1], {})
    joining.ask(form, written, joining.Shown((), None), client="192.0.2.1", language="fr", now=datetime.now(UTC))
    page = as_member("viewer", own).get("/consent").content.decode()
    assert row_of(page, "Newsletter").rstrip().endswith('/asked">1</a></td></tr>')


def test_each_permission_of_a_person_opens_its_proof(own: Shop, as_member: Sign) -> None:
    permission = grant(own, 21)
    page = as_member("editor", own).get(f"/contacts/{own.people[21].pk}").content.decode()
    assert f'href="/consent/proof/{permission.pk}"' in page


def test_a_figure_is_kept_only_while_no_answer_was_given(own: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a large base the same head of the ledger means the same figure: it is not counted twice."""
    from envol.consent import overview

    monkeypatch.setattr(overview, "_SLOW_SECONDS", -1.0)
    counted: list[int] = []
    count = overview._count
    monkeypatch.setattr(overview, "_count", lambda workspace: counted.append(workspace) or count(workspace))
    offers = purposes.get(own.workspace, "offers").pk
    grant(own, 23)
    before = overview.answers(own.workspace.pk)[offers]["granted"]
    assert overview.answers(own.workspace.pk)[offers]["granted"] == before and len(counted) == 1
    grant(own, 20)
    assert overview.answers(own.workspace.pk)[offers]["granted"] == before + 1 and len(counted) == 2
    overview._kept.clear()


@pytest.mark.parametrize("near", [1, 20_000])
def test_every_answer_is_listed_once_page_after_page(
    own: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    """Whether it lies near the end of the ledger or far from it."""
    from envol.consent import overview
    from envol.web.views import consent

    monkeypatch.setattr(overview, "_NEAR", near)
    monkeypatch.setattr(consent, "PAGE", 7)
    newsletter = purposes.get(own.workspace, "newsletter")
    client = as_member("viewer", own)
    where, seen = f"/consent/purposes/{newsletter.pk}", []
    query = ""
    for _ in range(20):
        page = client.get(where + query).content.decode()
        seen += [int(pk) for pk in re.findall(r"/consent/proof/(\d+)", page)]
        older = re.search(r'href="(\?before=[\d.]+)"', page)
        if not older:
            break
        query = older[1]
    wanted = Permission.objects.filter(workspace_id=own.workspace.pk, purpose_id=newsletter.pk)
    assert len(seen) == len(set(seen)) == wanted.count() > 14
    assert seen == [row.pk for row in wanted.order_by("-block", "-leaf")]
    assert client.get(where + "?before=nonsense").status_code == 200
