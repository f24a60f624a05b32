"""`envol check`: what would stop mail from leaving, by route."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.conf import settings

from envol.run import doctor


def stops(workspace: Any, **changes: Any) -> set[str]:
    config = dataclasses.replace(settings.ENVOL, **changes)
    return {str(item["code"]) for item in doctor.check(config, workspace) if not item["ok"]} - {
        "postal_address",
        "books",
    }


def test_each_route_asks_what_it_needs(workspace: Any) -> None:
    known = {"public_url": "https://mail.librairie.example", "helo_name": "mail.librairie.example"}
    assert stops(workspace) == set()
    assert stops(workspace, route="direct", **known) == {"domain"}
    assert stops(workspace, route="direct", helo_name="machine") == {"domain", "public_url", "helo_name"}
    assert stops(workspace, route="direct", sources="127.0.0.1 - marketing; * -", **known) == {"domain"}
    assert stops(workspace, route="direct", sources="192.0.2.77 -", **known) == {"domain", "sources"}
    assert stops(workspace, route="smart_host", **known) == {"domain", "smart_host"}
    assert stops(workspace, route="smart_host", smart_host="127.0.0.1:25") == {"domain"}, "a trial may lead to itself"
    assert stops(workspace, route="smart_host", smart_host="x:25", public_url="http://mail.librairie.example") == {
        "domain",
        "public_url",
    }
