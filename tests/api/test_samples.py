"""Samples of the developers' page, taken from the page as rendered and run as they stand against a live server."""

from __future__ import annotations

import dataclasses
import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from envol import db
from envol.accounts.models import Role, User
from envol.accounts.workspaces import NewKey, add_member, create_api_key
from envol.contacts import people
from envol.outbound import domains
from tests.edge.test_http import Server

pytestmark = pytest.mark.usefixtures("empty_database")
COMMANDS = {
    "curl": ["bash", "-c"],
    "python": [sys.executable, "-c"],
    "php": ["php", "-r"],
    "js": ["node", "--input-type=module", "-e"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def key(workspace: Any) -> NewKey:
    domains.add(workspace, "shop.example", trusted=True)
    return create_api_key(workspace, "le site")


def rendered(client: Client, language: str) -> list[str]:
    page = client.get("/settings/developers", {"in": language}).content.decode()
    return [html.unescape(one) for one in re.findall(r'<pre tabindex="0" class="code">(.*?)</pre>', page, re.DOTALL)]


@pytest.mark.parametrize("language", COMMANDS)
def test_what_the_page_shows_runs_as_it_is_copied(server: Server, workspace: Any, key: NewKey, language: str) -> None:
    if shutil.which(COMMANDS[language][0]) is None or (language == "curl" and shutil.which("curl") is None):
        pytest.skip(f"{COMMANDS[language][0]} is not installed")
    editor = add_member(workspace, User.objects.create_user(f"lea{workspace.pk}@equipe.example", "x"), Role.EDITOR)
    client = Client(HTTP_HOST="localhost")
    client.force_login(editor.user, "allauth.account.auth_backends.AuthenticationBackend")
    here = dataclasses.replace(settings.ENVOL, public_url=f"http://127.0.0.1:{server.port}")
    with override_settings(ENVOL=here):
        samples = rendered(client, language)
        assert len(samples) == 2 and all(key.key in one and key.secret not in one for one in samples)
        for sample in samples:
            code = sample.removeprefix("<?php") if language == "php" else sample
            done = subprocess.run(
                [*COMMANDS[language], code],
                env={"PATH": os.environ["PATH"], "ENVOL_SECRET": key.secret, "HOME": os.environ.get("HOME", "/")},
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0 and ("success" in done.stdout or "anna@lecteurs.example" in done.stdout), done
        log = client.get("/settings/developers?part=calls", headers={"HX-Request": "true"}).content.decode()
    sent = db.rows(
        "SELECT s.address FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id"
        " WHERE m.workspace_id = %s",
        [workspace.pk],
    )
    assert sent == [("anna@lecteurs.example",)]
    anna = people.find(workspace, "anna@lecteurs.example")
    assert anna is not None and anna.props.get("first_name") == "Anna"
    assert "/v3.1/send" in log and "/api/v1/contacts" in log and "le site" in log
