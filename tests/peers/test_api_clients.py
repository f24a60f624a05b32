"""Mailjet's own client for Node against our server, changed by nothing but address and key."""

from __future__ import annotations

import json
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
