"""Row-level security: the second lock of pages and API (envol/db_rls.py, envol/db_role.py)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import path

from envol import db, db_rls, db_role
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace
from envol.audience import segments
from envol.contacts import people
from envol.contacts.models import Contact
from envol.db_role import NOBODY, OWNER, PAGE, Standing, as_owner, enter, standing, standing_as
from envol.outbound import accept
from envol.web.doors import MemberRequest, anybody, audience

ROOT = Path(__file__).resolve().parents[2]
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"

# Who sees every workspace while acting for a page, and why is written there. Add a file only with such a reason.
AS_OWNER = {
    "api/calls.py",
    "api/own/mail.py",
    "api/sign_ins.py",
    "accounts/first.py",
    "collect/limits.py",
    "consent/ledger.py",
    "consent/registry.py",
    "consent/tenants.py",
    "contacts/filters.py",
    "contacts/orders.py",
    "contacts/people.py",
    "outbound/enter.py",
    "outbound/blocklists.py",
    "outbound/dialogues.py",
    "outbound/django_mail.py",
    "outbound/domains.py",
    "outbound/mail_log.py",
    "outbound/mailing.py",
    "outbound/stored.py",
    "web/public/archive.py",
    "web/public/choices.py",
    "web/public/moderation.py",
    "web/public/rights.py",
    "web/public/signup.py",
    "web/views/traffic.py",
}
STAY_OWNER = {"api/accepting.py", "edge/http.py", "edge/http_events.py"}
# What writes by COPY, which row-level security refuses: within as_owner, or in workers and edges alone.
COPY = {
    "consent/ledger.py",
    "contacts/orders.py",
    "contacts/imports/order_lines.py",
    "contacts/imports/plan.py",
    "contacts/imports/write.py",
    "outbound/capture.py",
}


def _files(pattern: str) -> set[str]:
    found = re.compile(pattern)
    return {
        str(file.relative_to(ROOT / "envol"))
        for file in (ROOT / "envol").rglob("*.py")
        if found.search(file.read_text("utf-8")) and file.name not in ("db_role.py", "db_rls.py")
    }


def test_every_table_is_held_free_or_closed_and_somebody_said_which() -> None:
    assert db_rls.unnamed() == [], "say in envol/db_rls.py what these tables hang on, or that they are free or closed"
    assert db_rls.is_applied()
    secured, open_to_pages = _secured(), db_rls.open_to_pages()
    tables = {name: (partition, held) for name, partition, _, held in db.rows(db_rls._TABLES)}
    for table, (partition, held) in tables.items():
        if partition or table in db_rls.CLOSED:
            assert table not in open_to_pages, table
        elif table in db_rls.FREE:
            assert not held, f"{table} has workspace_id: it is not free"
        else:
            assert table in secured, table
    for listed in (db_rls.FREE, db_rls.CLOSED, db_rls.HANGS, {parent.table for parent in db_rls.HANGS.values()}):
        assert set(listed) <= tables.keys(), "a table that is named does not exist"


def _secured() -> set[str]:
    return {
        name
        for (name,) in db.rows(
            "SELECT c.relname::text FROM pg_class c WHERE c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p"
            " WHERE p.polrelid = c.oid AND p.polroles = ARRAY[%s::regrole::oid])",
            [PAGE],
        )
    }


def test_a_new_table_is_closed_until_somebody_says_what_it_is() -> None:
    with transaction.atomic():
        db.execute("CREATE TABLE a_new_one (id int); CREATE TABLE another (workspace_id int)")
        assert db_rls.unnamed() == ["a_new_one"] and not db_rls.is_applied()
        assert not {"a_new_one", "another"} & db_rls.open_to_pages()
        db_rls.apply()
        assert {"a_new_one", "another"} & db_rls.open_to_pages() == {"another"} and "another" in _secured()
        transaction.set_rollback(True)


def test_what_a_superuser_must_do_first_is_said() -> None:
    assert db_rls.lacking() == ""
    assert "CREATE ROLE nobody_yet; GRANT nobody_yet TO envol" in db_rls.lacking("nobody_yet")
    assert db_rls.lacking("pg_signal_backend").startswith("envol may not act as the role pg_signal_backend.")


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[SimpleNamespace, SimpleNamespace]]:
    """Two workspaces with a member, a person, a segment and a message each."""
    yield _made(), _made()


def _made() -> SimpleNamespace:
    workspace = create_workspace(f"w{secrets.token_hex(4)}", title="Une")
    address = f"{secrets.token_hex(4)}@maison.example"
    user = User.objects.create_user(address, "un mot de passe assez long")
    member = add_member(workspace, user, Role.EDITOR)
    contact = people.upsert(workspace, address, source=people.source(workspace, "import", "une liste"))
    segment = segments.save(workspace, "Toutes", {"v": 1, "match": "all", "rules": []})
    return SimpleNamespace(workspace=workspace, user=user, member=member, contact=contact, segment=segment)


def test_a_query_without_a_workspace_returns_nothing(two: tuple[SimpleNamespace, SimpleNamespace]) -> None:
    held = [n for n, partition, _, own in db.rows(db_rls._TABLES) if not partition and (own or n in db_rls.HANGS)]
    with standing_as(NOBODY):
        for table in (*held, "accounts_workspace"):
            assert db.value(f'SELECT count(*) FROM "{table}"') == 0, table
    one, _other = two
    with standing_as(Standing(PAGE, 0, one.workspace.pk)):
        for table in held:
            if table not in (*db_rls.HANGS, "outbound_roll"):
                foreign = db.value(f'SELECT count(*) FROM "{table}" WHERE workspace_id <> %s', [one.workspace.pk])
                assert foreign == 0, table


def test_one_workspace_sees_and_changes_nothing_of_another(two: tuple[SimpleNamespace, SimpleNamespace]) -> None:
    one, other = two
    with standing_as(Standing(PAGE, 0, one.workspace.pk)):
        assert list(Contact.objects.values_list("id", flat=True)) == [one.contact.pk]
        assert list(Workspace.objects.all()) == [one.workspace]
        assert not Contact.objects.filter(pk=other.contact.pk).update(language="de")
        assert not Contact.objects.filter(pk=other.contact.pk).delete()[0]
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Contact.objects.filter(pk=one.contact.pk).update(workspace_id=other.workspace.pk)
        # What has no workspace of its own goes by its parent.
        written = "INSERT INTO audience_size (segment_id, day, people) VALUES (%s, '2026-01-01', 1)"
        assert db.execute(written, [one.segment.pk]) == 1
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            db.execute(written, [other.segment.pk])
        assert db.value("SELECT count(*) FROM audience_size") == 1
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            db.rows("SELECT FROM events_event_default")
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            db.rows("SELECT FROM outbound_dialogue")
    assert Contact.objects.filter(pk=other.contact.pk, language__isnull=False).count() in (0, 1)  # the owner sees both
    with standing_as(Standing(PAGE, other.user.pk)):
        assert list(Member.objects.select_related("workspace")) == [other.member], "sign-in finds her own, no more"


def test_a_standing_is_what_the_session_has_whatever_went_wrong() -> None:
    def said() -> tuple[str, str]:
        found = db.rows("SELECT current_user::text, current_setting('envol.workspace', true)")[0]
        return ("page" if found[0] == PAGE else "owner"), found[1] or ""

    assert said()[0] == "owner" and standing() == OWNER
    with standing_as(Standing(PAGE, 0, 7)):
        assert said() == ("page", "7")
        with pytest.raises(ZeroDivisionError), transaction.atomic(), as_owner():
            assert said()[0] == "owner"
            raise ZeroDivisionError
        assert said() == ("page", "7")
        with pytest.raises(IntegrityError), transaction.atomic(), as_owner():
            db.execute("INSERT INTO accounts_member (user_id) VALUES (NULL)")
        assert said() == ("page", "7"), "a transaction that failed inside"
        with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
            db.execute("INSERT INTO accounts_member (user_id) VALUES (NULL)")
        assert said() == ("page", "7"), "and one that failed around"
        with transaction.atomic():
            with as_owner():
                pass
            transaction.set_rollback(True)
        assert said() == ("page", "7")
        connection.close()  # as after a restart of the server
        assert said() == ("page", "7")
        with as_owner():
            connection.close()
            assert said()[0] == "owner"
        assert said() == ("page", "7")
    assert said()[0] == "owner"


@anybody
def forgets(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{Contact.objects.count()} {db.value('SELECT current_user')}")


@audience(Role.VIEWER)
def forgets_too(request: MemberRequest) -> HttpResponse:
    return HttpResponse(f"{Contact.objects.count()} {db.value('SELECT current_user')}")


@audience(Role.VIEWER)
def streams(request: MemberRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(f"{Contact.objects.count()} {db.value('SELECT current_user')}," for _ in range(2))


@anybody
def fails(request: HttpRequest) -> HttpResponse:
    enter(1)
    raise ZeroDivisionError


urlpatterns = [path(view.__name__, view) for view in (forgets, forgets_too, streams, fails)]


@override_settings(ROOT_URLCONF="tests.run.test_row_lock")
def test_requests_see_one_workspace_or_none(
    two: tuple[SimpleNamespace, SimpleNamespace],
) -> None:
    one, other = two
    stranger = Client(HTTP_HOST="localhost")
    member = Client(HTTP_HOST="localhost", raise_request_exception=False)
    member.force_login(one.user, BACKEND)
    assert stranger.get("/forgets").content == b"0 envol_page"
    assert member.get("/forgets").content == b"0 envol_page", "being signed in is not enough: the guard says which"
    assert member.get("/forgets_too").content == b"1 envol_page"
    answer = member.get("/streams")
    assert standing() == OWNER
    assert b"".join(answer).decode() == "1 envol_page,1 envol_page,"
    assert member.get("/fails").status_code == 500 and standing() == OWNER
    # A workspace in her session that she is no member of (any more) opens nothing.
    session = member.session
    session["workspace"] = other.workspace.pk
    session.save()
    assert member.get("/forgets_too").content == b"1 envol_page"


@pytest.fixture
def as_http(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This thread's sessions begin as those of the http process do (run/process.py)."""
    connection.close()
    monkeypatch.setenv("ENVOL_DB_ROLE", PAGE)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "options", f"-c role={PAGE}")
    connection.envol_standing = NOBODY  # type: ignore[attr-defined]
    yield
    monkeypatch.undo()
    connection.close()
    connection.envol_standing = OWNER  # type: ignore[attr-defined]


