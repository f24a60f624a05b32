"""The people behind a figure of a report. A figure that names nobody (measured in sum) opens nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envol.accounts.models import Workspace
from envol.db import rows, value
from envol.events.models import Kind
from envol.insight.heat import clock_of
from envol.outbound import states

LOOKED = 2000
OUTCOMES = ("delivered", "bounced", "expired", "cancelled", "suppressed")
REACTIONS = {
    "opened": Kind.OPENED,
    "clicked": Kind.CLICKED,
    "unsubscribed": Kind.UNSUBSCRIBED,
    "complained": Kind.COMPLAINED,
    "returned": Kind.BOUNCED,  # taken by their server, and come back later: outcomes are no events
}
# Mask of the measuring purpose, and the reaction that it lets us know.
_AGREED = {"agreed_opens": (1, Kind.OPENED), "agreed_clicks": (2, Kind.CLICKED)}
_PART = re.compile(r"part:(300|3600):([0-9]{1,3})")
_SLOT = re.compile(r"([1-7]):(1?[0-9]|2[0-3])")
_SENT = "outbound_send AS s WHERE s.sending_id = ANY(%(sendings)s)"
_ENDED = (
    "outbound_send AS s JOIN outbound_outcome AS o ON o.sending_id = s.sending_id AND o.no = s.no"
    " WHERE s.sending_id = ANY(%(sendings)s) AND o.sending_id = ANY(%(sendings)s)"
)


@dataclass(frozen=True, slots=True)
class People:
    """A set of contacts as a query: ``column`` of the rows of ``body`` (FROM and WHERE).

    once: no contact stands there twice, so that nothing has to be put in order to say each once. ended: they are all
    whose message of that sending ended in that state, which the books of the queue can count without reading them.
    """

    column: str
    body: str
    params: dict[str, Any]
    once: bool = False
    ended: tuple[int, str] | None = None

    @property
    def sql(self) -> str:
        """A SELECT with one column ``id``, each contact once."""
        each = "" if self.once else "DISTINCT "
        return f"SELECT {each}{self.column} AS id FROM {self.body} AND {self.column} IS NOT NULL"

    def includes(self, person: str) -> str:
        """A condition on somebody's id: is she one of them?

        A recipient of a campaign is known by her contact's number (see `envol.outbound.accept.expand_batch`).
        """
        column = "s.no" if self.column == "s.contact_id" else self.column
        return f"EXISTS (SELECT FROM {self.body} AND {column} = {person})"

    def newest(self, workspace_id: int, limit: int, before: int | None = None) -> list[int]:
        """Ids of the newest of them whose contact is there, falling, below ``before``.

        Some of nearly every large group are among the newest people of all: these are looked at first, because a
        group of a million cannot be put in order for a page of fifty.
        """
        facts = {**self.params, "workspace": workspace_id, "before": before, "limit": limit, "looked": LOOKED}
        below = " AND c.id < %(before)s" if before else ""
        place = f"c.workspace_id = %(workspace)s{below}"
        first = f"SELECT c.id FROM contacts_contact AS c WHERE {place} ORDER BY c.id DESC LIMIT %(looked)s"
        query = f"SELECT c.id FROM ({first}) AS c WHERE {self.includes('c.id')} ORDER BY c.id DESC LIMIT %(limit)s"
        found = [one for (one,) in rows(query, facts)]
        if len(found) < limit:
            among = f"SELECT c.id FROM contacts_contact AS c JOIN ({self.sql}) AS p ON p.id = c.id WHERE {place}"
            found = [one for (one,) in rows(f"{among} ORDER BY c.id DESC LIMIT %(limit)s", facts)]
        return found

    def ids(self, limit: int | None = None) -> list[int]:
        """Contact ids, ascending."""
        most = "" if limit is None else f" LIMIT {int(limit)}"
        return [found for (found,) in rows(f"SELECT id FROM ({self.sql}) AS p ORDER BY id{most}", self.params)]

    def count(self) -> int:
        return int(value(f"SELECT count(*) FROM ({self.sql}) AS p", self.params))

    def counted(self) -> tuple[int, int]:
        """Those who are there, and those of whom nothing is known any more (GDPR art. 17): these stay in numbers and
        stand on no page.
        """
        if self.ended is not None:
            every, erased = states.ended(*self.ended)
            return every - erased, erased
        query = f"SELECT count(c.id), count(*) FROM ({self.sql}) AS p LEFT JOIN contacts_contact AS c ON c.id = p.id"
        there, every = rows(query, self.params)[0]
        return there, every - there


def behind(sending_ids: Sequence[int], figure: str) -> People:
    """The people behind a figure of these sendings.

    ``accepted``, ``waiting``, ``deferred``; an outcome (``bounced``) or one with its cause
    (``bounced:hard_bounce``); ``site:example.org``, ``site:example.org:bounced`` or ``site:example.org:clicked``; a
    reaction of people (``clicked``) or of machines (``clicked:machine``), or of people in one part of the time since
    the sending began (``clicked:part:3600:5``, the sixth hour); ``link:VERSION:NUMBER``; ``slot:DAY:HOUR``, who
    clicked at that hour of the week (1 is Monday) by the workspace's clock; ``agreed_opens``, ``agreed_clicks``, and
    with ``:reacted`` those of them who did; ``excluded``, ``excluded:REASON``. Raises ValueError for another.
    """
    name, _, rest = figure.partition(":")
    params: dict[str, Any] = {"sendings": list(sending_ids), "rest": rest}
    if name == "site" and rest:
        params["rest"], _, state = rest.partition(":")
        if state in REACTIONS:
            params["kind"] = int(REACTIONS[state])
            return _distinct(
                "s.contact_id",
                "outbound_send AS s JOIN events_event AS e"
                " ON e.sending_id = s.sending_id AND e.contact_id = s.contact_id"
                " WHERE s.sending_id = ANY(%(sendings)s) AND s.site = %(rest)s AND e.kind = %(kind)s"
                " AND e.machine IS NULL",
                params,
            )
        clause, more = _standing(state or "accepted", "")
        params |= more
        body = f"{clause} AND s.site = %(rest)s"
    elif name == "link" and rest.replace(":", "").isdecimal() and rest.count(":") == 1:
        version, _, link = rest.partition(":")
        params |= {"version": int(version), "link": int(link), "kind": int(Kind.CLICKED)}
        return _distinct(
            "e.contact_id",
            "events_event AS e JOIN outbound_sending AS x ON x.id = e.sending_id WHERE e.sending_id = ANY(%(sendings)s)"
            " AND e.kind = %(kind)s AND e.machine IS NULL AND x.version_id = %(version)s AND e.link = %(link)s",
            params,
        )
    elif name in REACTIONS and rest in ("", "machine"):
        return _reaction(REACTIONS[name], rest == "machine", params)
    elif name in REACTIONS and (found := _PART.fullmatch(rest)):
        params |= {"kind": int(REACTIONS[name]), "part": int(found[1]), "hour": int(found[2])}
        return _distinct(
            "e.contact_id",
            "events_event AS e JOIN outbound_sending AS x ON x.id = e.sending_id WHERE e.sending_id = ANY(%(sendings)s)"
            " AND e.kind = %(kind)s AND e.machine IS NULL"
            " AND e.at >= coalesce(x.started_at, x.created_at) + %(hour)s * %(part)s * interval '1 second'"
            " AND e.at < coalesce(x.started_at, x.created_at) + (%(hour)s + 1) * %(part)s * interval '1 second'",
            params,
        )
    elif name == "slot" and (found := _SLOT.fullmatch(rest)):
        workspace = Workspace.objects.filter(sending__id__in=list(sending_ids)).first()
        zone = clock_of(workspace) if workspace else "UTC"
        params |= {"kind": int(Kind.CLICKED), "zone": zone, "day": int(found[1]), "hour": int(found[2])}
        return _distinct(
            "e.contact_id",
            "events_event AS e WHERE e.sending_id = ANY(%(sendings)s) AND e.kind = %(kind)s AND e.machine IS NULL"
            " AND extract(isodow FROM e.at AT TIME ZONE %(zone)s) = %(day)s"
            " AND extract(hour FROM e.at AT TIME ZONE %(zone)s) = %(hour)s",
            params,
        )
    elif name in _AGREED and rest in ("", "reacted"):
        mask, kind = _AGREED[name]
        params |= {"mask": mask, "kind": int(kind)}
        reacted = (
            " AND EXISTS (SELECT FROM events_event AS e WHERE e.sending_id = s.sending_id"
            " AND e.contact_id = s.contact_id AND e.kind = %(kind)s AND e.machine IS NULL)"
        )
        body = (
            "outbound_send AS s JOIN outbound_outcome AS o ON o.sending_id = s.sending_id AND o.no = s.no"
            " JOIN contacts_contact AS c ON c.id = s.contact_id WHERE s.sending_id = ANY(%(sendings)s)"
            " AND o.state = 'delivered' AND (c.allowed & %(mask)s) <> 0 AND (c.refused & %(mask)s) = 0"
        ) + (reacted if rest else "")
    elif name == "excluded":
        reason = " AND x.reason = %(rest)s" if rest else ""
        return _distinct(
            "x.contact_id", f"outbound_excluded AS x WHERE x.sending_id = ANY(%(sendings)s){reason}", params
        )
    elif name in OUTCOMES:
        # By the outcome alone: a recipient's number is her contact's, and an index knows whom it did not reach.
        params |= {"state": name, "cause": rest}
        cause = " AND o.cause = %(cause)s" if rest else ""
        ended = "outbound_outcome AS o WHERE o.sending_id = ANY(%(sendings)s) AND o.state = %(state)s"
        alone = set(sending_ids) if len(set(sending_ids)) == 1 else None
        return People(
            "o.no",
            f"{ended}{cause}",
            params,
            once=alone is not None,
            ended=(min(alone), name) if alone and not rest else None,
        )
    else:
        body, more = _standing(name, rest, figure)
        params |= more
    return _distinct("s.contact_id", body, params)


def _distinct(column: str, body: str, params: dict[str, Any]) -> People:
    return People(column, body, params)


def _standing(name: str, cause: str, figure: str = "") -> tuple[str, dict[str, Any]]:
    """Where recipients stand, as FROM and WHERE over ``s``."""
    if name in OUTCOMES:
        clause = " AND o.cause = %(cause)s" if cause else ""
        return f"{_ENDED} AND o.state = %(state)s{clause}", {"state": name, "cause": cause}
    retried = "EXISTS (SELECT FROM outbound_retry AS r WHERE r.sending_id = s.sending_id AND r.no = s.no)"
    ended = "EXISTS (SELECT FROM outbound_outcome AS o WHERE o.sending_id = s.sending_id AND o.no = s.no)"
    if name == "accepted" and not cause:
        return _SENT, {}
    if name == "deferred" and not cause:
        return f"{_SENT} AND {retried} AND NOT {ended}", {}
    if name == "waiting" and not cause:
        return f"{_SENT} AND NOT {retried} AND NOT {ended}", {}
    raise ValueError(
        f"There is no figure {figure or name!r}; there are accepted, waiting, deferred, {', '.join(OUTCOMES)}, "
        f"{', '.join(REACTIONS)}, link:VERSION:NUMBER, site:NAME, slot:DAY:HOUR, agreed_opens, agreed_clicks, excluded."
    )


def _reaction(kind: Kind, machine: bool, params: dict[str, Any]) -> People:
    params["kind"] = int(kind)
    which = f"e.machine IS {'NOT ' if machine else ''}NULL"
    return _distinct(
        "e.contact_id",
        f"events_event AS e WHERE e.sending_id = ANY(%(sendings)s) AND e.kind = %(kind)s AND {which}",
        params,
    )
