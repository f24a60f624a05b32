"""What the queue keeps about a person: told, exported and erased on demand (GDPR art. 15, 17, 20, 30)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from envol import db
from envol.accounts.models import Workspace
from envol.consent import breaches, data_map, registry
from envol.consent.data_map import Flow
from envol.consent.registry import Data
from envol.contacts import people
from envol.contacts.models import Contact
from envol.events import outbox
from envol.outbound import archive

ERASED = "erased@invalid"  # RFC 2606 §2: nobody's


def name_hers(workspace_id: int, contact_id: int, addresses: Sequence[str]) -> None:
    """Mail to an address that was no contact's then is hers when she leaves that address: what confirmed her, and what
    programs sent before."""
    db.execute(
        "UPDATE outbound_send s SET contact_id = %s FROM outbound_sending x WHERE x.id = s.sending_id"
        " AND x.workspace_id = %s AND s.contact_id IS NULL AND s.message_id IS NOT NULL"
        " AND lower(s.address) = ANY(%s)",
        [contact_id, workspace_id, [one.lower() for one in addresses]],
    )


def erase(workspace_id: int, contact_id: int) -> dict[str, int]:
    """Take the address out of the ledger and the words of single messages away; numbers and outcomes stay.

    Mail that still waits is refused at its lease, because the contact is gone.
    """
    found = Contact.objects.filter(workspace_id=workspace_id, pk=contact_id).values_list("email", "email_key").first()
    addresses = list(found or ())
    given = {"w": workspace_id, "c": contact_id, "addresses": addresses}
    # Mail to an address that was no contact yet: what confirmed her, what the API sent before.
    mine = (
        "(s.contact_id = %(c)s OR (s.contact_id IS NULL AND s.address = ANY(%(addresses)s::text[])))"
        " AND EXISTS (SELECT FROM outbound_sending x WHERE x.id = s.sending_id AND x.workspace_id = %(w)s)"
    )
    # What still waits for somebody else keeps its words until it left (its term ends them a month later), and a post to
    # a mailing list says nothing of whom it goes to. Copies of one message have numbers beside each other.
    messages = db.execute(
        "UPDATE outbound_message m SET header = jsonb_build_object('from', m.header->'from', 'to', '[]'::jsonb),"
        f" text = '', html = '', raw = NULL FROM outbound_send s WHERE m.id = s.message_id AND {mine}"
        " AND m.header->>'by' IS DISTINCT FROM 'list' AND NOT EXISTS (SELECT FROM outbound_send o"
        "  LEFT JOIN outbound_outcome e ON e.sending_id = o.sending_id AND e.no = o.no"
        "  WHERE o.sending_id = s.sending_id AND o.no BETWEEN s.no - 1000 AND s.no + 1000 AND o.message_id = m.id"
        "  AND o.contact_id IS DISTINCT FROM %(c)s AND o.address <> ALL(%(addresses)s::text[]) AND e.no IS NULL)",
        given,
    )
    # Reports on mail to her, which name her to whoever sent it.
    messages += db.execute(
        "UPDATE outbound_message m SET header = jsonb_build_object('from', m.header->'from', 'to', '[]'::jsonb),"
        " text = '', html = '', raw = NULL FROM outbound_send s JOIN outbound_notice n"
        f" ON n.sending_id = s.sending_id AND n.no = s.no WHERE m.id = n.message_id AND {mine}",
        given,
    )
    db.execute(
        "DELETE FROM outbound_notice n USING outbound_send s"
        f" WHERE n.sending_id = s.sending_id AND n.no = s.no AND {mine}",
        given,
    )
    for table in ("outbound_outcome", "outbound_retry"):
        db.execute(
            f"UPDATE {table} t SET reply = coalesce(t.code::text, 'erased') FROM outbound_send s"
            f" WHERE t.sending_id = s.sending_id AND t.no = s.no AND t.reply <> '' AND {mine}",
            given,
        )
    captured = db.execute(
        "DELETE FROM outbound_captured k USING outbound_send s"
        f" WHERE k.workspace_id = %(w)s AND k.envelope_to @> to_jsonb(s.address) AND {mine}",
        given,
    )
    # What she wrote herself, whether or not we wrote to her.
    captured += db.execute(
        "DELETE FROM outbound_captured WHERE workspace_id = %(w)s"
        " AND (contact_id = %(c)s OR (kind <> 'captured' AND lower(envelope_from) = ANY(%(addresses)s::text[])))",
        given,
    )
    outbox.erase_mail(workspace_id, addresses)
    db.execute(
        "DELETE FROM events_outbox o USING outbound_send s"
        f" WHERE o.workspace_id = %(w)s AND o.sending_id = s.sending_id AND o.no = s.no AND {mine}",
        given,
    )
    # By her number the lease refuses what waits: the address alone would be written to.
    sends = db.execute(
        f"UPDATE outbound_send s SET address = '{ERASED}', site = 'invalid', contact_id = %(c)s WHERE {mine}", given
    )
    for table in ("outbound_daily_reader", "outbound_digest_item"):
        db.execute(
            f"DELETE FROM {table} d USING outbound_mailing_list l WHERE l.id = d.mailing_list_id"
            " AND l.workspace_id = %(w)s AND d.contact_id = %(c)s",
            given,
        )
    archive.forget(workspace_id, contact_id)
    hers = "l.workspace_id = %(w)s AND (p.contact_id = %(c)s OR lower(p.author) = ANY(%(addresses)s::text[]))"
    db.execute(
        "DELETE FROM outbound_digest_item d USING outbound_post p, outbound_mailing_list l"
        f" WHERE p.id = d.post_id AND l.id = p.mailing_list_id AND {hers}",
        given,
    )
    posts = db.execute(
        f"DELETE FROM outbound_post p USING outbound_mailing_list l WHERE l.id = p.mailing_list_id AND {hers}",
        given,
    )
    return {"outbound_post": posts, "outbound_send": sends, "outbound_message": messages, "outbound_captured": captured}


def export(workspace_id: int, contact_id: int) -> dict[str, Any]:
    """Every mail to the person: when, to which address, how it ended."""
    found = db.dicts(
        "SELECT s.sending_id, x.kind, s.address, s.created_at, o.state, o.at, o.code, s.permission_id AS permission"
        " FROM outbound_send s JOIN outbound_sending x ON x.id = s.sending_id"
        " LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no"
        " WHERE x.workspace_id = %s AND s.contact_id = %s ORDER BY s.created_at",
        [workspace_id, contact_id],
    )
    for row in found:
        row["created_at"] = row["created_at"].isoformat()
        row["at"] = row["at"].isoformat() if row["at"] else None
    written = db.dicts(
        "SELECT received_at, subject, raw AS message FROM outbound_captured"
        " WHERE workspace_id = %s AND contact_id = %s AND kind = 'reply' ORDER BY id",
        [workspace_id, contact_id],
    )
    for row in written:
        row["received_at"] = row["received_at"].isoformat()
        row["message"] = bytes(row["message"]).decode("utf-8", "replace")
    posts = db.dicts(
        "SELECT p.received_at, l.title AS mailing_list, p.subject, p.text, p.said AS refused_because, p.raw AS message"
        " FROM outbound_post p"
        " JOIN outbound_mailing_list l ON l.id = p.mailing_list_id WHERE l.workspace_id = %s AND p.contact_id = %s"
        " ORDER BY p.id",
        [workspace_id, contact_id],
    )
    for row in posts:
        row["received_at"] = row["received_at"].isoformat()
        row["message"] = bytes(row["message"]).decode("utf-8", "replace") or row["text"]
        del row["text"]
    daily = db.dicts(
        "SELECT l.title AS mailing_list FROM outbound_daily_reader d JOIN outbound_mailing_list l"
        " ON l.id = d.mailing_list_id WHERE l.workspace_id = %s AND d.contact_id = %s ORDER BY l.title",
        [workspace_id, contact_id],
    )
    return {"messages": found, "replies": written, "posts": posts, "one_message_a_day": daily}


def describe() -> list[Data]:
    return [
        Data("outbound_send", "which mail was for whom, at which address", True, "13 months, then totals"),
        Data("outbound_message", "words of single messages", True, "1 month, then without words"),
        Data("outbound_grouping", "words under which programs count their messages together", False),
        Data("outbound_post", "messages to mailing lists, with who wrote them", True, "90 days; archives 2 years"),
        Data("outbound_daily_reader", "who takes one message a day of a mailing list", True, "while she does"),
        Data("outbound_digest_item", "messages that wait for one person's message of the day", True, "a day"),
        Data("outbound_moderator", "addresses of those who decide on such messages", True, "while they do"),
        Data(
            "outbound_outcome",
            "how each mail ended; replies of hosts, without the address",
            True,
            "13 months, then totals",
        ),
        Data("outbound_emptied", "how many mails of a sending are no longer kept one by one", False),
        Data("outbound_dialogue", "dialogues with other hosts, without the address", True, "dialogue_days, 7 days"),
        Data("outbound_stored", "domains whose mail waits here, and which of their mailboxes are taken"),
        Data("outbound_notice", "what senders are told of their mail; replies of hosts, without the address"),
        Data(
            "outbound_roll", "traffic by hour; addresses of machines that connect to us", True, "92 days; peers 30 days"
        ),
        Data("outbound_excluded", "who was left out of a sending, and why", True, "as long as the sending"),
        Data("outbound_retry", "mail that is tried again; replies of hosts, without the address", True, "5 days"),
        Data("outbound_held", "mail that looks like fraud and waits for a decision", True, "until decided"),
        Data("outbound_tls_count", "addresses of receiving servers and whether their TLS held", False),
        Data("outbound_trouble", "keyed digest of addresses in trouble", True, "30 days"),
        Data(
            "outbound_captured", "messages of the local route; mail people wrote to us", True, "until emptied; 90 days"
        ),
    ]


def flows(workspace: Workspace) -> Iterator[Flow]:
    """Ways out of this installation, by its settings."""
    config = settings.ENVOL
    if config.route == "smart_host":
        yield Flow("smart_host", config.smart_host, host=config.smart_host.rpartition(":")[0].strip("[]"))
    if config.rspamd:
        yield Flow("rspamd", config.rspamd, host=urlsplit(config.rspamd).hostname or "")
    if config.clickhouse and not config.clickhouse.startswith("chdb:"):
        host = urlsplit(config.clickhouse).hostname or ""
        yield Flow("columns", host, host=host)


def _got(workspace: Workspace, ref: int | None, after: int) -> list[breaches.Person]:
    """Who a sending went to, whoever of them is still a contact."""
    found = db.rows(
        "SELECT DISTINCT c.id, c.email, c.language FROM outbound_send s JOIN outbound_sending x ON x.id = s.sending_id"
        " JOIN contacts_contact c ON c.id = s.contact_id AND c.workspace_id = x.workspace_id"
        " WHERE x.workspace_id = %s AND s.sending_id = %s AND c.id > %s ORDER BY c.id LIMIT 2000",
        [workspace.pk, ref, after],
    )
    return [breaches.Person(*row) for row in found]


def _how_many(workspace: Workspace, ref: int | None) -> int:
    return int(
        db.value(
            "SELECT count(*) FROM outbound_send s JOIN outbound_sending x ON x.id = s.sending_id"
            " WHERE x.workspace_id = %s AND s.sending_id = %s",
            [workspace.pk, ref],
        )
    )


def register() -> None:
    breaches.register_scope("sending", breaches.Scope(_how_many, _got))
    data_map.register_flows(flows)
    people.when_address_changes(name_hers)
    registry.register("outbound", erase=erase, export=export, describe=describe)
