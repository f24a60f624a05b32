"""A small base of people for segments: written row by row, and read back for the plain evaluator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from envol import db
from envol.accounts.models import Workspace
from envol.audience import topics
from envol.audience.models import Topic
from envol.contacts.models import List, Property
from envol.events import custom


@dataclass
class Human:
    id: int
    email: str
    language: str | None
    created_at: datetime
    props: dict[str, Any]
    tags: list[str]
    allowed: int = 0
    refused: int = 0
    suppressed: bool = False
    objected: bool = False
    silenced: bool = False
    stays: list[tuple[int, datetime, datetime | None]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sends: list[dict[str, Any]] = field(default_factory=list)
    score: dict[str, Any] | None = None
    tier: str | None = None
    happenings: list[dict[str, Any]] = field(default_factory=list)
    interests: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None
    rhythm: int | None = None
    habits: list[str] = field(default_factory=list)
    expected: tuple[Any, int] | None = None
    permitted: dict[str, datetime] = field(default_factory=dict)
    proved: dict[str, str] = field(default_factory=dict)

    @property
    def unprofiled(self) -> bool:
        return self.objected or bool(self.refused >> 61 & 1)


def add_person(
    workspace: Workspace,
    email: str,
    *,
    props: dict[str, Any] | None = None,
    tags: list[str] | None = None,
    language: str | None = None,
    created_at: datetime | None = None,
    allowed: int = 0,
    refused: int = 0,
    suppressed: bool = False,
    objected: bool = False,
) -> int:
    return int(
        db.value(
            "INSERT INTO contacts_contact (workspace_id, email, email_key, props, tags, language, created_at, allowed,"
            " refused, suppressed, objected) VALUES (%s, %s, %s, %s, %s, %s, coalesce(%s, now()), %s, %s, %s, %s)"
            " RETURNING id",
            [
                workspace.id,
                email,
                email.lower(),
                json.dumps(props or {}),
                json.dumps(tags or []),
                language,
                created_at,
                allowed,
                refused,
                suppressed,
                objected,
            ],
        )
    )


def add_stay(workspace: Workspace, contact: int, list_id: int, since: datetime, until: datetime | None = None) -> None:
    db.execute(
        "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, since, until) VALUES (%s, %s, %s, %s, %s)",
        [workspace.id, list_id, contact, since, until],
    )


_order_no = iter(range(1, 10**9))


def add_order(
    workspace: Workspace,
    contact: int,
    at: datetime,
    lines: list[tuple[str, str, int]],
    currency: str = "EUR",
    amount: int | None = None,
    code: str = "",
) -> None:
    """``lines`` are (product, category, cents); the order's amount is their sum unless given."""
    order = db.value(
        "INSERT INTO contacts_order (workspace_id, contact_id, external_id, at, amount, currency, code)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            workspace.id,
            contact,
            f"o{next(_order_no)}",
            at,
            sum(line[2] for line in lines) if amount is None else amount,
            currency,
            code,
        ],
    )
    for product, category, cents in lines:
        db.execute(
            "INSERT INTO contacts_order_line (order_id, product, category, quantity, amount)"
            " VALUES (%s, %s, %s, 1, %s)",
            [order, product, category, cents],
        )


def add_event(
    workspace: Workspace,
    contact: int | None,
    kind: int,
    at: datetime,
    sending: int | None = None,
    machine: str | None = None,
) -> None:
    db.execute(
        "INSERT INTO events_event (at, workspace_id, kind, contact_id, sending_id, machine)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [at, workspace.id, kind, contact, sending, machine],
    )


def add_send(workspace: Workspace, sending: int, contact: int, at: datetime, state: str | None = None) -> None:
    """A ledger row, ended a day later when ``state`` says how."""
    db.execute(
        "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk, created_at)"
        " VALUES (%s, %s, %s, 'a@lecteurs.example', 'lecteurs.example', 1, %s)",
        [sending, contact, contact, at],
    )
    if state:
        db.execute(
            "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, reply, code)"
            " VALUES (%s, %s, %s, %s, 1, 'ok', 250)",
            [sending, contact, state, at + timedelta(days=1)],
        )


