"""How a key is used as a rule, and whether it is used so now.

A stolen key works like an honest one, only otherwise: more, in another language, to other places, at other hours, to
people who are not there.

Counted by the hour and per batch, never per message. What looks strange adds points to the verdict over each message;
what looks like theft pauses the key and tells the owners.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from envol import db
from envol.accounts import api_keys
from envol.accounts.models import ApiKey, Member, Role, Workspace
from envol.events.writing import request_mail
from envol.outbound import fraud_words
from envol.wire.fraud import Reason

PAUSE_FROM = 5.0
KEPT = timedelta(days=35)
RULE_DAYS, RULE_MESSAGES = 3, 200
"""A key has habits once it was used on so many days for so many messages; before, there is nothing to compare with."""
MUCH = 20  # messages of an hour, below which nothing is strange
_LOOK_SECONDS = 30.0
_RULE_SECONDS = 900.0


@dataclass(slots=True)
class Rule:
    """What 28 days before this hour say of a key."""

    days: int = 0
    messages: int = 0
    busiest: int = 0  # messages of its busiest hour
    hours: Counter[int] = field(default_factory=Counter)  # of the day (UTC)
    languages: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)

    @property
    def known(self) -> bool:
        return self.days >= RULE_DAYS and self.messages >= RULE_MESSAGES


@dataclass(slots=True)
class Lately:
    """This hour of a key, and the unknown people of a day."""

    messages: int = 0
    held: int = 0
    refused: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    copies_of_day: int = 0
    unknown_of_day: int = 0


# ---- counting


def counted(used: Iterable[tuple[int, str, Sequence[str], bool]]) -> Counter[tuple[int, str, str]]:
    """What a batch counts, to be written by the statement that accepts it, from (key, language, sites of the
    recipients, held?): how many by (key, what, name)."""
    found: Counter[tuple[int, str, str]] = Counter()
    for key_id, language, sites, held in used:
        found[key_id, "messages", ""] += 1
        found[key_id, "copies", ""] += len(sites)
        if language:
            found[key_id, "language", language] += 1
        for site in sites:
            found[key_id, "ending", site.rpartition(".")[2][:20]] += 1
        if held:
            found[key_id, "held", ""] += 1
    return found


def refused(key_id: int) -> None:
    """A message of this key was refused."""
    _add(Counter({(key_id, "refused", ""): 1}))


def unknown(message_ids: Sequence[int]) -> None:
    """These single messages went to people who are not there; in the transaction that settles them."""
    if message_ids:
        db.execute(
            "INSERT INTO outbound_habit (key_id, hour, what, n)"
            " SELECT (header ->> 'key')::bigint, date_trunc('hour', now()), 'unknown', count(*)"
            " FROM unnest(%s::bigint[]) AS g (id) JOIN outbound_message m USING (id) WHERE header ? 'key' GROUP BY 1",
            [list(message_ids)],
        )


def _add(counted: Counter[tuple[int, str, str]]) -> None:
    if counted:
        db.execute(
            "INSERT INTO outbound_habit (key_id, hour, what, name, n) SELECT k, date_trunc('hour', now()), w, a, n"
            " FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::int[]) AS g (k, w, a, n)",
            [
                [key for key, _w, _n in counted],
                [what for _k, what, _n in counted],
                [name for _k, _w, name in counted],
                list(counted.values()),
            ],
        )


# ---- judging

_signs: dict[int, tuple[float, list[Reason]]] = {}
_rules: dict[int, tuple[float, Rule]] = {}


def signs(key_id: int) -> list[Reason]:
    """What is strange about how this key is used now; known for half a minute."""
    known = _signs.get(key_id)
    if known is None or time.monotonic() - known[0] >= _LOOK_SECONDS:
        if len(_signs) > 10_000:
            _signs.clear()
        known = _signs[key_id] = (time.monotonic(), strange(_rule(key_id), _lately(key_id), _now()))
    return known[1]


def strange(rule: Rule, now: Lately, at: datetime) -> list[Reason]:
    """What of this hour is not as it was. Pure."""
    found: list[Reason] = []
    handed_in = now.messages + now.refused
    bad = now.held + now.refused
    if (now.refused >= 5 and now.refused >= handed_in / 5) or (bad >= 10 and bad >= handed_in * 0.3):
        found.append(Reason("habit_fraud", 5, str(bad)))
    if now.unknown_of_day >= 20 and now.unknown_of_day >= now.copies_of_day / 5:
        share = now.unknown_of_day / max(now.copies_of_day, 1)
        found.append(Reason("habit_unknown", 5 if share >= 0.4 else 3, f"{share:.0%}".rstrip("%")))
    if not rule.known or now.messages < MUCH:
        return found
    if now.messages > max(100, 10 * rule.busiest):
        found.append(Reason("habit_volume", 3 if now.messages > 50 * rule.busiest else 2, str(now.messages)))
    for name, before, here in (
        ("habit_language", rule.languages, now.languages),
        ("habit_ending", rule.endings, now.endings),
    ):
        total, new = sum(here.values()), [one for one in here if before[one] < 0.02 * sum(before.values())]
        share = sum(here[one] for one in new)
        if total >= MUCH and share > 0.6 * total:
            found.append(Reason(name, 2, ", ".join(sorted(new, key=lambda one: -here[one])[:3])))
    if now.messages >= 50 and rule.days >= 7 and not any(rule.hours[(at.hour + d) % 24] for d in (-1, 0, 1)):
        found.append(Reason("habit_rhythm", 1, f"{at.hour}"))
    return found


def _now() -> datetime:
    now: datetime = db.value("SELECT now() AT TIME ZONE 'UTC'")
    return now


def _rule(key_id: int) -> Rule:
    known = _rules.get(key_id)
    if known is not None and time.monotonic() - known[0] < _RULE_SECONDS:
        return known[1]
    rule = Rule()
    days = set()
    by_hour: Counter[datetime] = Counter()
    for hour, what, name, n in db.rows(
        "SELECT hour AT TIME ZONE 'UTC', what, name, sum(n)::bigint FROM outbound_habit WHERE key_id = %s"
        " AND hour BETWEEN now() - interval '28 days' AND date_trunc('hour', now()) - interval '1 hour'"
        " AND what IN ('messages', 'language', 'ending') GROUP BY 1, 2, 3",
        [key_id],
    ):
        if what == "messages":
            by_hour[hour] += n
            days.add(hour.date())
            rule.hours[hour.hour] += n
        else:
            (rule.languages if what == "language" else rule.endings)[name] += n
    rule.days, rule.messages, rule.busiest = len(days), sum(by_hour.values()), max(by_hour.values(), default=0)
    if len(_rules) > 10_000:
        _rules.clear()
    _rules[key_id] = (time.monotonic(), rule)
    return rule


def _lately(key_id: int) -> Lately:
    now = Lately()
    for what, name, n, of_day in db.rows(
        "SELECT what, name, coalesce(sum(n) FILTER (WHERE hour >= date_trunc('hour', now())), 0)::bigint,"
        " sum(n)::bigint FROM outbound_habit WHERE key_id = %s AND hour > now() - interval '24 hours' GROUP BY 1, 2",
        [key_id],
    ):
        match what:
            case "messages":
                now.messages = n
            case "held":
                now.held = n
            case "refused":
                now.refused = n
            case "language":
                now.languages[name] = n
            case "ending":
                now.endings[name] = n
            case "copies":
                now.copies_of_day = of_day
            case "unknown":
                now.unknown_of_day = of_day
    return now


def _forget() -> None:
    _signs.clear()
    _rules.clear()


# ---- pausing

_looked = float("-inf")


def look_after() -> int:
    """Pause keys whose use looks like theft, and tell the owners; how many. Twice a minute at most."""
    global _looked  # of this process; pausing twice is pausing once
    if time.monotonic() - _looked < _LOOK_SECONDS:
        return 0
    _looked = time.monotonic()
    db.execute(db.sql("outbound", "habits_fold"))
    db.execute("DELETE FROM outbound_habit WHERE hour < now() - %s", [KEPT])
    active = db.rows("SELECT DISTINCT key_id FROM outbound_habit WHERE hour >= date_trunc('hour', now())")
    by_key: dict[int, list[Reason]] = defaultdict(list)
    for (key_id,) in active:
        _signs.pop(key_id, None)
        by_key[key_id] = signs(key_id)
    paused = 0
    for key_id, reasons in by_key.items():
        if sum(reason.points for reason in reasons) >= PAUSE_FROM:
            key = ApiKey.objects.select_related("workspace").filter(pk=key_id).first()
            if key is not None:
                paused += _pause(key, reasons)
    return paused


def _pause(key: ApiKey, reasons: Sequence[Reason]) -> bool:
    with translation.override(key.workspace.language):
        why = "; ".join(fraud_words.said(reason.rule, reason.what) for reason in reasons)
        changed = api_keys.pause(key, _("It looks stolen: %(why)s") % {"why": why}, by="job")
    if changed:
        _tell(key.workspace, key, reasons)
    return changed


def _tell(workspace: Workspace, key: ApiKey, reasons: Sequence[Reason]) -> None:
    owners = Member.objects.filter(workspace=workspace, role=Role.OWNER, user__is_active=True).select_related("user")
    for member in owners:
        with translation.override(member.user.language):
            subject = _("The key “%(name)s” is paused: it looks stolen") % {"name": key.name}
            text = _(
                "The key “%(name)s” of %(workspace)s is used as it never was, so it was paused: programs that use it"
                " are refused.\n\n%(why)s\n\n"
                "If this was you, resume it. If not, revoke it and make a new one:\n%(link)s\n"
            ) % {
                "name": key.name,
                "workspace": workspace.title,
                "why": "\n".join(f"– {fraud_words.said(reason.rule, reason.what)}" for reason in reasons),
                "link": f"{settings.ENVOL.base_url}/settings/keys/{key.pk}",
            }
        request_mail(
            "key_paused",
            member.user.email,
            {"subject": subject, "text": text},
            workspace_id=workspace.pk,
            language=member.user.language,
        )
