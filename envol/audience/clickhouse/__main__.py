"""``python -m envol.audience.clickhouse WORKSPACE [changed]``: the child that copies one workspace into ClickHouse.

With ``changed`` it brings the copy there is up to date, and makes a new one only where that does not do.

A line ``done total`` for each piece, at the end the version and its people.
"""

from __future__ import annotations

import sys

import django


def main(workspace_id: int, *, changed: bool = False) -> None:
    django.setup()
    from django.conf import settings

    from envol.accounts.models import Workspace
    from envol.audience.clickhouse import upkeep
    from envol.audience.clickhouse.load import load
    from envol.audience.clickhouse.refresh import refresh
    from envol.audience.columns.build import address

    client = upkeep.client()
    workspace = Workspace.objects.get(pk=workspace_id)
    cluster = settings.ENVOL.clickhouse_cluster
    made = refresh(workspace, client, address(), cluster) if changed else None
    if made is None:
        made = load(workspace, client, address(), lambda done, total: print(done, total, flush=True), cluster)
    upkeep.note(workspace_id)
    client.close()
    print(made.version, made.people, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), changed=sys.argv[2:] == ["changed"])