def add_score(workspace: Workspace, contact: int, r: int, f: int, m: int, named: str, tier: str | None = None) -> None:
    """A buyer's row as a computation leaves it, with a tier she was in before and the one she is in."""
    db.execute(
        "INSERT INTO audience_score (workspace_id, contact_id, last_day, frequency, amount, lately, r, f, m, named)"
        " VALUES (%s, %s, '2027-01-01', 1, 100, 100, %s, %s, %s, %s)",
        [workspace.id, contact, r, f, m, named],
    )
    if tier:
        db.execute(
            "INSERT INTO audience_tier (workspace_id, contact_id, tier, since, until)"
            " VALUES (%s, %s, 'bronze', '2025-01-01', '2026-01-01'), (%s, %s, %s, '2026-01-01', NULL)",
            [workspace.id, contact, workspace.id, contact, tier],
        )


def add_happening(workspace: Workspace, contact: int, name: str, at: datetime, told: dict[str, Any]) -> None:
    """An event that a program told; its kind is made when it is first told."""
    with transaction.atomic():
        book = custom.Book.open(workspace.id)
        book.enter(name, told)
        custom.write(workspace.id, book, [custom.NewCustom(name, contact, at, told)])


def make_topic(workspace: Workspace, name: str, **more: Any) -> Topic:
    return topics.create(workspace, topics.Written(name, name, **more))


def add_interest(
    workspace: Workspace,
    contact: int,
    topic: Topic,
    origin: str,
    since: datetime,
    until: datetime | None = None,
    shown: tuple[int, int, date] | None = None,
) -> None:
    """``shown``: articles, of how many, last day; of what was inferred."""
    reads, of_reads, last_on = shown or (None, None, None)
    db.execute(
        "INSERT INTO audience_interest"
        " (workspace_id, contact_id, topic_id, origin, since, until, reads, of_reads, last_on)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [workspace.id, contact, topic.pk, origin, since, until, reads, of_reads, last_on],
    )


def add_quiet(workspace: Workspace, contact: int, reason: str | None, rhythm: int | None, since: datetime) -> None:
    """The reason somebody gave, after another one, and her own rhythm in days."""
    if reason:
        db.execute(
            "INSERT INTO audience_reason (workspace_id, contact_id, reason, source, since, until)"
            " VALUES (%s, %s, 'other', 'survey', %s, %s), (%s, %s, %s, 'survey', %s, NULL)",
            [workspace.id, contact, since - timedelta(days=9), since, workspace.id, contact, reason, since],
        )
    if rhythm:
        db.execute("INSERT INTO audience_rhythm VALUES (%s, %s, %s)", [workspace.id, contact, rhythm])


def declare(workspace: Workspace, key: str, type_: str, choices: list[str] | None = None, **more: Any) -> Property:
    facts = {
        "label_fr": more.pop("fr", key.capitalize()),
        "label_en": more.pop("en", key.capitalize()),
        "type": type_,
        "choices": choices or [],
        **more,
    }
    return Property.objects.update_or_create(workspace=workspace, key=key, defaults=facts)[0]


def make_list(workspace: Workspace, name: str) -> int:
    return int(List.objects.create(workspace=workspace, name=name).pk)