@override_settings(ROOT_URLCONF="tests.run.test_row_lock")
def test_a_request_of_the_http_process_costs_one_statement_more(
    two: tuple[SimpleNamespace, SimpleNamespace], as_http: None, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    one, _other = two
    member = Client(HTTP_HOST="localhost")
    member.force_login(one.user, BACKEND)
    hers = Standing(PAGE, one.user.pk, one.workspace.pk)
    assert member.get("/forgets_too").content == b"1 envol_page" and standing() == hers
    asked: list[Standing] = []
    say: Callable[[Standing], None] = db_role._say
    monkeypatch.setattr(db_role, "_say", lambda wanted: (asked.append(wanted), say(wanted)))
    # Nobody's before anything is read: that is also the question whether the session is alive.
    connection.health_check_done = False
    assert member.get("/forgets_too").content == b"1 envol_page"
    assert asked == [NOBODY, hers] and connection.health_check_done
    assert member.get("/forgets").content == b"0 envol_page", "and nothing is left of the one before"
    # A session that died meanwhile is found by the same question, and replaced.
    assert member.get("/forgets_too").content == b"1 envol_page"
    dead = connection.connection
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [dead.info.backend_pid])
    assert member.get("/forgets_too").content == b"1 envol_page" and connection.connection is not dead
    connection.close()  # too old: the next one begins as nobody's
    assert member.get("/forgets").content == b"0 envol_page" and standing() == NOBODY


def test_what_sees_every_workspace_is_listed() -> None:
    assert _files(r"\bas_owner\(\)") == AS_OWNER
    assert _files(r"\bstay_owner\(\)") == STAY_OWNER
    assert _files(r"SET (LOCAL |SESSION )?ROLE\b|set_config\('role'|SESSION AUTHORIZATION") == set()
    assert _files(r"COPY \w+ .*FROM STDIN|COPY \{|COPY_ROWS|COPY outbound|COPY consent_ledger") >= COPY


def test_mail_of_a_page_is_accepted_by_copy(two: tuple[SimpleNamespace, SimpleNamespace]) -> None:
    one, _other = two
    with standing_as(Standing(PAGE, 0, one.workspace.pk)):
        sent = accept.accept_messages(
            [
                accept.Outgoing(
                    one.workspace.pk,
                    ("Une", "noreply@localhost.localdomain"),
                    [("", one.user.email)],
                    subject="Bonjour",
                    text="Bonjour",
                    kind="system",
                )
            ]
        )
        assert len(sent) == 1 and standing().role == PAGE
