"""The message log: what happened to this message?

One line is one recipient of one sending. Single messages (by API, SMTP, Envol itself) are listed newest first; people
of campaigns are as many as there are readers, so they are found by address or by an id, through their contact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from envol import db
from envol.contacts.models import Contact
from envol.content import links
from envol.content.models import Version
from envol.db_role import as_owner
from envol.events.models import Kind
from envol.outbound.models import Sending
from envol.outbound.privacy import ERASED
from envol.outbound.states import LEDGER, STATE_OF, STATES
from envol.wire.address import AddressError, normalise

PAGE = 50
PATIENCE = 3.0
"""Seconds that a look back through the log may take: words are compared message by message."""
STREAMS = ("transactional", "system")
_SLACK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. words: an address, a Message-ID, a number or reverse-path of ours, or words of the subject.

    campaign: the word under which a program counts it with others.
    addresses: may this reader find out what went to an address?
    """

    words: str = ""
    state: str = ""
    key_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    campaign: str | None = None
    addresses: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient. due: of the next try; code, enhanced, reply: what the other side said last."""

    sending_id: int
    no: int
    kind: str
    campaign_id: int | None
    version_id: int | None
    message_id: int | None
    contact_id: int | None
    address: str
    site: str
    at: datetime
    state: str
    attempts: int
    cause: str
    code: int | None
    enhanced: str | None
    reply: str
    host: str
    tls: str
    due: datetime | None
    ended_at: datetime | None
    subject: str
    by: str
    key_id: int | None
    given_id: str
    custom_id: str
    sender: str

    @property
    def cursor(self) -> str:
        return f"{int(self.at.timestamp() * 1_000_000)}.{self.sending_id}.{self.no}"


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first. next: where the following ones begin, or empty."""

    entries: list[Entry]
    next: str


class BadCursor(ValueError):
    """No page of ours begins there."""


_COLUMNS = f"""s.sending_id, s.no, x.kind, x.campaign_id, x.version_id, s.message_id, s.contact_id, s.address, s.site,
       s.created_at, {STATE_OF} AS state, coalesce(o.attempts, r.attempts, 0)::int, coalesce(o.cause, r.cause, ''),
       coalesce(o.code, r.code), coalesce(o.enhanced, r.enhanced), coalesce(o.reply, r.reply, ''),
       coalesce(o.host, ''), coalesce(o.tls, ''),
       CASE WHEN o.no IS NULL THEN coalesce(r.due, c.due) END, o.at, coalesce(m.header->>'subject', ''),
       coalesce(m.header->>'by', ''), (m.header->>'key')::int, coalesce(m.header->>'message_id', ''),
       coalesce(m.header->>'custom_id', ''), coalesce(m.header->'from'->>1, x.sender->>'address', '')"""
_FROM = f"""{LEDGER} JOIN outbound_sending x ON x.id = s.sending_id
  LEFT JOIN outbound_message m ON m.id = s.message_id"""


def search(workspace_id: int, query: Query, before: str = "", most: int = PAGE) -> Page:
    """Newest first, beginning below `before` (:attr:`Page.next` of the page before).

    Raises `db.TooSlow` when the words are not found within a few seconds, and :class:`BadCursor`.
    """
    place = _place(before)
    words = " ".join(query.words.split())
    with _by_keys():
        if (keys := _keys(workspace_id, words)) is not None:
            rows = _of_keys(workspace_id, keys, query, place, most + 1)
        elif query.addresses and (address := _address(words)) is not None:
            rows = _of_keys(workspace_id, keys_of_address(workspace_id, address), query, place, most + 1)
        else:
            rows = _of_streams(workspace_id, words, query, place, most + 1)
    return _page(rows, most)


def of_address(workspace_id: int, address: str, before: str = "", most: int = PAGE) -> Page:
    """What went to an address and to whom it is of now, posts to mailing lists too; paged as `search` does."""
    place = _place(before)
    with _by_keys():
        return _page(_of_keys(workspace_id, keys_of_address(workspace_id, address), Query(), place, most + 1), most)


@contextmanager
def _by_keys() -> Iterator[None]:
    with db.within(PATIENCE), transaction.atomic():
        # A page is a few rows found through keys, however old the statistics are.
        db.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        yield


def _page(rows: Sequence[tuple[Any, ...]], most: int) -> Page:
    found = _with_subjects([Entry(*row) for row in rows])
    return Page(found[:most], found[most - 1].cursor if len(found) > most else "")


def walk(workspace_id: int, query: Query, most: int = 100_000) -> Iterator[Entry]:
    """Page after page, for a file."""
    before, told = "", 0
    while told < most:
        page = search(workspace_id, query, before, 500)
        yield from page.entries
        told += len(page.entries)
        before = page.next
        if not before:
            return


