"""Sign-ins that failed at the HTTP API are counted by key, at each of its doors, as those of SMTP are."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from envol import db
from envol.accounts import api_keys
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import NewKey
from envol.outbound import metrics, rolls
from tests.api.test_sending import key, server  # noqa: F401 -- fixtures
from tests.edge.test_http import Server

pytestmark = pytest.mark.usefixtures("empty_database")
DOORS = (("/v3.1/send", "POST"), ("/v3/REST/contact", "GET"), ("/api/v1/contacts", "GET"))


def ask(server: Server, path: str, method: str, user: str, secret: str) -> int:  # noqa: F811
    basic = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
    body: dict[str, Any] = {"body": b"{}"} if method == "POST" else {}
    return server.get(path, method, **body, Authorization=basic, **{"Content-Type": "application/json"})[0]


def counted() -> list[tuple[Any, ...]]:
    return db.rows("SELECT subject, outcome, workspace_id, n FROM outbound_roll WHERE series = 'auth_key' ORDER BY 2")


def test_wrong_secrets_and_paused_keys_are_counted_at_every_door(server: Server, key: NewKey) -> None:  # noqa: F811
    rolls.forget()
    row = ApiKey.objects.get(public_id=key.key)
    for path, method in DOORS:
        assert ask(server, path, method, key.key, "wrong") == 401, path
        assert ask(server, path, method, "nobody", "wrong") == 401
        assert ask(server, path, method, key.key, key.secret) != 401
    api_keys.pause(row, "compromise")
    for path, method in DOORS:
        assert ask(server, path, method, key.key, key.secret) in (401, 403), path
    rolls.flush()
    assert counted() == [
        (str(row.pk), "http: refused", row.workspace_id, 3),
        (str(row.pk), "http: shut", row.workspace_id, 3),
    ], "an unknown key is nobody's"
    name = row.workspace.name
    line = f'envol_day_failed_sign_ins{{workspace="{name}",key="{row.pk}",result="http: refused"}} 3'
    assert line in metrics.text().splitlines()


def test_the_process_writes_them_by_itself(server: Server, key: NewKey) -> None:  # noqa: F811
    from envol.edge import http

    rolls.forget()
    ask(server, "/v3.1/send", "POST", key.key, "wrong")
    http._write_calls()
    assert [row[1] for row in counted()] == ["http: refused"]
