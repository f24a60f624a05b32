"""Which figures does no page show? Read-only SQL over the columnar copy of the workspace."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envol.accounts.journal import note
from envol.accounts.models import Role, Workspace
from envol.audience.analysis import ask, views
from envol.audience.analysis.guard import functions as guard_functions
from envol.contacts import exports
from envol.contacts.export_files import needs_approval
from envol.contacts.models import Property
from envol.contacts.people import mask_text
from envol.web.doors import MemberRequest, audience
from envol.web.masking import sees_addresses

FARTHEST = 100_000  # row that a page may begin at
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\d 00:00:00")
KEPT = 1_000  # characters of a question in the journal


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def analysis(request: MemberRequest) -> HttpResponseBase:
    """The form, and the answer to what was asked, fifty rows at a time or as a file."""
    workspace: Workspace = request.workspace
    manifest = ask.copy_of(workspace)
    facts: dict[str, Any] = {
        "views": _described(workspace),
        "examples": _examples(),
        "made_at": datetime.fromtimestamp(manifest.made_at, UTC) if manifest else None,
        "seconds": ask.SECONDS,
        "functions": guard_functions(),
        "sql": "",
    }
    if request.method != "POST":
        chosen = request.GET.get("example", "")
        facts["sql"] = next((one["sql"] for one in facts["examples"] if one["key"] == chosen), "")
        return render(request, "analysis/analysis.html", facts)
    sql = request.POST.get("sql", "")
    first = _first(request.POST.get("first", ""))
    as_file = request.POST.get("act") == "csv"
    if request.POST.get("act") == "ask":
        first = 0
    facts |= {"sql": sql, "first": first}
    try:
        found = ask.ask(
            workspace,
            sql,
            masked=not sees_addresses(request),
            first=0 if as_file else first,
            count=ask.MOST_ROWS if as_file else ask.PAGE,
        )
    except ask.Refused as error:
        return render(request, "analysis/analysis.html", facts | {"error": _sentence(error)}, status=422)
    if as_file and needs_approval(workspace, len(found.rows), request.member.pk):
        said = _("So many rows leave as a file only when another owner agrees: make a segment and export its people.")
        return render(request, "analysis/analysis.html", facts | {"error": said}, status=422)
    act = "analysis.exported" if as_file else "analysis.asked"
    kept = mask_text(" ".join(sql.split()))[:KEPT]
    note(workspace, "member", act, actor_id=request.member.pk, sql=kept, rows=len(found.rows), first=first)
    if as_file:
        return _file(found)
    numbers = [_is_figure([row[n] for row in found.rows]) for n in range(len(found.columns))]
    facts |= {
        "found": found,
        "heads": list(zip(found.columns, numbers, strict=True)),
        "rows": [list(zip(row, numbers, strict=True)) for row in _days(found.rows)],
        "from": first + 1,
        "to": first + len(found.rows),
        "before": max(0, first - ask.PAGE),
        "next": first + ask.PAGE,
    }
    return render(request, "analysis/analysis.html", facts)


def _first(raw: str) -> int:
    return min(int(raw), FARTHEST) if raw.isascii() and raw.isdigit() and len(raw) < 9 else 0


def _is_figure(values: list[Any]) -> bool:
    """A column of numbers, some of them absent."""
    told = [value for value in values if value is not None]
    return bool(told) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in told)


def _days(rows: list[list[Any]]) -> list[list[str]]:
    """Rows as texts; a column of nothing but midnights is one of days."""
    told = [[_shown(value) for value in row] for row in rows]
    for n in range(len(told[0]) if told else 0):
        if all(not row[n] or _MIDNIGHT.fullmatch(row[n]) for row in told):
            for row in told:
                row[n] = row[n][:10]
    return told


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return _("yes") if value else _("no")
        case list():
            return ", ".join(_shown(one) for one in value)
        case _:
            return str(value)


def _file(found: ask.Answer) -> StreamingHttpResponse:
    french = (get_language() or "en").startswith("fr")
    buffer = io.StringIO()
    write = csv.writer(buffer, delimiter=";" if french else ",", lineterminator="\r\n").writerow

    def lines() -> Iterator[str]:
        yield "\ufeff"
        for row in (found.columns, *found.rows):
            write([exports.safe(_shown(value)) for value in row])
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="sql-{timezone.localdate():%Y-%m-%d}.csv"'
    return answer


def _sentence(error: ask.Refused) -> str:
    """Why there is no answer, and what to do."""
    what = {"what": error.what}
    match error.code:
        case "empty":
            return _("Write a question first, or take one of the examples.")
        case "long" | "large":
            return _("This question is too large; ask for less at once.")
        case "several":
            return _("Ask one question at a time: remove what follows the semicolon.")
        case "no_select":
            return _("Only SELECT is possible here: nothing can be changed, opened or set.")
        case "recursive":
            return _("WITH RECURSIVE is not possible here.")
        case "table":
            return _("There is no table “%(what)s” here; use the ones listed below.") % what
        case "name":
            return _("“%(what)s” cannot be the name of a WITH; use letters, digits and underscores.") % what
        case "word":
            return _("“%(what)s” is not possible here; the list below says which functions are.") % what
        case "unreadable":
            return _("This is no SQL that can be read: %(what)s") % what
        case "slow":
            return _("This takes longer than %(n)s seconds and was ended; ask for less, or for fewer rows at once.") % {
                "n": ask.SECONDS
            }
        case "memory" | "large_answer":
            return _("This needs more memory than one question may have; ask for less at once.")
        case "busy":
            return _("Another question of this workspace is being answered; try again in a moment.")
        case "no_copy":
            return _("There is no columnar copy to ask yet.")
    return _("The engine could not answer: %(what)s") % what


def _described(workspace: Workspace) -> list[dict[str, Any]]:
    """Each view with its columns and what they mean."""
    properties = list(Property.objects.filter(workspace=workspace, sensitive=False).order_by("id"))
    french = (get_language() or "en").startswith("fr")
    own = {
        name: prop.label_fr if french else prop.label_en
        for prop in properties
        for name in views.columns([(prop.key, prop.type)])["people"][len(views.FIXED) :]
    }
    said = {
        "person": _("number of the person in this copy; joins all tables"),
        "id": _("number of the person, as in the address of her page"),
        "email": _("address, in small letters"),
        "language": _("language"),
        "created": _("arrival, UTC"),
        "tags": _("tags, a list"),
        "suppressed": _("nothing can be delivered to her, or may be"),
        "objected": _("she objected to marketing"),
        "list": _("number of the list"),
        "list_name": _("name of the list"),
        "since": _("on the list since, UTC"),
        "until": _("left the list, UTC; empty while she is on it"),
        "order_no": _("number of the order"),
        "moment": _("when, UTC"),
        "cents": _("amount in cents"),
        "currency": _("currency"),
        "product": _("product, in small letters"),
        "category": _("category, in small letters"),
        "kind": _("opened, clicked or unsubscribed; machines are left out"),
        "sending": _("number of the sending"),
        "sending_name": _("name of the sending"),
    }
    columns = views.columns([(prop.key, prop.type) for prop in properties])
    return [
        {
            "name": name,
            "columns": [(one, own.get(one) if name == "people" and one in own else said[one]) for one in them],
        }
        for name, them in columns.items()
    ]


def _examples() -> list[dict[str, str]]:
    return [
        {
            "key": "months",
            "name": _("Revenue by month"),
            "sql": "SELECT date_trunc('month', moment) AS month, currency, count(*) AS orders,\n"
            "       sum(cents) / 100 AS revenue\nFROM orders\nGROUP BY ALL\nORDER BY month DESC",
        },
        {
            "key": "domains",
            "name": _("People by domain of their address"),
            "sql": "SELECT split_part(email, '@', 2) AS domain, count(*) AS people\nFROM people\n"
            "GROUP BY ALL\nORDER BY people DESC",
        },
        {
            "key": "lists",
            "name": _("Who clicks, list by list"),
            "sql": "SELECT m.list_name, count(DISTINCT m.person) AS people, count(DISTINCT e.person) AS clicked\n"
            "FROM memberships AS m\nLEFT JOIN events AS e ON e.person = m.person AND e.kind = 'clicked'\n"
            "WHERE m.until IS NULL\nGROUP BY ALL\nORDER BY people DESC",
        },
        {
            "key": "together",
            "name": _("Categories bought by the same people"),
            "sql": "SELECT a.category, b.category AS other, count(DISTINCT a.person) AS people\n"
            "FROM order_lines AS a\nJOIN order_lines AS b ON b.person = a.person AND b.category > a.category\n"
            "GROUP BY ALL\nORDER BY people DESC",
        },
    ]
