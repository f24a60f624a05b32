"""Samples with the reader's key, the API read as a page, the log of calls."""

from __future__ import annotations

import json
from typing import Any

from envol.accounts.workspaces import create_api_key
from envol.api import calls
from envol.api.own.routes import ROUTES
from tests.api.program import Program


def test_samples_bear_the_readers_key_and_never_a_secret(as_member: Any, shop: Any) -> None:
    made = create_api_key(shop.workspace, "le site")
    editor = as_member("editor")
    for language, word in (("curl", "curl -s"), ("python", "import requests"), ("php", "curl_init"), ("js", "fetch(")):
        page = editor.get("/settings/developers", {"in": language}).content.decode()
        assert word in page and made.key in page and made.secret not in page
    foreign = editor.get("/settings/developers", {"key": "999999", "in": "cobol"}).content.decode()
    assert "curl -s" in foreign and made.key in foreign
    assert as_member("viewer").get("/settings/developers").status_code == 403


def test_the_log_shows_calls_and_can_be_held_to_refusals(as_member: Any, shop: Any, other_shop: Any) -> None:
    program = Program(shop.workspace)
    program.raw("GET", "/api/v1/lists")
    program.raw("GET", "/api/v1/nothing")
    Program(other_shop.workspace).raw("GET", "/api/v1/forms")
    editor = as_member("editor")
    part = editor.get("/settings/developers?part=calls", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part and "/api/v1/lists" in part and "/api/v1/nothing" in part
    assert "/api/v1/forms" not in part and "every 4s" in part
    refused = editor.get("/settings/developers?refused=1").content.decode()
    assert "/api/v1/nothing" in refused and "GET /api/v1/lists<" not in refused
    assert calls.flush() == 0


def test_the_api_reads_as_a_page_with_every_route(as_member: Any) -> None:
    page = as_member("editor").get("/settings/developers/api").content.decode()
    for route in ROUTES:
        assert f'id="{route.name}"' in page and f"/api/v1{route.path}" in page
    assert 'id="problem-other-body"' in page and "properties" in page
    told = json.loads(as_member("editor").get("/api/openapi.json").content)
    assert len(told["paths"]) == len({route.path for route in ROUTES})