def entry(workspace_id: int, sending_id: int, no: int) -> Entry | None:
    """One recipient of one sending of this workspace."""
    if max(sending_id, no) >= 1 << 63:  # no row has such a number
        return None
    found = _of_keys(workspace_id, [(sending_id, no)], Query(), None, 1)
    return _with_subjects([Entry(*found[0])])[0] if found else None


def single(workspace_id: int, no: int) -> Entry | None:
    """The single message of this number, which one of the workspace's streams gave it."""
    if not 0 < no < 1 << 63:
        return None
    streams = _sendings(workspace_id, STREAMS)
    found = _of_keys(workspace_id, [(stream, no) for stream in streams], Query(), None, 1)
    return _with_subjects([Entry(*found[0])])[0] if found else None


def measures(workspace_id: int, message_ids: Sequence[int]) -> dict[int, tuple[int, bool, bool, int]]:
    """Octets of messages that are still kept whole, whether they have an HTML and a text part, and how many attachments
    their program gave them, by their number."""
    found = db.rows(
        "SELECT id, octet_length(raw), position('text/html'::bytea IN substring(raw FOR 16384)) > 0,"
        " position('text/plain'::bytea IN substring(raw FOR 16384)) > 0,"
        " coalesce((header->>'attachments')::int, 0) FROM outbound_message"
        " WHERE workspace_id = %s AND id = ANY(%s) AND raw IS NOT NULL",
        [workspace_id, list(message_ids)],
    )
    return {number: (octets, html, text, files) for number, octets, html, text, files in found}


def history(one: Entry) -> list[dict[str, Any]]:
    """What happened to one recipient, oldest first: attempts and their replies, then what came back later, and what
    she did with it. Dictionaries of at, what, attempt, code, enhanced, cause, reply, host, tls, facts.
    """
    return db.dicts(
        "SELECT created_at AS at, 'accepted' AS what, 0 AS attempt, NULL::int AS code, NULL::text AS enhanced,"
        "  '' AS cause, '' AS reply, '' AS host, '' AS tls"
        "  FROM outbound_send WHERE sending_id = %(id)s AND no = %(no)s"
        " UNION ALL SELECT at, CASE kind WHEN %(deferred)s THEN 'deferred' WHEN %(bounced)s THEN 'returned'"
        "  ELSE 'complained' END, coalesce((facts->>'attempt')::int, 0), (facts->>'code')::int,"
        "  coalesce(facts->>'enhanced', facts->>'status'), coalesce(facts->>'cause', facts->>'class', ''),"
        "  coalesce(facts->>'reply', ''), coalesce(facts->>'host', ''), '' FROM events_event WHERE sending_id = %(id)s"
        "  AND kind IN (%(deferred)s, %(bounced)s, %(complained)s) AND (facts->>'no')::bigint = %(no)s"
        " UNION ALL SELECT at, CASE kind WHEN %(opened)s THEN 'opened' WHEN %(clicked)s THEN 'clicked'"
        "  ELSE 'unsubscribed' END, 0, NULL, NULL, coalesce(machine, ''), '', '', '' FROM events_event"
        "  WHERE sending_id = %(id)s AND kind IN (%(opened)s, %(clicked)s, %(unsubscribed)s)"
        "  AND contact_id = %(contact)s AND coalesce((facts->>'no')::bigint, %(no)s) = %(no)s"
        " UNION ALL SELECT at, state, attempts, code, enhanced, cause, reply, host, tls FROM outbound_outcome"
        "  WHERE sending_id = %(id)s AND no = %(no)s ORDER BY at, attempt",
        {
            "id": one.sending_id,
            "no": one.no,
            "contact": one.contact_id,
            **{
                kind.name.lower(): int(kind)
                for kind in (Kind.DEFERRED, Kind.BOUNCED, Kind.COMPLAINED, Kind.OPENED, Kind.CLICKED, Kind.UNSUBSCRIBED)
            },
        },
    )


def asked_to_measure(workspace_id: int, message_ids: Sequence[int]) -> dict[int, tuple[bool, bool]]:
    """Messages whose program asked to measure them: opens, clicks; by their number."""
    found = db.rows(
        "SELECT id, (header->'measured'->>'opens')::bool, jsonb_array_length(header->'measured'->'links') > 0"
        " FROM outbound_message WHERE workspace_id = %s AND id = ANY(%s) AND header ? 'measured'",
        [workspace_id, list(message_ids)],
    )
    return {number: (opens, clicks) for number, opens, clicks in found}


