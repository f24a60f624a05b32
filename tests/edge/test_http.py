"""Links lead on, pixels are pixels, and neither tells or keeps more than the person allows. Real HTTP on loopback."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from envol.accounts.models import Workspace
from envol.consent import ledger, purposes
from envol.content import links
from envol.content.models import Template, Version
from envol.db import execute, rows, value
from envol.edge import http as edge
from envol.edge.http_hits import PIXEL, machine
from envol.events.models import Kind
from envol.outbound.models import Sending

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Server:
    """The http process's own application on a free port, in a thread of this process."""

    def __init__(self) -> None:
        import uvicorn

        self.socket = edge.listen("127.0.0.1", 0)
        self.port = self.socket.getsockname()[1]
        up = threading.Event()
        self.server = edge._Server(
            uvicorn.Config(
                edge.make_app(2), http=edge.GuardedProtocol, ws="none", lifespan="on", access_log=False, log_config=None
            ),
            up.set,
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        assert up.wait(20)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive(), "it drains and ends"

    def get(
        self, path: str, method: str = "GET", agent: str | None = BROWSER, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"User-Agent": agent} if agent is not None else {}
        connection.request(method, path, body, sent | headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders() if k.lower() != "date"}, content

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as peer:
            peer.sendall(request)
            peer.settimeout(20)
            parts = []
            while part := peer.recv(65536):
                parts.append(part)
                if b"Connection: close" not in request and b"\r\n\r\n" in b"".join(parts):
                    break
            return b"".join(parts)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


class Campaign:
    """A sending of a version with three links to one contact, delivered an hour ago."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        template = Template.objects.create(workspace=workspace, name="lettre")
        version = Version.objects.create(
            workspace=workspace,
            template=template,
            no=1,
            mode="text",
            source="",
            subject="Bonjour",
            links=[
                {"no": 1, "url": "https://boutique.example/livres?utm_source=lettre", "label": "Livres"},
                {"no": 2, "url": "https://boutique.example/café", "label": "Café"},
                {"no": 3, "url": "javascript:alert(1)", "label": "no"},
            ],
        )
        self.sending = Sending.objects.create(
            workspace=workspace, kind="campaign", version_id=version.id, state="sent"
        ).id
        self.contact = self.person("zoe@lecteurs.example")

    def person(self, address: str, ago: timedelta = timedelta(hours=1)) -> int:
        contact = value(
            "INSERT INTO contacts_contact (workspace_id, email, email_key) VALUES (%s, %s, %s) RETURNING id",
            [self.workspace.id, address, address],
        )
        execute(
            "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
            " VALUES (%s, %s, %s, %s, 'lecteurs.example', 1)",
            [self.sending, contact, contact, address],
        )
        execute(
            "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
            " VALUES (%s, %s, 'delivered', %s, 1, 250, '250 2.0.0 ok')",
            [self.sending, contact, datetime.now(UTC) - ago],
        )
        return contact

    def answer(self, key: str, state: str, contact: int | None = None) -> None:
        """The person grants or withdraws a purpose."""
        purpose = purposes.get(self.workspace, key)
        line = ledger.Line(contact or self.contact, purpose.id, state, "consent", datetime.now(UTC))
        ledger.append(self.workspace.id, [line])

    def click(self, link: int = 1, no: int | None = -1) -> str:
        return "/c/" + links.click_token(self.sending, self.contact if no == -1 else no, link)

    def pixel(self, no: int | None = -1) -> str:
        return "/o/" + links.open_token(self.sending, self.contact if no == -1 else no)

    def stored(self) -> list[tuple[object, ...]]:
        return rows(
            "SELECT kind, contact_id, link, machine FROM events_event WHERE sending_id = %s ORDER BY at, id",
            [self.sending],
        )


@pytest.fixture
def campaign(workspace: Workspace) -> Campaign:
    return Campaign(workspace)


def test_a_link_leads_where_the_version_says(server: Server, campaign: Campaign) -> None:
    status, headers, body = server.get(campaign.click())
    assert (status, body) == (302, b"")
    assert headers["location"] == "https://boutique.example/livres?utm_source=lettre"
    assert headers["cache-control"] == "no-store" and "set-cookie" not in headers
    assert server.get(campaign.click(2))[1]["location"] == "https://boutique.example/caf%C3%A9"


def test_who_agreed_is_counted_by_name_and_who_did_not_in_sum(server: Server, campaign: Campaign) -> None:
    server.get(campaign.click())
    assert campaign.stored() == [(Kind.CLICKED, None, 1, None)], "unknown: clicks in sum"
    campaign.answer("measure_clicks", "granted")
    server.get(campaign.click(2))
    assert campaign.stored()[1] == (Kind.CLICKED, campaign.contact, 2, None)
    server.get(campaign.click(no=None))
    assert campaign.stored()[2] == (Kind.CLICKED, None, 1, None)


def test_after_withdrawal_an_old_pixel_gives_the_same_bytes_and_leaves_nothing(
    server: Server, campaign: Campaign
) -> None:
    campaign.answer("measure_opens", "granted")
    before = server.get(campaign.pixel())
    assert before[0] == 200 and before[2] == PIXEL and len(PIXEL) == 43
    assert campaign.stored() == [(Kind.OPENED, campaign.contact, None, None)]
    campaign.answer("measure_opens", "withdrawn")
    assert server.get(campaign.pixel()) == before
    assert server.get("/o/" + "x" * 43) == before and server.get("/o/") == before, "nor does it tell what is a token"
    assert len(campaign.stored()) == 1


def test_the_last_open_day_is_a_day_and_nothing_else(server: Server, campaign: Campaign) -> None:
    Workspace.objects.filter(id=campaign.workspace.id).update(opens_mode="last_open_day")
    campaign.answer("measure_opens", "granted")
    updated = value("SELECT updated_at FROM contacts_contact WHERE id = %s", [campaign.contact])
    server.get(campaign.pixel())
    assert campaign.stored() == []
    day, after = rows("SELECT last_open_day, updated_at FROM contacts_contact WHERE id = %s", [campaign.contact])[0]
    assert day == datetime.now(UTC).date() and after == updated, "no column tells the time"


def test_a_head_request_is_answered_and_is_a_machine(server: Server, campaign: Campaign) -> None:
    campaign.answer("measure_clicks", "granted")
    status, headers, body = server.get(campaign.click(), "HEAD")
    assert (status, body) == (302, b"") and "location" in headers
    assert server.get(campaign.pixel(), "HEAD")[2] == b""
    assert campaign.stored()[0] == (Kind.CLICKED, campaign.contact, 1, "head")


def test_a_click_within_two_seconds_of_delivery_is_a_machine(server: Server, campaign: Campaign) -> None:
    quick = campaign.person("robot@lecteurs.example", ago=timedelta(seconds=0.5))
    campaign.answer("measure_clicks", "granted", quick)
    server.get(campaign.click(no=quick))
    assert campaign.stored() == [(Kind.CLICKED, quick, 1, "too_fast")]


def test_three_links_at_once_are_a_machine(server: Server, campaign: Campaign) -> None:
    Version.objects.filter(template__workspace=campaign.workspace).update(
        links=[{"no": n, "url": f"https://boutique.example/{n}"} for n in (1, 2, 3)]
    )
    campaign.answer("measure_clicks", "granted")
    for link in (1, 2, 3):
        assert server.get(campaign.click(link))[0] == 302
    assert {row[3] for row in campaign.stored()} == {"many_links"}


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        (BROWSER, ""),
        ("", "agent"),
        ("curl/8.5.0", "agent"),
        ("Mozilla/5.0 (compatible; Barracuda Sentinel)", "agent"),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", ""),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", ""),
    ],
)
def test_known_agents_are_told_apart(agent: str, reason: str) -> None:
    assert machine("GET", agent, Kind.CLICKED) == reason
    assert machine("HEAD", agent, Kind.CLICKED) == "head"


def test_apple_fetches_before_anybody_reads() -> None:
    assert machine("GET", "Mozilla/5.0", Kind.OPENED) == "prefetch"


@pytest.mark.parametrize("path", ["/c/", "/c/" + "A" * 43, "/c/nonsense", "/c/%00", "/c/../admin"])
def test_what_is_not_a_link_of_ours_is_explained(server: Server, path: str) -> None:
    status, headers, body = server.get(path)
    assert status == 404 and b"Ce lien" in body and b"This link" in body
    assert headers["content-type"].startswith("text/html") and "location" not in headers


def test_no_link_leads_into_a_script_or_to_nowhere(server: Server, campaign: Campaign) -> None:
    assert server.get(campaign.click(3))[0] == 404, "http and https only"
    assert server.get(campaign.click(9))[0] == 404, "no such link in this version"
    unsubscribe = links.unsubscribe_token(campaign.sending, campaign.contact)
    assert server.get("/c/" + unsubscribe)[0] == 404, "a token serves one door"
    assert campaign.stored() == []


def test_nothing_else_than_looking_is_possible(server: Server, campaign: Campaign) -> None:
    for path in (campaign.click(), campaign.pixel()):
        status, headers, _ = server.get(path, "POST", body=b"x=1")
        assert status == 405 and headers["allow"] == "GET, HEAD"
    assert campaign.stored() == []


def test_the_reader_arrives_when_counting_fails(
    server: Server, campaign: Campaign, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from envol.events import hits

    def down(pairs: object) -> list[None]:
        raise OSError("the database is away")

    assert server.get(campaign.click())[0] == 302
    monkeypatch.setattr(hits, "_resolver", down)
    assert server.get(campaign.click())[0] == 302
    assert server.get(campaign.pixel())[2] == PIXEL
    assert len(campaign.stored()) == 1
    assert links.click_token(campaign.sending, campaign.contact, 1) not in caplog.text


def test_many_readers_at_once_are_each_counted_once(server: Server, campaign: Campaign) -> None:
    people = [campaign.person(f"p{n}@lecteurs.example") for n in range(40)]
    for person in people:
        campaign.answer("measure_clicks", "granted", person)

    def read(chosen: list[int]) -> None:
        for person in chosen:
            assert server.get(campaign.click(no=person))[0] == 302
            assert server.get(campaign.click(no=person))[0] == 302

    crowd = [threading.Thread(target=read, args=(people[n::8],)) for n in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert sorted(row[1] for row in campaign.stored()) == sorted(people)


# ---- the door itself


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"X-Long: a\r\n b\r\n",
        b"X-Bare: a\nContent-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ],
)
def test_a_request_with_two_readings_is_refused(server: Server, head: bytes) -> None:
    answer = server.raw(b"POST /health HTTP/1.1\r\nHost: localhost\r\n" + head + b"Connection: close\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1


def test_also_behind_a_good_request_on_the_same_connection(server: Server) -> None:
    good = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    bad = b"POST /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\nConnection: close\r\n\r\n"
    answer = server.raw(good + bad)
    assert answer.startswith(b"HTTP/1.1 200 ") and b"HTTP/1.1 400 " in answer


def test_a_body_has_a_limit_also_when_it_does_not_say_its_size(server: Server) -> None:
    head = b"POST /u/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert server.raw(head + b"Content-Length: 10485761\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
        peer.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b"a" * 0x100000 + b"\r\n"
        try:
            for _ in range(12):
                peer.sendall(chunk)
        except OSError:
            pass  # it has heard enough
        try:
            assert peer.recv(12) == b"HTTP/1.1 413"
        except ConnectionResetError:
            pass


def test_health_and_readiness(server: Server) -> None:
    assert server.get("/health")[0::2] == (200, b"ok\n")
    assert server.get("/ready")[0::2] == (200, b"ready\n")


def test_metrics_are_told_to_who_has_the_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.get("/metrics")[0] == 404  # nobody set a token
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, metrics_token="a-token-of-some-length"))
    assert server.get("/metrics")[0] == 401
    assert server.get("/metrics", Authorization="Bearer a-token-of-some-lengtH")[0] == 401
    status, headers, body = server.get("/metrics", Authorization="Bearer a-token-of-some-length")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE envol_queue_recipients gauge" in body


def test_assets_have_their_types_and_are_kept_only_if_their_name_says_so(tmp_path: object, campaign: Campaign) -> None:
    import asyncio
    from pathlib import Path

    root = Path(str(tmp_path))
    for name in ("app-B7dK3xQ9.js", "site.css", "base-stylesheet.css", "font-4fA9_k2b.woff2"):
        (root / name).write_bytes(b"x")

    async def ask(path: str) -> tuple[int, dict[str, str]]:
        seen: list[dict[str, object]] = []

        async def pages(scope: object, receive: object, send: Callable[..., object]) -> None:
            await send({"type": "http.response.start", "status": 404, "headers": []})  # type: ignore[misc]

        async def send(message: dict[str, object]) -> None:
            seen.append(message)

        async def receive() -> dict[str, object]:
            await asyncio.Event().wait()
            return {}

        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "root_path": ""}
        app = edge.Application(pages, static=root)  # type: ignore[arg-type]
        await app(scope, receive, send)  # type: ignore[arg-type]
        await app.stop()
        headers = {k.decode(): v.decode() for k, v in seen[0]["headers"]}  # type: ignore[attr-defined]
        return seen[0]["status"], headers  # type: ignore[return-value]

    status, headers = asyncio.run(ask("/static/app-B7dK3xQ9.js"))
    assert (
        status == 200
        and headers["content-type"].startswith("text/javascript")
        and "immutable" in headers["cache-control"]
    )
    assert "immutable" in asyncio.run(ask("/static/font-4fA9_k2b.woff2"))[1]["cache-control"]
    for name in ("site.css", "base-stylesheet.css"):
        headers = asyncio.run(ask(f"/static/{name}"))[1]
        assert headers["content-type"].startswith("text/css") and "immutable" not in headers["cache-control"]
    assert asyncio.run(ask("/static/../conftest.py"))[0] == 404


def test_the_process_serves_as_the_page_role_and_drains(database_url: str, campaign: Campaign) -> None:
    """The real process: `ready` is told, hits that were answered are in the database after SIGTERM."""
    program = (
        "import os, sys; os.environ['ENVOL_DB_ROLE'] = 'envol_page'\n"
        "import django; django.setup()\n"
        "from types import SimpleNamespace as S\n"
        "from envol.db import value\n"
        "from envol.edge import http\n"
        "assert value('SELECT current_user') == 'envol_page'\n"
        "c = S(http_host='127.0.0.1', http_port=int(sys.argv[1]), pool_http=4, tls_cert='', tls_key='')\n"
        "http.run(c, lambda: print('ready', flush=True))\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(port)],
        stdout=subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": database_url},
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", campaign.click(), headers={"User-Agent": BROWSER})
        assert connection.getresponse().status == 302
        process.terminate()
        started = time.monotonic()
        process.wait(30)
        assert time.monotonic() - started < 30
    finally:
        process.kill()
        process.wait()
    assert campaign.stored() == [(Kind.CLICKED, None, 1, None)]


def test_a_taken_port_is_explained() -> None:
    taken = edge.listen("127.0.0.1", 0)
    with pytest.raises(OSError, match="Stop the program that uses it"):
        edge.listen("127.0.0.1", taken.getsockname()[1])
    taken.close()


def test_a_picture_is_served_for_ever_and_as_nothing_else(server: Server) -> None:
    from envol.content import media

    token = "Pictures-of-messages_0"
    (media.folder() / token).mkdir()
    (media.folder() / token / "600.jpg").write_bytes(b"\xff\xd8\xff one")
    status, headers, body = server.get(f"/m/{token}/600.jpg")
    assert (status, headers["content-type"], body) == (200, "image/jpeg", b"\xff\xd8\xff one")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff" and "sandbox" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "cross-origin" and "set-cookie" not in headers
    assert server.get(f"/m/{token}/600.jpg", "HEAD")[0] == 200
    for path in (
        f"/m/{token}/1200.jpg",
        f"/m/{token}/../secret",
        f"/m/{token}/600.svg",
        f"/m/{token}/",
        "/m/",
        "/m/x/600.jpg",
    ):
        assert server.get(path)[0] == 404, path
    assert server.get(f"/m/{token}/600.jpg", "DELETE")[0] in (403, 405)


def test_pictures_may_be_larger_than_a_page_and_smaller_than_a_file_of_people(server: Server) -> None:
    def ask(path: str, octets: int) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {octets}\r\nConnection: close\r\n\r\n"
        return server.raw(head.encode())[:12]

    assert ask("/media", 33 << 20) == b"HTTP/1.1 413" and ask("/campaigns/5/content", 33 << 20) == b"HTTP/1.1 413"
    assert ask("/campaigns/5/save", 11 << 20) == b"HTTP/1.1 413" and ask("/mediathek", 11 << 20) == b"HTTP/1.1 413"
    assert ask("/media", 11 << 20) == b"HTTP/1.1 302" and ask("/campaigns/5/content", 11 << 20) == b"HTTP/1.1 302"


def test_what_is_loaded_is_not_looked_through_again() -> None:
    """A full collection stops every page; what the process holds for its whole life is no part of it."""
    seen = subprocess.run(
        [
            sys.executable,
            "-c",
            "import gc, json\n"
            "import django; django.setup()\n"
            "kept = [[] for _ in range(50_000)]\n"
            "from envol.edge import http\n"
            "http.settle()\n"
            "first = len(gc.get_objects())\n"
            "later = [[] for _ in range(50_000)]\n"
            "gc.collect()\n"
            "print(json.dumps([first, len(gc.get_objects()), len(gc.callbacks)]))",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "envol.run.django_settings"},
    )
    first, later, callbacks = json.loads(seen.stdout)
    assert first < 5_000 and later < 5_000
    assert callbacks == 0
