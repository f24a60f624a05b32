from __future__ import annotations

from django.test import Client

from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.content.links import Kind, url
from envol.outbound.models import Captured


def test_an_owner_who_looks_into_the_inbox_is_not_counted_as_a_reader(workspace: Workspace) -> None:
    owner = User.objects.create_user(f"owner@{workspace.name}.example", "a long pass phrase")
    add_member(workspace, owner, Role.OWNER)
    pixel, link = (url("http://localhost:8025", kind, 7, 9, 1) for kind in (Kind.OPEN, Kind.CLICK))
    raw = (
        "From: a@boutique.example\r\nTo: b@lecteurs.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: text/html; charset=utf-8\r\n\r\n<p><img src="{pixel}"><a href="{link}">go</a></p>\r\n'
    )
    row = Captured.objects.create(workspace_id=workspace.id, envelope_to=["b@lecteurs.example"], raw=raw.encode())
    client = Client(HTTP_HOST="localhost")
    client.force_login(owner)
    answer = client.get(f"/inbox/{row.id}/html")
    shown = answer.content.decode()
    assert answer.status_code == 200 and link in shown
    assert "/o/" not in shown, "no request for the pixel leaves the page"
    assert shown.startswith('<base target="_blank">'), "links need a new window"
    assert "sandbox" in answer["Content-Security-Policy"], "and the sandbox opens none"
