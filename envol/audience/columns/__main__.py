"""``python -m envol.audience.columns WORKSPACE``: the child that writes slabs and ends.

A line ``done total`` for each file written, at the end the version and its people.
"""

from __future__ import annotations

import sys

import django


def main(workspace_id: int) -> None:
    django.setup()
    from django.conf import settings

    from envol.accounts.models import Workspace
    from envol.audience.columns.build import address, build

    workspace = Workspace.objects.get(pk=workspace_id)
    made = build(workspace, settings.ENVOL.data, address(), lambda done, total: print(done, total, flush=True))
    print(made.version, made.people, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
