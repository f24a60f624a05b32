"""How much mail goes where, and how it fares: by hour, receiver, domain, key, sender; who knocks at our services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from babel.dates import format_datetime
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_safe

from envol.accounts.models import Role, Workspace
from envol.db_role import as_owner
from envol.outbound import queue, rolls
from envol.web.charts import bar
from envol.web.doors import MemberRequest, audience
from envol.web.masking import shown
from envol.web.tables import Cell, Table, figure, words
from envol.web.templatetags.envol import _locale, number, weight, word
from envol.web.views.mail import key_names

DAYS = (1, 7, 30, 90)
FEW = 8
MOST = 500
OTHER = gettext_lazy("other receivers")
STATES = (
    ("delivered", gettext_lazy("delivered")),
    ("deferred", gettext_lazy("put off")),
    ("bounced", pgettext_lazy("messages", "refused")),
    ("expired", gettext_lazy("given up")),
)
OUTCOMES: dict[str, str | Promise] = {
    "accepted": gettext_lazy("accepted"),
    "barred": gettext_lazy("refused: the key may not"),
    "submission: served": gettext_lazy("submission, served"),
    "submission: refused": gettext_lazy("submission, turned away"),
    "inbound: served": gettext_lazy("mail from outside, served"),
    "inbound: refused": gettext_lazy("mail from outside, turned away"),
    "submission": gettext_lazy("submission"),
    "inbound": gettext_lazy("mail from outside"),
    "refused": gettext_lazy("wrong key or secret"),
    "shut": gettext_lazy("key paused or over"),
    "http: refused": gettext_lazy("wrong secret, at the HTTP API"),
    "http: shut": gettext_lazy("key paused or over, at the HTTP API"),
    "signed in": gettext_lazy("signed in"),
    "clear": gettext_lazy("without encryption"),
    "report": gettext_lazy("reported by the provider"),
}


@dataclass(frozen=True, slots=True)
class View:
    """What a report needs of the request."""

    request: MemberRequest
    days: int

    @property
    def since(self) -> Any:
        return timezone.now() - timedelta(days=self.days)

    @property
    def own(self) -> list[int]:
        return [self.request.workspace.pk]


def is_operator(request: MemberRequest) -> bool:
    """Connections are the machine's and no workspace's: the owners of the first one, who set it up, see them."""
    with as_owner():  # her own workspace is the first of those that she can see
        first = Workspace.objects.order_by("pk").values_list("pk", flat=True).first()
    return request.member.role == Role.OWNER and request.workspace.pk == first


def _states(view: View, series: str, head: str, caption: str, name: Callable[[str], str]) -> Table:
    """A subject a line, its messages by state across."""
    return _by_state(rolls.sums(series, view.since, view.own, MOST * 4), Table(series, caption, [head]), name)


def _by_state(lines: list[rolls.Line], table: Table, name: Callable[[str], str]) -> Table:
    sums: dict[str, dict[str, rolls.Line]] = {}
    for line in lines:
        sums.setdefault(line.subject, {})[line.outcome] = line
    most = max((sum(one.n for one in found.values()) for found in sums.values()), default=0)
    table.head = [*table.head, *(str(label) for _state, label in STATES), _("Data")]
    for subject, found in list(sums.items())[:MOST]:
        whole, octets = sum(one.n for one in found.values()), sum(one.octets for one in found.values())
        table.rows.append(
            [
                words(name(subject), "", bar(whole, most)),
                *(figure(found[state].n if state in found else 0) for state, _label in STATES),
                Cell(octets, weight(octets), "", True),
            ]
        )
    return table


def _outcomes(view: View, series: str, caption: str, heads: tuple[str, str], *, operator: bool = False) -> Table:
    """A subject and an outcome a line."""
    found = rolls.sums(series, view.since, [0] if operator else view.own, MOST)
    most = max((line.n for line in found), default=0)
    table = Table(series, caption, [*heads, _("How often")])
    table.rows = [
        [
            words(line.subject or "–", "", bar(line.n, most)),
            words(str(OUTCOMES.get(line.outcome) or word(line.outcome))),
            figure(line.n),
        ]
        for line in found
    ]
    return table


def _failed(view: View) -> Table:
    """Sign-ins that failed, by key: only those of keys that exist, whoever typed them."""
    names = key_names(view.request)
    table = Table("auth_key", _("Sign-ins that failed, by key"), [_("Key"), _("Result"), _("How often")])
    found = rolls.sums("auth_key", view.since, view.own, MOST)
    most = max((line.n for line in found), default=0)
    for line in found:
        name = names.get(int(line.subject), "") if line.subject.isdigit() else ""
        how = str(OUTCOMES.get(line.outcome, line.outcome))
        table.rows.append([words(name or line.subject, "", bar(line.n, most)), words(how), figure(line.n)])
    return table


def _accounts(view: View) -> Table:
    with as_owner():  # of all workspaces of this machine
        found = rolls.accounts(view.since, MOST * 4)
    return _by_state(found, Table("account", _("By workspace"), [_("Workspace")]), str)


def _by_time(view: View) -> Table:
    unit = "hour" if view.days <= 2 else "day"
    zone = timezone.get_current_timezone_name()
    sums: dict[Any, dict[str, tuple[int, int]]] = {}
    for at, outcome, n, octets in rolls.hours("out", view.since, view.own, zone, unit):
        sums.setdefault(at, {})[outcome] = (n, octets)
    most = max((sum(n for n, _o in found.values()) for found in sums.values()), default=0)
    pattern = "EEE d MMM, HH:mm" if unit == "hour" else "EEE d MMM"
    head = _("Hour") if unit == "hour" else _("Day")
    table = Table("hours", _("Messages and data by hour and day"), [head, *(str(s[1]) for s in STATES), _("Data")])
    for at, found in reversed(sums.items()):
        whole, octets = (sum(one[i] for one in found.values()) for i in (0, 1))
        table.rows.append(
            [
                Cell(
                    at.isoformat(),
                    format_datetime(timezone.localtime(at), pattern, locale=_locale()),
                    bar=bar(whole, most),
                ),
                *(figure(found.get(state, (0, 0))[0]) for state, _label in STATES),
                Cell(octets, weight(octets), "", True),
            ]
        )
    return table


QUEUE = {
    "queued": gettext_lazy("not tried yet"),
    "leased": gettext_lazy("being tried"),
    "deferred": gettext_lazy("put off"),
}


def _queue(view: View, *, whole: bool = False) -> Table:
    """What waits at this moment, whatever the period: how many, since when, and by age."""
    if whole:
        with as_owner():  # of all workspaces of this machine, as the metric tells it
            found = queue.ages()
    else:
        found = queue.ages(view.request.workspace.pk)
    most = max((one.people for one in found.values()), default=0)
    caption = _("Waiting now, in all workspaces") if whole else _("Waiting now, by age")
    ages = [_("not due yet"), _("≤ 5 min"), _("≤ 1 h"), _("≤ 6 h"), _("≤ 1 day")]
    table = Table("queue_all" if whole else "queue", caption, [_("State"), _("People"), _("Oldest (s)")])
    table.head = [*table.head, *ages, _("> 1 day")]
    for state, one in found.items():
        if one.people:
            cells = [figure(one.people), Cell(one.oldest, number(round(one.oldest)), "", True)]
            cells += [figure(n) for n in (one.later, *one.bands)]
            table.rows.append([words(str(QUEUE[state]), "", bar(one.people, most)), *cells])
    return table


def _keys(view: View) -> Table:
    names = key_names(view.request)
    found = rolls.sums("key", view.since, view.own, MOST)
    most = max((line.n for line in found), default=0)
    table = Table("key", _("Handed in by programs"), [_("Key"), _("Result"), _("Messages"), _("Data")])
    for line in found:
        name = names.get(int(line.subject), "") if line.subject.isdigit() else ""
        table.rows.append(
            [
                words(name or line.subject, "", bar(line.n, most)),
                words(str(OUTCOMES.get(line.outcome, line.outcome))),
                figure(line.n),
                Cell(line.octets, weight(line.octets), "", True),
            ]
        )
    return table


def _provider(name: str) -> str:
    return str(OTHER) if name == "other" else name.capitalize()


REPORTS: dict[str, Callable[[View], Table]] = {
    "hours": _by_time,
    "queue": _queue,
    "out": lambda v: _states(v, "out", _("Receiver"), _("By receiver"), _provider),
    "domain": lambda v: _states(v, "domain", _("Domain"), _("By domain"), str),
    "rejected": lambda v: _outcomes(v, "rejected", _("Most frequent refusals"), (_("Domain"), _("Cause"))),
    "returned": lambda v: _outcomes(v, "returned", _("Came back later"), (_("Domain"), _("Cause"))),
    "complained": lambda v: _outcomes(v, "complained", _("Reported as unwanted"), (_("Domain"), _("By"))),
    "key": _keys,
    "auth_key": _failed,
    "sender": lambda v: _outcomes(v, "sender", _("Who sends most"), (_("Sender"), _("Result"))),
}
MACHINE: dict[str, Callable[[View], Table]] = {
    "account": _accounts,
    "queue_all": lambda v: _queue(v, whole=True),
    "auth": lambda v: _outcomes(v, "auth", _("Sign-ins to submission"), (_("From"), _("Result")), operator=True),
    "in": lambda v: _outcomes(v, "in", _("Connections to us"), (_("From"), _("Result")), operator=True),
    "out_to": lambda v: _outcomes(v, "out_to", _("Connections to others"), (_("Host"), _("Result")), operator=True),
    "said": lambda v: _outcomes(v, "said", _("What we refuse"), (_("Our answer"), _("Service")), operator=True),
}


def _view(request: MemberRequest) -> View:
    days = request.GET.get("days", "")
    return View(request, int(days) if days in map(str, DAYS) else 7)


def _report(request: MemberRequest) -> Table:
    report = request.GET.get("report", "hours")
    made = REPORTS.get(report) or (MACHINE.get(report) if is_operator(request) else None)
    if made is None:
        raise Http404
    return made(_view(request))


@require_safe
@audience(Role.VIEWER)
def traffic(request: MemberRequest) -> HttpResponse:
    """Every report with its first lines; ``?report=`` one of them whole. Each is a file, too."""
    view = _view(request)
    if "report" in request.GET:
        facts: dict[str, Any] = {"t": _report(request), "days": view.days, "periods": DAYS}
        return render(request, "mail/traffic_one.html", facts)
    kinds = {**REPORTS, **(MACHINE if is_operator(request) else {})}
    tables: list[dict[str, Any]] = []
    for key, made in kinds.items():
        table = made(view)
        tables.append({"key": key, "table": table, "lines": len(table.rows), "machine": key in MACHINE})
        table.rows = table.rows[:FEW]
    facts = {
        "tables": [one for one in tables if one["lines"]],
        "empty": [one["table"].caption for one in tables if not one["lines"]],
        "days": view.days,
        "periods": DAYS,
        "few": FEW,
        "kept": rolls.KEEP.days,
        "peers": rolls.KEEP_PEERS.days,
    }
    return render(request, "mail/traffic.html", facts)


@require_safe
@audience(Role.VIEWER)
def traffic_csv(request: MemberRequest) -> HttpResponse:
    table = _report(request)
    lines = ["\ufeff", *table.lines(lambda cell: shown(request, cell))]
    answer = HttpResponse("".join(lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="traffic-{table.key}-{_view(request).days}.csv"'
    return answer
