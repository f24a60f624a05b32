"""What Prometheus may read: totals and the state of the queue, without personal data (the text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone

from envol import __version__, db
from envol.outbound import books, queue

_TOTALS = {
    # series → name, help, label of its subject, label of its outcome
    "out": ("envol_messages_total", "Attempts that ended, by receiver and state.", "provider", "state"),
    "key": ("envol_handed_in_total", "Messages handed in by programs.", "", "result"),
    "in": ("envol_connections_in_total", "Connections to our SMTP services.", "", "result"),
    "out_to": ("envol_connections_out_total", "Connections to other hosts.", "", "result"),
    "auth": ("envol_sign_ins_total", "Sign-ins to our SMTP services.", "", "result"),
    "said": ("envol_refusals_total", "Refusals our SMTP services answered.", "code", "service"),
    "rejected": ("envol_rejections_total", "Messages that receivers refused, by cause.", "", "cause"),
    "returned": ("envol_returned_total", "Messages that came back after they were taken.", "", "class"),
    "complained": ("envol_complaints_total", "Messages reported as unwanted.", "", "by"),
}


def text() -> str:
    """All of it, from small tables alone."""
    lines: list[str] = []
    _family(lines, "envol_info", "gauge", "The version that runs.", [({"version": __version__}, 1)])
    totals: dict[str, list[tuple[dict[str, str], float]]] = {series: [] for series in _TOTALS}
    octets: list[tuple[dict[str, str], float]] = []
    for series, label, outcome, n, size in db.rows(
        "SELECT series, label, outcome, n, octets FROM outbound_total ORDER BY 1, 2, 3"
    ):
        if series not in _TOTALS:
            continue
        _name, _help, subject, result = _TOTALS[series]
        labels = {**({subject: label} if subject else {}), result: outcome}
        totals[series].append((labels, n))
        if series == "out":
            octets.append((labels, size))
    for series, (name, about, _subject, _result) in _TOTALS.items():
        _family(lines, name, "counter", about, totals[series])
    _family(lines, "envol_message_octets_total", "counter", "Octets of those messages.", octets)
    for name, about, samples in _of_a_day():
        _family(lines, name, "gauge", about, samples)
    waiting = queue.ages()
    _family(
        lines, "envol_queue_recipients", "gauge", "Recipients that wait, by state.",
        [({"state": state}, one.people) for state, one in waiting.items()],
    )  # fmt: skip
    _family(
        lines, "envol_queue_oldest_seconds", "gauge", "Since when the oldest of them waits.",
        [({"state": state}, one.oldest) for state, one in waiting.items()],
    )  # fmt: skip
    bands = ["later", *(name for name, _seconds in queue.BANDS), "more"]
    _family(
        lines, "envol_queue_age_recipients", "gauge", "Recipients that wait, by state and age: the band they are in.",
        [({"state": state, "age": band}, n) for state, one in waiting.items()
         for band, n in zip(bands, (one.later, *one.bands), strict=True)],
    )  # fmt: skip
    look = books.last()
    if look is not None:
        _family(lines, "envol_books_findings", "gauge", "What was wrong when the books were last looked over.",
                [({}, len(look.findings))])  # fmt: skip
        _family(lines, "envol_books_age_seconds", "gauge", "How long ago that was.",
                [({}, round((timezone.now() - look.at).total_seconds()))])  # fmt: skip
    return "\n".join(lines) + "\n"


_MOST, _NOBODYS = 80, 100
"""Lines told of each report of a day; and below so many messages a domain may be somebody's own."""
_BY_ACCOUNT = (
    "SELECT w.name, r.outcome, sum(r.n)::bigint FROM outbound_roll r JOIN accounts_workspace w ON w.id = r.workspace_id"
    " WHERE r.series = 'out' AND r.hour > now() - interval '1 day' GROUP BY 1, 2 ORDER BY 1, 2"
)
_BY_KEY = (
    "SELECT w.name, r.subject, r.outcome, sum(r.n)::bigint FROM outbound_roll r"
    " JOIN accounts_workspace w ON w.id = r.workspace_id"
    " WHERE r.series = 'key' AND r.hour > now() - interval '1 day' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
_FAILED_BY_KEY = _BY_KEY.replace("r.series = 'key'", "r.series = 'auth_key'")
# Senders count by the domain of their address, which names an organisation and no person.
_BY_DOMAIN = (
    "SELECT subject, outcome, n FROM (SELECT subject, outcome, sum(n)::bigint AS n, sum(sum(n)) OVER whole AS all_of_it"
    " FROM (SELECT CASE WHEN series = 'sender' THEN"
    " split_part(subject, '@', 2) ELSE subject END AS subject, outcome, n FROM outbound_roll WHERE series = %(series)s"
    " AND hour > now() - interval '1 day' AND subject <> '…') AS r GROUP BY 1, 2"
    " WINDOW whole AS (PARTITION BY subject)) AS x WHERE all_of_it >= %(least)s"
    " ORDER BY all_of_it DESC, subject, outcome LIMIT %(most)s"
)


def _of_a_day() -> Iterable[tuple[str, str, list[tuple[dict[str, str], float]]]]:
    """What the page Traffic tells, of the last 24 hours and of whoever has most: name, help, samples."""
    yield (
        "envol_day_messages", "Attempts of the last 24 hours, by workspace.",
        [({"workspace": name, "state": state}, n) for name, state, n in db.rows(_BY_ACCOUNT)],
    )  # fmt: skip
    yield (
        "envol_day_handed_in", "Messages handed in within 24 hours, by key.",
        [({"workspace": name, "key": key, "result": result}, n) for name, key, result, n in db.rows(_BY_KEY)],
    )  # fmt: skip
    yield (
        "envol_day_failed_sign_ins", "Sign-ins that failed within 24 hours, by key and door.",
        [({"workspace": name, "key": key, "result": how}, n) for name, key, how, n in db.rows(_FAILED_BY_KEY)],
    )  # fmt: skip
    for series, label, name, about in (
        ("domain", "state", "envol_day_domain_messages", "Attempts of the last 24 hours, by domains with most."),
        ("rejected", "cause", "envol_day_domain_rejections", "Refusals of the last 24 hours, by domains with most."),
        ("sender", "result", "envol_day_sender_messages", "Messages of the last 24 hours, by domains of senders."),
    ):
        asked = {"series": series, "least": 1 if series == "sender" else _NOBODYS, "most": _MOST}
        yield name, about, [({"domain": one, label: how}, n) for one, how, n in db.rows(_BY_DOMAIN, asked)]


def _family(
    lines: list[str], name: str, kind: str, about: str, samples: Iterable[tuple[dict[str, str], float]]
) -> None:
    lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
