"""Samples of the developers' page, taken from the page as rendered, and those of docs/api, from the text: run as they
stand against a live server."""

from __future__ import annotations

import dataclasses
import html
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from envol import db
from envol.accounts.models import Role, User
from envol.accounts.workspaces import NewKey, add_member, create_api_key
from envol.api import calls
from envol.api.hooks.payloads import signature
from envol.contacts import catalogue, lists, people
from envol.content import templates
from envol.outbound import domains
from tests.edge.test_http import Server

pytestmark = pytest.mark.usefixtures("empty_database")
COMMANDS = {
    "curl": ["bash", "-c"],
    "python": [sys.executable, "-c"],
    "php": ["php", "-r"],
    "js": ["node", "--input-type=module", "-e"],
}
DOCS = Path(__file__).resolve().parents[2] / "docs" / "api"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LABELS = {"sh": "curl"} | {name: name for name in COMMANDS}


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


def written(language: str) -> list[tuple[str, str]]:
    """Page and text of every block of docs/api in this language."""
    return [
        (page.name, block[2])
        for page in sorted(DOCS.glob("*.md"))
        for block in _BLOCK.finditer(page.read_text("utf-8"))
        if LABELS.get(block[1]) == language
    ]


def test_every_page_with_a_sample_has_it_in_every_language() -> None:
    pages = {language: {page for page, _ in written(language)} for language in COMMANDS}
    assert (
        pages["curl"]
        == pages["python"]
        == pages["php"]
        == pages["js"]
        >= {"send.md", "rest.md", "own.md", "webhooks.md"}
    )


def run(language: str, code: str) -> str:
    done = subprocess.run(
        [*COMMANDS[language], code],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, (code, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.parametrize("language", COMMANDS)
def test_what_the_documents_show_runs_as_it_is_copied(
    server: Server, workspace: Any, key: NewKey, language: str
) -> None:
    if shutil.which(COMMANDS[language][0]) is None or (language == "curl" and shutil.which("curl") is None):
        pytest.skip(f"{COMMANDS[language][0]} is not installed")
    club = lists.create(workspace, "Club", by="member")
    catalogue.declare(workspace, "firstname", "text", "firstname", "firstname")
    mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>Bonjour {{ contact.first_name | default('vous') }}</mj-text></mj-column></mj-section></mj-body></mjml>"  # noqa: E501
    templates.save(workspace, "Bienvenue", "mjml", mjml, "Bienvenue")
    ran = [code for _, code in written(language) if "envol.example" in code]
    for code in ran:
        here = code.replace("https://envol.example", f"http://127.0.0.1:{server.port}")
        here = re.sub(r"\b17\b", str(club.pk), here.replace("envol.example", "127.0.0.1"))
        run(language, here.replace("KEY", key.key).replace("SECRET", key.secret))
    deadline = time.monotonic() + 20
    found: list[tuple[str, int]] = []
    while len(found) < len(ran) and time.monotonic() < deadline:  # the server writes its log every few seconds too
        calls.flush()
        found = db.rows("SELECT path, status FROM api_logged_call WHERE workspace_id = %s", [workspace.pk])
    assert len(found) >= len(ran) and {status for _, status in found} <= {200, 201}, found
    sent = db.rows("SELECT m.header ->> 'subject' FROM outbound_message m WHERE m.workspace_id = %s", [workspace.pk])
    assert sorted(subject for (subject,) in sent) == ["Bienvenue", "Votre commande"]
    assert people.find(workspace, "anna@example.org") is not None


@pytest.mark.parametrize("language", ("python", "php", "js"))
def test_the_documents_check_a_signature(language: str) -> None:
    if shutil.which(COMMANDS[language][0]) is None:
        pytest.skip(f"{COMMANDS[language][0]} is not installed")
    (code,) = (code for page, code in written(language) if page == "webhooks.md" and "webhook-signature" in code)
    body = '{"type": "message.bounced"}'
    good = signature("whsec_c2VjcmV0", "evt_1700", 1793871600, body.encode())
    for sent, fits in ((f"v1,AAAA {good}", True), ("v1,AAAA", False)):
        fields = f'"webhook-id": "evt_1700", "webhook-timestamp": "1793871600", "webhook-signature": "{sent}"'
        ask = {
            "python": f"print(is_ours('whsec_c2VjcmV0', {{{fields}}}, b'{body}'))",
            "php": f"echo is_ours('whsec_c2VjcmV0', [{fields.replace(': ', ' => ')}], '{body}') ? 'true' : 'false';",
            "js": f"console.log(isOurs('whsec_c2VjcmV0', {{{fields}}}, '{body}'));",
        }[language]
        assert run(language, f"{code}\n{ask}").strip().lower() == str(fits).lower()
