"""Rspamd is asked about what the send API hands on, as about every other message of programs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from envol import db
from envol.outbound import domains, rspamd
from tests.api.program import Program
from tests.api.test_filling import send, sent

ACTIONS = {"Refusez": "reject", "Marquez": "add header"}


class Filter:
    """A server that speaks its protocol: what it was asked, and whether it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.answers = True
        mine = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                mine.asked.append((body, self.headers["From"], ", ".join(self.headers.get_all("Rcpt") or [])))
                action = next((said for word, said in ACTIONS.items() if word in body), "no action")
                answer = json.dumps({"action": action, "score": 12.0, "required_score": 10.0}).encode()
                self.send_response(200 if mine.answers else 503)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def filter_() -> Iterator[Filter]:
    made = Filter()
    with override_settings(ENVOL=replace(settings.ENVOL, rspamd=made.url)):
        yield made
    made.server.shutdown()
    made.server.server_close()
    rspamd._away.pop(made.url, None)


@pytest.fixture
def program(workspace: Any) -> Program:
    domains.add(workspace, "boutique.example", trusted=True)
    return Program(workspace)


def test_what_was_filled_in_is_what_it_sees(program: Program, filter_: Filter) -> None:
    two = [{"Email": "luc@lecteurs.example"}, {"Email": "ann@lecteurs.example"}]
    filled = {"TextPart": "{{var:word}} [[EMAIL_TO]]", "TemplateLanguage": True}
    status, told = send(
        program,
        {**filled, "Variables": {"word": "Bonjour"}, "To": two},
        {**filled, "Variables": {"word": "Refusez"}},
        {"TextPart": "Marquez"},
    )
    assert (status, [one["Status"] for one in told["Messages"]]) == (400, ["success", "error", "success"])
    (error,) = told["Messages"][1]["Errors"]
    assert (error["ErrorCode"], error["StatusCode"]) == ("mj-0005", 403) and "Rspamd" in error["ErrorMessage"]
    assert [address for address, _ in sent(program)] == [one["Email"] for one in two] + ["luc@lecteurs.example"]
    states = db.rows(
        "SELECT state FROM outbound_sending WHERE workspace_id = %s ORDER BY state", [program.workspace.pk]
    )
    assert ("held",) in states, "what it would mark waits for somebody"
    assert len(filter_.asked) == 3, "once about each letter"
    (asked,) = [one for one in filter_.asked if "Bonjour luc@lecteurs.example" in one[0]]
    assert asked[1:] == ("zoe@boutique.example", "luc@lecteurs.example, ann@lecteurs.example")


def test_a_sandbox_and_one_that_does_not_answer(program: Program, filter_: Filter) -> None:
    assert send(program, {"TextPart": "Refusez"}, SandboxMode=True)[0] == 200 and filter_.asked == []
    filter_.answers = False
    many = [{"TextPart": "Refusez"} for _ in range(30)]
    assert send(program, *many)[0] == 200, "our own rules decide"
    assert 1 <= len(filter_.asked) <= rspamd.AT_ONCE, "it is left alone once it failed"
    before = len(filter_.asked)
    assert send(program, {"TextPart": "x"})[0] == 200 and len(filter_.asked) == before


def test_what_it_says_is_heard_beside_what_our_own_rules_say(program: Program, filter_: Filter) -> None:
    """The graver reason stands first, and honest words are not heard any more."""
    html = "<p>Marquez la date : assemblée samedi à 15 h, salle des fêtes.<form action='/q'><input name='q'></form>"
    assert send(program, {"HTMLPart": html})[0] == 200
    (held,) = db.rows("SELECT reasons FROM outbound_held WHERE workspace_id = %s", [program.workspace.pk])
    found = held[0] if isinstance(held[0], list) else json.loads(held[0])
    assert [rule for rule, _, _ in found] == ["rspamd", "form"] and all(points > 0 for _, points, _ in found)