def message_id_of(one: Entry) -> str:
    """The Message-ID it left with: the program's own, else the one we gave."""
    domain = one.sender.rpartition("@")[2]
    return one.given_id or (f"<{links.message_id(one.sending_id, one.no, domain)}>" if domain else "")


def addresses(workspace_id: int, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], str]:
    """To whom these lines of the ledger went, where the person was not erased."""
    found = db.rows(
        "SELECT s.sending_id, s.no, s.address FROM unnest(%s::bigint[], %s::bigint[]) AS k (sending, no)"
        " JOIN outbound_send s ON s.sending_id = k.sending AND s.no = k.no"
        " JOIN outbound_sending x ON x.id = s.sending_id WHERE x.workspace_id = %s AND s.address <> %s",
        [[key[0] for key in keys], [key[1] for key in keys], workspace_id, ERASED],
    )
    return {(sending_id, no): address for sending_id, no, address in found}


# ---- what the words mean


def _keys(workspace_id: int, words: str) -> list[tuple[int, int]] | None:
    """The recipients that an id names; None when the words are no id."""
    if found := re.fullmatch(r"(\d{1,15})/(\d{1,15})", words, re.ASCII):
        return [(int(found[1]), int(found[2]))]
    if re.fullmatch(r"#?\d{1,18}", words, re.ASCII):
        number = int(words.lstrip("#"))
        return db.rows("SELECT sending_id, no FROM outbound_send WHERE message_id = %s", [number])
    bare = words.removeprefix("<").removesuffix(">")
    target = links.read_message_id(bare) or links.read_return_path(bare)
    if target is not None:
        return [(target.sending_id, target.no or 0)]
    if "@" in words:
        with as_owner():  # row-level security keeps a condition on an expression from its index
            given = db.rows(
                "SELECT s.sending_id, s.no FROM outbound_message m JOIN outbound_send s ON s.message_id = m.id"
                " WHERE m.header ? 'message_id' AND m.header->>'message_id' = ANY(%s) AND m.workspace_id = %s",
                [[bare, f"<{bare}>"], workspace_id],
            )
        if given or words != bare:
            return given
    return None


def _address(words: str) -> str | None:
    if "@" not in words or " " in words:
        return None
    try:
        return normalise(words).written
    except AddressError:
        return None


# ---- the three ways to rows


def _sendings(workspace_id: int, kinds: Sequence[str]) -> list[int]:
    return list(Sending.objects.filter(workspace_id=workspace_id, kind__in=kinds).values_list("id", flat=True))


def _of_keys(
    workspace_id: int, keys: Sequence[tuple[int, int]], query: Query, place: tuple[datetime, int, int] | None, most: int
) -> list[tuple[Any, ...]]:
    return _ordered(
        "(s.sending_id, s.no) IN (SELECT * FROM unnest(%(sendings)s::bigint[], %(numbers)s::bigint[]))",
        {"sendings": [key[0] for key in keys], "numbers": [key[1] for key in keys]},
        workspace_id, query, place, most,
    )  # fmt: skip


def keys_of_address(workspace_id: int, address: str) -> list[tuple[int, int]]:
    """Single messages and posts to mailing lists by their index; of campaigns the rows of who has this address now;
    tests one by one."""
    contacts = list(
        Contact.objects.filter(workspace_id=workspace_id, email_key=normalise(address).key).values_list("pk", flat=True)
    )
    given = {
        "address": address,
        "streams": _sendings(workspace_id, (*STREAMS, "list")),
        "tests": _sendings(workspace_id, ("test",)),
        "campaigns": _sendings(workspace_id, ("campaign", "resend", "again")) if contacts else [],
        "contacts": contacts,
    }
    with as_owner():  # the index of lower(address); the sendings are this workspace's
        return db.rows(
            "SELECT sending_id, no FROM outbound_send WHERE message_id IS NOT NULL"
            "  AND lower(address) = lower(%(address)s) AND sending_id = ANY(%(streams)s)"
            " UNION SELECT s.sending_id, s.no FROM unnest(%(campaigns)s::bigint[]) k (id) CROSS JOIN"
            "  unnest(%(contacts)s::bigint[]) p (id) JOIN outbound_send s ON s.sending_id = k.id AND s.no = p.id"
            " UNION SELECT s.sending_id, s.no FROM outbound_send s WHERE s.sending_id = ANY(%(tests)s)"
            "  AND lower(s.address) = lower(%(address)s)",
            given,
        )


