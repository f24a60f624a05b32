"""``/events`` over real sockets: who may listen, to what, how often, and when it ends."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from envol.accounts.models import Job, Member, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace
from envol.campaigns.models import Campaign
from envol.db import execute
from envol.edge import http_events
from envol.outbound.models import Sending
from tests.edge.test_http import Server


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


def sign_in(workspace: Workspace, role: Role = Role.EDITOR) -> tuple[Member, SessionStore]:
    user = User.objects.create_user(f"zoe.{secrets.token_hex(4)}@equipe.example", "un mot de passe assez long")
    member = add_member(workspace, user, role)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return member, session


class Stream:
    """A page that listens: what it received, event by event."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.rest = b""
        self.head = self._until(b"\r\n\r\n").decode("latin-1").lower()
        self.status = int(self.head.split(" ")[1])

    def _until(self, end: bytes) -> bytes:
        while end not in self.rest:
            part = self.peer.recv(65536)
            if not part:
                raise EOFError
            self.rest += part
        found, _, self.rest = self.rest.partition(end)
        return found

    def event(self, topic: str) -> Any:
        """The next state of a topic; raises EOFError when the stream ended in order."""
        while True:
            size = int(self._until(b"\r\n"), 16)
            if not size:
                raise EOFError
            while len(self.rest) < size + 2:
                self.rest += self.peer.recv(65536)
            text, self.rest = self.rest[:size].decode(), self.rest[size + 2 :]
            for block in text.split("\n\n"):
                if block.startswith("data: "):
                    found = json.loads(block[6:])
                    if found["topic"] == topic:
                        return found["state"]


