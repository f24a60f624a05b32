"""The end of the local route: messages are kept in our own table and go nowhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from envol import db
from envol.content import links
from envol.wire.address import domain_of
from envol.wire.message.read import decode

_SUBJECT = re.compile(rb"^subject[ \t]*:((?:[^\r\n]|\r\n[ \t])*)", re.MULTILINE | re.IGNORECASE)


class Incoming(NamedTuple):
    """One message as it came over SMTP."""

    reverse_path: str
    recipients: tuple[str, ...]
    raw: bytes


def store(batch: Sequence[Incoming]) -> None:
    """Keep a batch durably, by one COPY: afterwards its 250 may be said (RFC 5321 §6.1)."""
    columns = "(workspace_id, envelope_from, envelope_to, subject, raw)"
    # Where the message belongs is looked up before: a COPY leaves no room for another query.
    workspaces = [_workspace_of(message.reverse_path) for message in batch]
    with (
        transaction.atomic(durable=True),
        connection.cursor() as cursor,
        cursor.copy(f"COPY outbound_captured {columns} FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["int4", "text", "jsonb", "text", "bytea"])
        for message, workspace_id in zip(batch, workspaces, strict=True):
            reverse_path = message.reverse_path[:254].replace("\0", "")
            copy.write_row(
                (workspace_id, reverse_path, Jsonb(list(message.recipients)), subject_of(message.raw), message.raw)
            )


def subject_of(raw: bytes) -> str:
    """The subject as a person reads it; empty when there is none."""
    found = _SUBJECT.search(raw, 0, raw.find(b"\r\n\r\n") + 2 or len(raw))
    return decode(found[1]).replace("\0", "")[:1000] if found else ""


def _workspace_of(reverse_path: str) -> int | None:
    """Whose message: by the signed reverse-path of a sending, else by the domain it is sent from."""
    target = links.read_return_path(reverse_path)
    if target is not None and (found := _of_sending(target.sending_id)) is not None:
        return found
    return db.value(
        "SELECT min(workspace_id) FROM outbound_domain WHERE name = %s HAVING count(*) = 1", [domain_of(reverse_path)]
    )


@lru_cache(maxsize=10_000)
def _of_sending(sending_id: int) -> int | None:
    return db.value("SELECT workspace_id FROM outbound_sending WHERE id = %s", [sending_id])