def _ordered(
    where: str,
    given: dict[str, Any],
    workspace_id: int,
    query: Query,
    place: tuple[datetime, int, int] | None,
    most: int,
) -> list[tuple[Any, ...]]:
    conditions = [where, "x.workspace_id = %(workspace)s", *_conditions(query)]
    if place is not None:
        conditions.append("(s.created_at, s.sending_id, s.no) < (%(at)s, %(sending)s, %(no)s)")
    if query.since is not None:
        conditions.append("s.created_at >= %(since)s")
    if query.until is not None:
        conditions.append("s.created_at < %(until)s")
    at, sending, no = place or (None, None, None)
    return db.rows(
        f"SELECT {_COLUMNS} {_FROM} WHERE {' AND '.join(conditions)}"
        " ORDER BY s.created_at DESC, s.sending_id DESC, s.no DESC LIMIT %(most)s",
        {**given, **_values(query), "workspace": workspace_id, "at": at, "sending": sending, "no": no, "most": most},
    )


def _of_streams(
    workspace_id: int, words: str, query: Query, place: tuple[datetime, int, int] | None, most: int
) -> list[tuple[Any, ...]]:
    """Single messages by falling number, which is falling time: each stream is read backwards through its key."""
    conditions = _conditions(query)
    if words:
        conditions.append("(m.header->>'subject' ILIKE %(like)s OR m.header->>'custom_id' = %(words)s)")
    streams = _sendings(workspace_id, STREAMS)
    lows = [_number_at(one, query.since - _SLACK) if query.since else 0 for one in streams]
    highs = [_number_at(one, query.until + _SLACK) if query.until else 2**62 for one in streams]
    if query.since is not None:
        conditions.append("s.created_at >= %(since)s")
    if query.until is not None:
        conditions.append("s.created_at < %(until)s")
    more = "".join(f" AND {condition}" for condition in conditions)
    return db.rows(
        "SELECT f.* FROM unnest(%(streams)s::bigint[], %(lows)s::bigint[], %(highs)s::bigint[]) AS k (id, lo, hi)"
        f" CROSS JOIN LATERAL (SELECT {_COLUMNS} {_FROM} WHERE s.sending_id = k.id AND s.no >= k.lo AND s.no < k.hi"
        f" AND s.no < %(before)s AND s.message_id IS NOT NULL{more} ORDER BY s.no DESC LIMIT %(most)s) AS f"
        " ORDER BY f.no DESC LIMIT %(most)s",
        {
            **_values(query),
            "streams": streams,
            "lows": lows,
            "highs": highs,
            "before": place[2] if place else 2**62,
            "like": "%" + re.sub(r"([\\%_])", r"\\\1", words) + "%",
            "words": words,
            "most": most,
        },
    )


def _number_at(sending_id: int, when: datetime) -> int:
    """The first number of a stream that was given at this time or later: numbers rise with time, so twenty looks do."""
    low, high = db.rows(
        "SELECT coalesce(min(no), 0), coalesce(max(no) + 1, 0) FROM outbound_send WHERE sending_id = %s", [sending_id]
    )[0]
    while low < high:
        middle = (low + high) // 2
        found = db.rows(
            "SELECT no, created_at FROM outbound_send WHERE sending_id = %s AND no >= %s ORDER BY no LIMIT 1",
            [sending_id, middle],
        )
        if not found or found[0][1] >= when:
            high = middle
        else:
            low = found[0][0] + 1
    return int(low)


def _conditions(query: Query) -> list[str]:
    found = []
    if query.state in STATES:
        found.append(f"{STATE_OF} = %(state)s")
    if query.key_id is not None:
        found.append("(m.header->>'key')::int = %(key)s")
    if query.campaign is not None:
        found.append("m.header->>'campaign' = %(campaign)s")
    return found


def _values(query: Query) -> dict[str, Any]:
    return {
        "state": query.state,
        "key": query.key_id,
        "campaign": query.campaign,
        "since": query.since,
        "until": query.until,
    }


def _place(before: str) -> tuple[datetime, int, int] | None:
    if not before:
        return None
    found = re.fullmatch(r"(\d{1,17})\.(\d{1,15})\.(\d{1,15})", before, re.ASCII)
    if found is None:
        raise BadCursor("This page begins nowhere.")
    micros = int(found[1])
    try:
        at = datetime.fromtimestamp(micros // 1_000_000, UTC) + timedelta(microseconds=micros % 1_000_000)
    except (ValueError, OverflowError, OSError):
        raise BadCursor("This page begins nowhere.") from None
    return at, int(found[2]), int(found[3])


def _with_subjects(entries: list[Entry]) -> list[Entry]:
    """People of campaigns read what the version says; with its places still open."""
    wanted = {one.version_id for one in entries if one.message_id is None and one.version_id}
    if not wanted:
        return entries
    known = dict(Version.objects.filter(id__in=wanted).values_list("id", "subject"))
    return [
        replace(one, subject=known.get(one.version_id or 0, "")) if one.message_id is None else one for one in entries
    ]
