"""Mailjet's own clients for Node and Go against our server, changed by nothing but address and key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envol import db
from envol.accounts.workspaces import NewKey, create_api_key
from envol.contacts.models import Contact
from envol.outbound import domains
from tests.edge.test_http import Server

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its lock names versions and digests; npm brings it at test time."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node-mailjet")
    for file in (Path(__file__).parent / "node-mailjet").iterdir():
        shutil.copy(file, folder)
    subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=folder, check=True, timeout=120)
    return folder


@pytest.fixture
def key(workspace: Any) -> NewKey:
    domains.add(workspace, "boutique.example", trusted=True)
    return create_api_key(workspace, "le site")


@pytest.mark.peers
def test_node_mailjet_works_after_changing_its_address(server: Server, key: NewKey, client: Path) -> None:
    command = ["node", "talk.js", str(server.port), key.key, key.secret]
    said = subprocess.run(command, cwd=client, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    number, raw = db.rows("SELECT s.no, m.raw FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id")[0]
    assert json.loads(said.stdout) == {
        "same": True,
        "managed": "luc@lecteurs.example",
        "page": 1,
        "message": str(number),
        "removed": 204,
        "gone": 200,
        "refused": 'Unsuccessful: Status Code: "400" Message: "MJ18 A Contact resource with value '
        '"luc@lecteurs.example" for Email already exists."',
    }
    assert b"Bonjour Luc" in bytes(raw)
    assert list(Contact.objects.values_list("email", flat=True)) == ["luc@lecteurs.example"]


@pytest.mark.peers
def test_the_go_client_works_after_changing_its_address(server: Server, key: NewKey, tmp_path: Path) -> None:
    """Its sums name the version's digest; Go brings it at test time."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("Go is not installed")
    for file in (Path(__file__).parent / "mailjet-go").iterdir():
        shutil.copy(file, tmp_path)
    command = [go, "run", ".", str(server.port), key.key, key.secret]
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    said = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    rows = db.rows(
        "SELECT s.no, m.raw FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id ORDER BY s.no"
    )
    assert json.loads(said.stdout) == {
        "same": True,
        "managed": "luc@lecteurs.example",
        "first": "luc@lecteurs.example",
        "count": 1,
        "messages": [no for no, _ in rows],
        "refused": "mj-0013",
    }
    assert [b"Bonjour Luc" in bytes(raw) or b"Bonjour Anna" in bytes(raw) for _, raw in rows] == [True, True]
    anna = Contact.objects.get(email="anna@lecteurs.example")
    assert anna.props["full_name"] == "Anna B."
