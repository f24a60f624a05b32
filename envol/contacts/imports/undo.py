"""Undo an import within seven days: values go back, people nobody else met go, permissions end.

What was given is withdrawn by new lines of the ledger; the old ones stay. All of it is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from envol.accounts.journal import note
from envol.consent import informing, ledger
from envol.consent.models import Permission
from envol.contacts.imports.mapping import properties_of
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.models import Import
from envol.db import execute, sql

DAYS = 7
_BATCH = 20_000

# SQL conditions over the contact ``c``: true means somebody or something else has met her since.
_met: list[str] = [
    "c.updated_at > c.created_at",
    "EXISTS (SELECT FROM jsonb_each(c.sources) e WHERE e.value <> to_jsonb(%(source)s::bigint))",
    "EXISTS (SELECT FROM contacts_membership m WHERE m.contact_id = c.id AND m.source_id IS DISTINCT FROM %(source)s)",
    "EXISTS (SELECT FROM contacts_note n WHERE n.contact_id = c.id)",
    "EXISTS (SELECT FROM contacts_order o WHERE o.contact_id = c.id)",
    "EXISTS (SELECT FROM contacts_identifier i WHERE i.contact_id = c.id AND i.kind <> ALL(%(kinds)s))",
]


def keep_when(condition: str) -> str:
    """Register, at start, an SQL condition over ``contacts_contact c`` under which a person stays at undo.

    For rooms above this one: who was written to since has been met.
    """
    _met.append(condition)
    return condition


def undo(imp: Import, progress: Callable[[int, int | None, str], None] | None = None) -> dict[str, Any]:
    """Take back what an import did; how many people were removed, restored and had a permission withdrawn.

    Raises ImportProblem after seven days, or when there is nothing to undo.
    """
    _must_be_undoable(imp)
    if imp.source_id is None:
        raise ImportProblem(gettext("This import has written nothing: there is nothing to undo."))
    tell = progress or (lambda done, total, step: None)
    targets = set(imp.mapping.values())
    params = {
        "workspace": imp.workspace_id,
        "import": imp.pk,
        "source": imp.source_id,
        "kinds": [t.partition(":")[2] for t in targets if t.startswith("identifier:")],
        "emptied": properties_of(targets) if imp.policy == "replace" else [],
    }
    with transaction.atomic(durable=True):
        tell(0, None, "undoing")
        execute("CREATE TEMP TABLE import_gone (id bigint PRIMARY KEY) ON COMMIT DROP")
        removed = execute(
            "INSERT INTO import_gone SELECT c.id FROM contacts_import_change x"
            " JOIN contacts_contact c ON c.workspace_id = %(workspace)s"
            " AND c.id BETWEEN x.contact_id AND (x.before ->> 'last')::bigint"
            f" WHERE x.import_id = %(import)s AND x.created AND NOT ({' OR '.join(_met)}) FOR UPDATE OF c",
            params,
        )
        execute("ANALYZE import_gone")
        # Before masks change: the people who stay are recognised by what they were.
        restored = execute(sql("contacts", "import_undo_values"), params)
        withdrawn = 0
        for lines in _withdrawals(imp):
            ledger.append(imp.workspace_id, lines)
            withdrawn += len(lines)
            tell(withdrawn, None, "undoing")
        for table, column in (
            ("contacts_membership", "contact_id"),
            ("contacts_identifier", "contact_id"),
            ("contacts_property_history", "contact_id"),
            ("contacts_contact", "id"),
        ):
            execute(f"DELETE FROM {table} t USING import_gone g WHERE t.{column} = g.id")
        execute(
            "UPDATE contacts_membership SET until = greatest(since, now()) WHERE workspace_id = %(workspace)s"
            " AND source_id = %(source)s AND until IS NULL",
            params,
        )
        informing.take_back(imp.workspace_id, imp.pk)
        left = {"removed": removed, "restored": restored, "withdrawn": withdrawn}
        imp.counts = imp.counts | {"undone": left}
        imp.state = "undone"
        imp.save(update_fields=["counts", "state"])
        note(imp.workspace_id, "job", "import.undone", imp, **left)
    return left


def _must_be_undoable(imp: Import) -> None:
    imp.refresh_from_db()
    if imp.state == "undone":
        raise ImportProblem(gettext("This import is undone already."))
    if imp.state not in ("done", "cancelled", "failed") or imp.ended_at is None:
        raise ImportProblem(gettext("This import has written nothing: there is nothing to undo."))
    if imp.ended_at < datetime.now(UTC) - timedelta(days=DAYS):
        raise ImportProblem(
            gettext("An import can be undone for %(days)s days; these are over: change the people themselves.")
            % {"days": DAYS}
        )


def undo_orders(imp: Import) -> dict[str, Any]:
    """Take away the orders that a file brought; those that were known before it stay. Raises ImportProblem."""
    _must_be_undoable(imp)
    mine = [imp.workspace_id, imp.pk]
    with transaction.atomic(durable=True):
        execute(
            "DELETE FROM contacts_order_line l USING contacts_order o"
            " WHERE l.order_id = o.id AND o.workspace_id = %s AND o.import_id = %s",
            mine,
        )
        removed = execute("DELETE FROM contacts_order WHERE workspace_id = %s AND import_id = %s", mine)
        imp.counts = imp.counts | {"undone": {"orders": removed}}
        imp.state = "undone"
        imp.save(update_fields=["counts", "state"])
        note(imp.workspace_id, "job", "import.undone", imp, orders=removed)
    return {"orders": removed}


def _withdrawals(imp: Import) -> Iterable[list[ledger.Line]]:
    evidence = imp.permission.get("evidence_id")
    if not evidence:
        return
    now = datetime.now(UTC)
    present = Permission.objects.filter(
        workspace_id=imp.workspace_id, evidence_id=evidence, state="granted", until=None
    ).order_by("contact_id")
    last = 0
    while some := list(present.filter(contact_id__gt=last).values_list("contact_id", "purpose_id", "basis")[:_BATCH]):
        yield [
            ledger.Line(contact, purpose, "withdrawn", basis, now, evidence, f"import {imp.pk} undone")
            for contact, purpose, basis in some
        ]
        last = some[-1][0]