@contextmanager
def listening(server: Server, session: SessionStore | None, query: str, **headers: str) -> Iterator[Stream]:
    lines = [f"GET /events?{query} HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
    if session is not None:
        lines.append(f"Cookie: other=1; {settings.SESSION_COOKIE_NAME}={session.session_key}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
        peer.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        yield Stream(peer)


def job(workspace: Workspace, done: int = 0) -> Job:
    return Job.objects.create(workspace=workspace, kind="import.run", state="running", done=done, total=10_000)


def test_the_full_state_comes_first_and_changes_follow(server: Server, workspace: Workspace) -> None:
    _, session = sign_in(workspace)
    work = job(workspace, 5)
    with listening(server, session, f"topic=job.{work.pk}", **{"Last-Event-ID": "nonsense; 99"}) as page:
        assert page.status == 200
        assert "content-type: text/event-stream" in page.head and "x-accel-buffering: no" in page.head
        assert page.event(f"job.{work.pk}") == {"state": "running", "done": 5, "total": 10_000, "step": ""}
        Job.objects.filter(pk=work.pk).update(done=6)
        assert page.event(f"job.{work.pk}")["done"] == 6


def test_a_campaign_tells_how_far_it_is(server: Server, workspace: Workspace) -> None:
    _, session = sign_in(workspace)
    campaign = Campaign.objects.create(workspace=workspace, name="Lettre", state="sending")
    sending = Sending.objects.create(workspace=workspace, kind="campaign", campaign_id=campaign.pk, state="sending")
    for no in (1, 2):
        execute(
            "INSERT INTO outbound_send (sending_id, no, address, site, chunk)"
            " VALUES (%s, %s, 'a@b.example', 'b.example', 1)",
            [sending.pk, no],
        )
    topic = f"campaign.{campaign.pk}"
    with listening(server, session, f"topic={topic}&topic=counts") as page:
        state = page.event(topic)
        assert (state["state"], state["total"], state["done"]) == ("sending", 2, 0)
        execute(
            "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
            " VALUES (%s, 1, 'delivered', now(), 1, 250, 'ok')",
            [sending.pk],
        )
        assert page.event(topic)["done"] == 1
        Sending.objects.filter(pk=sending.pk).update(state="sent", started_at="2026-01-01T00:00Z")
        execute("UPDATE outbound_sending SET ended_at = now() WHERE id = %s", [sending.pk])
        assert page.event("counts")["ended"] == [f"campaign.{campaign.pk}.{sending.pk}"]


def test_strangers_and_foreign_things_are_refused(server: Server, workspace: Workspace) -> None:
    _, session = sign_in(workspace)
    foreign = create_workspace(f"w{secrets.token_hex(4)}", title="Disques de Bob")
    theirs, nothing = job(foreign), 999_999_999
    campaign = Campaign.objects.create(workspace=foreign, name="Lettre")
    mine = job(workspace)
    unknown = SessionStore("abcdefgh12345678abcdefgh12345678")
    for who, query, status in (
        (None, f"topic=job.{mine.pk}", 401),
        (unknown, f"topic=job.{mine.pk}", 401),
        (session, f"topic=job.{theirs.pk}", 404),
        (session, f"topic=job.{nothing}", 404),
        (session, f"topic=campaign.{campaign.pk}", 404),
        (session, f"topic=job.{mine.pk}&topic=job.{theirs.pk}", 404),
        (session, "topic=secrets", 404),
        (session, "topic=job.1%0Adata:x", 404),
        (session, "", 404),
        (session, "&".join(f"topic=job.{mine.pk + n}" for n in range(9)), 404),
    ):
        with listening(server, who, query) as page:
            assert page.status == status, query
    same, missing = (server.get(f"/events?topic=job.{n}", Cookie=cookie(session)) for n in (theirs.pk, nothing))
    assert same == missing, "what belongs to others looks like what does not exist"
    assert server.get("/events?topic=counts", "POST", Cookie=cookie(session), **{"Content-Length": "0"})[0] == 405


def cookie(session: SessionStore) -> str:
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


def test_the_bustle_of_one_workspace_is_not_told_to_another(server: Server, workspace: Workspace) -> None:
    _, session = sign_in(workspace)
    foreign = create_workspace(f"w{secrets.token_hex(4)}", title="Disques de Bob")
    Campaign.objects.create(workspace=foreign, name="Lettre", state="sending")
    with listening(server, session, "topic=counts") as page:
        assert page.event("counts") == {"campaigns": [], "imports": [], "ended": []}


@pytest.mark.parametrize("how", ["signs out", "is removed", "changes the password"])
def test_it_ends_when_the_member(
    how: str, server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_events, "LOOK", 0.1)
    member, session = sign_in(workspace)
    _, other = sign_in(workspace)
    work = job(workspace)
    with (
        listening(server, session, f"topic=job.{work.pk}") as page,
        listening(server, other, f"topic=job.{work.pk}") as stays,
    ):
        assert page.event(f"job.{work.pk}") and stays.event(f"job.{work.pk}")
        if how == "signs out":
            session.flush()
        elif how == "is removed":
            member.delete()
        else:
            member.user.set_password("un autre mot de passe")
            member.user.save()
        with pytest.raises(EOFError):
            page.event(f"job.{work.pk}")
        Job.objects.filter(pk=work.pk).update(done=7)
        assert stays.event(f"job.{work.pk}")["done"] == 7, "the colleague goes on listening"


def test_at_most_two_events_a_second_and_the_last_state_is_never_missed(server: Server, workspace: Workspace) -> None:
    _, session = sign_in(workspace)
    work = job(workspace)
    topic = f"job.{work.pk}"
    with listening(server, session, f"topic={topic}") as page:
        heard = []
        until = time.monotonic() + 2.2
        done = 0
        page.event(topic)
        heard.append(time.monotonic())
        page.peer.settimeout(0.02)
        while time.monotonic() < until:
            done += 1
            Job.objects.filter(pk=work.pk).update(done=done)
            try:
                page.event(topic)
            except TimeoutError:
                continue
            heard.append(time.monotonic())
        assert len(heard) >= 3, "it moves"
        assert all(later - sooner > 0.4 for sooner, later in zip(heard, heard[1:], strict=False)), heard
        page.peer.settimeout(20)
        while page.event(topic)["done"] != done:
            pass


def test_many_listeners_cost_one_look(server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    events = server.server.config.app._app._events
    plain = events._ask

    def ask(workspace_id: int, topic: str) -> Any:
        looks.append(topic)
        return plain(workspace_id, topic)

    monkeypatch.setattr(events, "_ask", ask)
    work = job(workspace)
    topic = f"job.{work.pk}"
    pages, members = [], [sign_in(workspace) for _ in range(4)]
    for n in range(40):
        page = listening(server, members[n % 4][1], f"topic={topic}")
        pages.append((page, page.__enter__()))
    assert all(page.event(topic)["done"] == 0 for _, page in pages)
    Job.objects.filter(pk=work.pk).update(done=9)
    began, before = time.monotonic(), len(looks)
    assert all(page.event(topic)["done"] == 9 for _, page in pages)
    assert len(looks) - before <= 2 + (time.monotonic() - began) / 0.5, "one look for all, not one for each"
    for context, _ in pages:
        context.__exit__(None, None, None)
    until = time.monotonic() + 10
    while events._channels and time.monotonic() < until:
        time.sleep(0.01)
    assert not events._channels and not events._listeners, "nobody listens: nobody asks"


def test_a_member_has_a_limit_of_her_own(server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_events, "MOST_OF_MEMBER", 1)
    (_, session), (_, other) = sign_in(workspace), sign_in(workspace)
    with listening(server, session, "topic=counts") as page:
        assert page.event("counts")
        with listening(server, session, "topic=counts") as second:
            assert second.status == 429
        with listening(server, other, "topic=counts") as colleague:
            assert colleague.status == 200
        monkeypatch.setattr(http_events, "MOST", 1)
        with listening(server, other, "topic=counts") as colleague:
            assert colleague.status == 503


def test_a_quiet_stream_has_a_heartbeat(server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_events, "HEARTBEAT", 0.1)
    _, session = sign_in(workspace)
    with listening(server, session, "topic=counts") as page:
        page.event("counts")
        assert page._until(b":\n\n") is not None


def test_open_streams_do_not_hold_up_the_end(workspace: Workspace) -> None:
    server = Server()
    _, session = sign_in(workspace)
    with listening(server, session, "topic=counts") as page:
        page.event("counts")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5, "far under the 25 seconds a server waits for its peers"
        with pytest.raises(EOFError):
            page.event("counts")
