"""Sending one message again: a new sending to one person, for which every gate is asked anew."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envol import db
from envol.accounts.journal import note
from envol.consent import gates, suppression
from envol.contacts.models import Contact
from envol.content.models import Version
from envol.outbound import accept
from envol.outbound.accept import Outgoing, Refused
from envol.outbound.mail_log import Entry
from envol.outbound.models import Sending, SendingState
from envol.outbound.states import FINAL
from envol.wire.address import AddressError, normalise

KINDS = ("transactional", "campaign", "resend", "again")
"""What can be sent again. Tests have their page; mail of Envol itself is asked for anew."""


def resend(
    workspace_id: int, one: Entry, *, actor: str, actor_id: int | None = None, language: str = "en"
) -> tuple[int, int]:
    """Send it again to the same person: (sending, number) of the new line of the log. Journaled.

    Raises :class:`Refused` with a sentence: it is still on its way, its words are gone, or a gate says no.
    """
    if one.kind == "system":
        raise Refused(_("Mail of Envol itself is asked for anew, not repeated: its links and codes are over."))
    if one.kind == "test":
        raise Refused(_("A test is sent again from the page of its campaign."))
    if one.state not in FINAL:
        raise Refused(_("It is still on its way: it would arrive twice."))
    with transaction.atomic():
        made = (
            _single(workspace_id, one, language)
            if one.message_id is not None
            else _of_campaign(workspace_id, one, language)
        )
        note(workspace_id, actor, "mail.resent", actor_id=actor_id, of=f"{one.sending_id}/{one.no}",
             sending=f"{made[0]}/{made[1]}")  # fmt: skip
    return made


def _single(workspace_id: int, one: Entry, language: str) -> tuple[int, int]:
    found = db.rows(
        "SELECT header, text, html, raw FROM outbound_message WHERE id = %s AND workspace_id = %s",
        [one.message_id, workspace_id],
    )
    header: dict[str, Any] = json.loads(found[0][0]) if found else {}
    text, html, raw = found[0][1:] if found else ("", "", None)
    if not (text or html or raw):
        raise Refused(_("The words of this message are gone: they are not kept for ever, nor beyond an erasure."))
    try:
        key = normalise(one.address).key
    except AddressError:
        raise Refused(_("The address of this message is gone.")) from None
    known = suppression.lookup(workspace_id, [key]).get(key)
    if known is not None and known.scope == "all":
        raise Refused(gates.explain(gates.SUPPRESSED, language))
    if one.contact_id is not None and not Contact.objects.filter(pk=one.contact_id).exists():
        raise Refused(_("This person is gone."))
    facts = {name: value for name, value in header.items() if name not in accept.HEADER}
    made = accept.accept_messages(
        [
            Outgoing(
                workspace_id=workspace_id,
                sender=tuple(header["from"]),
                to=[next((tuple(box) for box in header["to"] if box[1] == one.address), ("", one.address))],
                subject=header.get("subject", ""),
                text=text,
                html=html,
                raw=bytes(raw) if raw is not None else None,
                reply_to=[tuple(box) for box in header.get("reply_to", ())],
                headers=[tuple(pair) for pair in header.get("extra", ())],
                custom_id=header.get("custom_id", ""),
                contact_ids=[one.contact_id],
                facts={**facts, "again": f"{one.sending_id}/{one.no}"},
            )
        ]
    )
    return made[0].recipients[0]


def _of_campaign(workspace_id: int, one: Entry, language: str) -> tuple[int, int]:
    """The version she was sent, in a sending of its own that no report of the campaign counts."""
    before = Sending.objects.get(id=one.sending_id)
    person = Contact.objects.filter(workspace_id=workspace_id, pk=one.contact_id or 0).first()
    if person is None:
        raise Refused(_("This person is gone."))
    if before.purpose_id is not None:
        named = Version.objects.filter(pk=before.version_id or 0).values_list("informs", flat=True).first()
        answer = gates.may_send(
            workspace_id, person.pk, person.email_key, before.purpose_id, informs=named or (), offer=before.offer
        )
        if not answer.allowed:
            raise Refused(answer.sentence(language))
    made = Sending.objects.create(
        workspace_id=workspace_id,
        kind="again",
        campaign_id=before.campaign_id,
        purpose_id=before.purpose_id,
        version_id=before.version_id,
        sender=before.sender,
        product_family=before.product_family,
        seller=before.seller,
        state=SendingState.SENDING,
        priority=before.priority,
        expand_cursor=person.pk,
    )
    accept.expand_batch(made, [(person.pk, person.email)])
    db.execute("UPDATE outbound_sending SET started_at = now(), expanded_at = now() WHERE id = %s", [made.id])
    return made.id, person.pk
