"""Who a mailing list reaches: those on a list of contacts, or those whom a segment chooses when a post is sent."""

from __future__ import annotations

from envol import db
from envol.audience.models import Segment
from envol.consent import gates
from envol.consent.models import Purpose
from envol.contacts import beyond
from envol.contacts.models import Contact, Membership
from envol.outbound import seldom
from envol.outbound.accept import Refused
from envol.outbound.models import MailingList


def members(one: MailingList) -> int:
    """How many are on it; of a segment nobody is, and its own page counts it."""
    return Membership.objects.filter(workspace_id=one.workspace_id, list_id=one.list_id or 0, until=None).count()


def is_on(one: MailingList, contact: Contact) -> bool:
    """Is she one of its people? Of a segment, who allows its purpose may be chosen by the next post."""
    if one.segment_id is None:
        return Membership.objects.filter(list_id=one.list_id or 0, contact_id=contact.pk, until=None).exists()
    return bool(contact.allowed >> _bit(one) & 1)


def reached(one: MailingList) -> list[tuple[int, str]]:
    """(contact, address) of everybody who gets a post now; the lease asks all gates again before each leaves.

    Raises `Refused` where the segment is gone or cannot be read any more.
    """
    return _on_the_list(one) if one.segment_id is None else _chosen(one, one.segment_id)


def _on_the_list(one: MailingList) -> list[tuple[int, str]]:
    bit = _bit(one)
    on_it = Membership.objects.filter(workspace_id=one.workspace_id, list_id=one.list_id or 0, until=None)
    rows = Contact.objects.filter(workspace_id=one.workspace_id, pk__in=on_it.values("contact_id"))
    return [(pk, email) for pk, email, allowed in rows.values_list("pk", "email", "allowed") if allowed >> bit & 1]


def _chosen(one: MailingList, segment_id: int) -> list[tuple[int, str]]:
    """By the gates of a campaign: what a segment reads of somebody has to serve the purpose too (GDPR art. 5(1)(b))."""
    # They bring the SQL compiler along, which the inbound does without.
    from envol.audience import engine
    from envol.audience.catalogue import Catalogue
    from envol.audience.language import SegmentProblem
    from envol.audience.serving import barred_sql, unserved

    segment = Segment.objects.filter(pk=segment_id, workspace_id=one.workspace_id).first()
    if segment is None:
        raise Refused("The segment of this list is gone.")
    purpose = Purpose.objects.get(pk=one.purpose_id)
    try:
        catalogue = Catalogue(one.workspace)
        query, params = engine.ids_sql(catalogue, segment.whole)
        found = unserved(catalogue, segment.whole, purpose)
    except SegmentProblem as error:
        raise Refused(f"The segment of this list cannot be read: {error}") from error
    more = [f"WHEN {barred_sql('c', found)} THEN '{gates.NOT_SERVED}'"] if found else []
    more += seldom.tests(purpose)
    more += beyond.tests("c", beyond.asked(purpose.pk))
    gate = beyond.behind(gates.refusal_sql("c", bit=purpose.bit), more)
    chosen = f"SELECT c.id, c.email FROM ({query}) s JOIN contacts_contact c ON c.id = s.id WHERE {gate} IS NULL"
    return [(pk, email) for pk, email in db.rows(f"{chosen} ORDER BY c.id", params)]


def _bit(one: MailingList) -> int:
    return int(Purpose.objects.values_list("bit", flat=True).get(pk=one.purpose_id))
