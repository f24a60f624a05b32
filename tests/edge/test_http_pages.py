"""What is no hot route reaches Django through the same door: one-click unsubscribe as a mail provider sends it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from envol.accounts.models import Workspace
from envol.consent import gates, purposes
from envol.content import links
from envol.db import value
from envol.outbound.models import Sending
from tests.edge.test_http import Campaign, Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def campaign(workspace: Workspace) -> Campaign:
    made = Campaign(workspace)
    Sending.objects.filter(id=made.sending).update(purpose_id=purposes.get(workspace, "newsletter").pk)
    made.answer("newsletter", "granted")
    return made


def refusal(campaign: Campaign) -> str | None:
    """The reason a courier's lease would hear."""
    bit = purposes.get(campaign.workspace, "newsletter").bit
    return value(f"SELECT {gates.refusal_sql('c', bit)} FROM contacts_contact c WHERE id = %s", [campaign.contact])


def test_one_click_works_over_real_http_without_cookies(server: Server, campaign: Campaign) -> None:
    path = "/u/" + links.unsubscribe_token(campaign.sending, campaign.contact)
    for method in ("GET", "HEAD"):
        status, headers, _ = server.get(path, method)
        assert status == 200 and "set-cookie" not in headers and refusal(campaign) is None
    status, headers, _ = server.get(
        path, "POST", body=b"List-Unsubscribe=One-Click", **{"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert status == 200 and "set-cookie" not in headers and "location" not in headers
    assert refusal(campaign) == "withdrawn", "the next lease refuses"


def test_one_click_in_chunks_is_read_whole(server: Server, campaign: Campaign) -> None:
    """A body without a length is gathered before Django sees it, else WSGI would read nothing."""
    path = "/u/" + links.unsubscribe_token(campaign.sending, campaign.contact)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
        peer.sendall(head.encode())
        for part in (b"List-Unsub", b"scribe=One-Click"):
            peer.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        peer.sendall(b"0\r\n\r\n")
        answer = b""
        while part := peer.recv(65536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 ") and b"text/plain" in answer, "answered as one-click, not as a page"
    assert refusal(campaign) == "withdrawn"


def test_no_header_can_pose_as_another(server: Server) -> None:
    """WSGI writes both X-Name and X_Name as HTTP_X_NAME: the one with an underscore is left out."""
    answer = server.raw(
        b"POST /p/nothing HTTP/1.1\r\nHost: localhost\r\nContent_Length: 5\r\nSec_Fetch_Site: cross-site\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 404 "), "seen as our own form, not as a foreign one"


def test_a_foreign_host_is_refused(server: Server) -> None:
    assert server.get("/p/nothing", Host="evil.example")[0] == 400


def test_a_failed_page_does_not_log_its_token(server: Server, campaign: Campaign) -> None:
    import logging

    from envol.edge.http import _Discreet

    token = links.unsubscribe_token(campaign.sending, campaign.contact)
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Not Found: %s", (f"/u/{token}",), None)
    assert _Discreet().filter(record) and token not in record.getMessage()