def everybody(workspace: Workspace) -> list[Human]:
    """All people of the workspace with everything a segment may look at."""
    found = [
        Human(
            r["id"],
            r["email"],
            r["language"],
            r["created_at"],
            json.loads(r["props"]),
            json.loads(r["tags"]),
            r["allowed"],
            r["refused"],
            r["suppressed"],
            r["objected"],
            r["silenced"],
        )
        for r in db.dicts(
            "SELECT id, email, language, created_at, props::text, tags::text, allowed, refused, suppressed, objected,"
            " silenced FROM contacts_contact WHERE workspace_id = %s ORDER BY id",
            [workspace.id],
        )
    ]
    by_id = {h.id: h for h in found}
    for contact, list_id, since, until in db.rows(
        "SELECT contact_id, list_id, since, until FROM contacts_membership WHERE workspace_id = %s", [workspace.id]
    ):
        by_id[contact].stays.append((list_id, since, until))
    for row in db.dicts(
        "SELECT o.id, o.contact_id, o.at, o.amount, o.currency, o.code,"
        " (SELECT coalesce(json_agg(json_build_array(l.product,"
        " l.category, l.amount, l.quantity)), '[]')::text FROM contacts_order_line l WHERE l.order_id = o.id) AS lines"
        " FROM contacts_order o WHERE workspace_id = %s",
        [workspace.id],
    ):
        row["lines"] = json.loads(row["lines"])
        by_id[row["contact_id"]].orders.append(row)
    for row in db.dicts("SELECT * FROM events_event WHERE workspace_id = %s", [workspace.id]):
        if row["contact_id"] in by_id:
            by_id[row["contact_id"]].events.append(row)
    for row in db.dicts(
        "SELECT x.kind, s.contact_id, s.sending_id, s.created_at, o.state, o.at FROM outbound_send s"
        " JOIN outbound_sending x ON x.id = s.sending_id"
        " LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no WHERE x.workspace_id = %s",
        [workspace.id],
    ):
        if row["contact_id"] in by_id:  # the ledger outlives a person
            by_id[row["contact_id"]].sends.append(row)
    for row in db.dicts("SELECT * FROM audience_score WHERE workspace_id = %s", [workspace.id]):
        if row["contact_id"] in by_id:
            by_id[row["contact_id"]].score = row
    for contact, tier in db.rows(
        "SELECT contact_id, tier FROM audience_tier WHERE workspace_id = %s AND until IS NULL", [workspace.id]
    ):
        if contact in by_id:
            by_id[contact].tier = tier
    for contact, key, since, strength in db.rows(
        "SELECT p.contact_id, u.key, p.since, e.strength FROM consent_permission p"
        " JOIN consent_purpose u ON u.id = p.purpose_id LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
        " WHERE p.workspace_id = %s AND p.until IS NULL AND p.state = 'granted'",
        [workspace.id],
    ):
        if contact in by_id:
            by_id[contact].permitted[key] = since
            by_id[contact].proved[key] = strength or "none"
    for name, contact, at, facts in db.rows(
        "SELECT x.key, e.contact_id, e.at, e.facts::text FROM events_event e"
        " JOIN events_custom_event x ON x.id = e.custom WHERE e.workspace_id = %s",
        [workspace.id],
    ):
        if contact in by_id:
            by_id[contact].happenings.append({"name": name, "at": at, "told": json.loads(facts)["told"]})
    for row in db.dicts(
        "SELECT i.*, t.key FROM audience_interest i JOIN audience_topic t ON t.id = i.topic_id"
        " WHERE i.workspace_id = %s",
        [workspace.id],
    ):
        if row["contact_id"] in by_id:
            by_id[row["contact_id"]].interests.append(row)
    for contact, purchases, alive in db.rows(
        "SELECT contact_id, purchases, alive FROM audience_expected WHERE workspace_id = %s", [workspace.id]
    ):
        if contact in by_id:
            by_id[contact].expected = purchases, alive
    for contact, reason in db.rows(
        "SELECT contact_id, reason FROM audience_reason WHERE workspace_id = %s AND until IS NULL", [workspace.id]
    ):
        if contact in by_id:
            by_id[contact].reason = reason
    for contact, habit in db.rows(
        "SELECT contact_id, habit FROM audience_habit WHERE workspace_id = %s", [workspace.id]
    ):
        if contact in by_id:
            by_id[contact].habits.append(habit)
    for contact, days in db.rows(
        "SELECT contact_id, days FROM audience_rhythm WHERE workspace_id = %s", [workspace.id]
    ):
        if contact in by_id:
            by_id[contact].rhythm = days
    return found


def silence(workspace: Workspace, contact: int, since: datetime, until: datetime | None = None) -> None:
    """A complaint as the consent room and the contact's row keep it."""
    db.execute(
        "INSERT INTO consent_silence (workspace_id, contact_id, reason, since, until) VALUES (%s, %s, 'colis', %s, %s)",
        [workspace.id, contact, since, until],
    )
    db.execute("UPDATE contacts_contact SET silenced = %s WHERE id = %s", [until is None, contact])
