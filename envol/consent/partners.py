"""Partners by name: whom an agreement covers, who was given to whom, and what each partner must be told.

A consent to passing data on is informed only if it names who gets them (GDPR art. 4(11), 7; EDPB guidelines 05/2020,
no. 65). So the words of a purpose end with its partners; another partner is another version, and whoever agreed to an
earlier one has not agreed to the newcomer. Whoever takes an agreement back, or is erased, is owed to each partner that
was given her data (art. 7(3), 17(2), 19).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import JournalEntry
from envol.consent import desk, ledger, purposes, transfers
from envol.consent.models import Processor, Purpose
from envol.consent.models_partner import Handing, Partner
from envol.consent.recipients import address_among
from envol.db import dicts, execute, rows
from envol.events.writing import request_mail

KIND = "partner"
"""What leads to them, in the register of recipients."""
MOST = 50
"""Partners of one purpose: nobody reads more names before a box."""
MOST_MARKS = 1_000
"""People named in one mail; of more a list is handed over, and how is noted."""
TOLD = "partner.told"
WITHDRAWN, ERASED = "withdrawn", "erased"
_HOST = re.compile(r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")

COVERED_SQL = (
    "EXISTS (SELECT FROM consent_permission p JOIN consent_evidence e ON e.id = p.evidence_id"
    " JOIN consent_purpose_text t ON t.id = e.text_id AND t.purpose_id = p.purpose_id"
    " JOIN consent_partner a ON a.purpose_id = p.purpose_id AND a.id = %(partner)s"
    " WHERE p.workspace_id = {0}.workspace_id AND p.contact_id = {0}.id AND p.state = 'granted'"
    " AND p.basis = 'consent' AND p.until IS NULL AND t.version >= a.since_version"
    " AND (a.until_version IS NULL OR t.version < a.until_version))"
)
"""Over a contact alias: does her present agreement name this partner? Of an agreement without words nobody knows."""


class Refusal(ValueError):
    """It cannot be done so; the sentence says what to do."""


def named(purpose: Purpose, version: int | None = None) -> list[Partner]:
    """Whom the words in force name, or those of a version."""
    found = Partner.objects.filter(purpose=purpose).order_by("pk")
    if version is None:
        return list(found.filter(until_version=None))
    return [
        one
        for one in found.filter(since_version__lte=version)
        if one.until_version is None or version < one.until_version
    ]


def add(
    purpose: Purpose, name: str, site: str, country: str, contact: str = "", *, member_id: int | None = None
) -> Partner:
    """Name one more partner: a new version of the words, and a line of the register unless it stands there already."""
    name, site = " ".join(name.split())[:200], site.strip().lower().removeprefix("https://").rstrip("/")
    if purpose.kind != "marketing":
        raise Refusal(_("Only for a purpose that people choose may their data be passed on."))
    if not name:
        raise Refusal(_("Give the partner's name, as people know it."))
    if not _HOST.fullmatch(site):
        raise Refusal(_("Give the partner's site, such as partner.example: there people read what it does."))
    if not re.fullmatch("[A-Z]{2}", country):
        raise Refusal(_("Name the country where the data lie."))
    with transaction.atomic():
        Purpose.objects.select_for_update().only("id").get(pk=purpose.pk)
        there = named(purpose)
        if len(there) >= MOST:
            raise Refusal(_("At most %(n)s partners: nobody reads more names before a box.") % {"n": MOST})
        entry = next((one for one in transfers.known(purpose.workspace) if one.name.lower() == name.lower()), None)
        if entry is not None and any(one.processor_id == entry.pk for one in there):
            raise Refusal(_("“%(name)s” is named already.") % {"name": name})
        if entry is None:
            written = {
                "name": name, "role": "recipient", "kind": KIND, "country": country, "contact": contact.strip()[:300],
                "what": purpose.label_fr if purpose.workspace.language == "fr" else purpose.label_en,
                "since": purpose.workspace.today(),
            }  # fmt: skip
            entry = desk.save_processor(purpose.workspace, written, member_id=member_id)
        version = purposes.text(purpose).version + 1
        made = Partner.objects.create(
            workspace=purpose.workspace, purpose=purpose, processor_id=entry.pk, name=entry.name, site=site,
            country=entry.country, since_version=version,
        )  # fmt: skip
        purposes.say_again(purpose)
        _note("partner.added", made, member_id, version)
    return made


def drop(one: Partner, *, member_id: int | None = None) -> None:
    """It gets nothing more and the words name it no more; what it was given is still told to it."""
    with transaction.atomic():
        Purpose.objects.select_for_update().only("id").get(pk=one.purpose.pk)
        version = purposes.text(one.purpose).version + 1
        ended = Partner.objects.filter(pk=one.pk, until_version=None)
        if not ended.update(until_version=version, ended_at=Now()):
            raise Refusal(_("It is named no more already."))
        purposes.say_again(one.purpose)
        _note("partner.dropped", one, member_id, version)


def drop_behind(processor: Processor, *, member_id: int | None = None) -> int:
    """The register says that it gets no more data: no purpose names it any more; how many did."""
    mine = Partner.objects.filter(workspace=processor.workspace, processor_id=processor.pk, until_version=None)
    found = list(mine.select_related("purpose", "workspace"))
    for one in found:
        drop(one, member_id=member_id)
    return len(found)


def _note(action: str, one: Partner, member_id: int | None, version: int) -> None:
    facts = {"name": one.name, "purpose": one.purpose.key, "version": version}
    note(one.workspace, "member" if member_id else "command", action, one, actor_id=member_id, **facts)


def newcomers(purpose: Purpose, contact_id: int) -> list[Partner]:
    """Whom the words in force name and her present agreement does not cover."""
    there = named(purpose)
    if not there:
        return []
    found = rows(
        "SELECT t.version FROM consent_permission p JOIN consent_evidence e ON e.id = p.evidence_id"
        " JOIN consent_purpose_text t ON t.id = e.text_id AND t.purpose_id = p.purpose_id"
        " WHERE p.workspace_id = %s AND p.contact_id = %s AND p.purpose_id = %s AND p.state = 'granted'"
        " AND p.basis = 'consent' AND p.until IS NULL",
        [purpose.workspace_id, contact_id, purpose.pk],
    )
    version = found[0][0] if found else 0
    return [one for one in there if version < one.since_version]


def barred(one: Partner) -> str:
    """Why this partner gets no file today; empty: it may."""
    entry = Processor.objects.filter(workspace=one.workspace, pk=one.processor_id, ended_on=None).defer("dpa").first()
    if one.until_version is not None or entry is None:
        return _("“%(name)s” is a partner no more.") % {"name": one.name}
    verdict = transfers.judge(entry)
    if verdict.colour == transfers.RED:
        return _("No data may go to %(name)s: %(why)s") % {"name": one.name, "why": verdict.why}
    return ""


# -- who was given, and what is owed -------------------------------------------------------------


def mark_of(email_key: str) -> str:
    return hashlib.sha256(email_key.encode()).hexdigest()


def hand(one: Partner, people: Sequence[tuple[int, str]]) -> None:
    """These people (id, normalised address) are in a file for this partner."""
    execute(
        "INSERT INTO consent_handing (workspace_id, partner_id, contact_id, mark, at, owed)"
        " SELECT %s, %s, n.id, n.mark, now(), '' FROM unnest(%s::bigint[], %s::text[]) AS n (id, mark)"
        " ON CONFLICT (partner_id, contact_id) DO UPDATE SET mark = excluded.mark, at = excluded.at, owed = '',"
        " owed_at = NULL, told_at = NULL",
        [one.workspace.pk, one.pk, [number for number, _key in people], [mark_of(key) for _id, key in people]],
    )


def withdrawn_since(one_id: int, moment: datetime) -> bool:
    """Has anybody who was given to this partner taken her agreement back, or been erased, since then?"""
    return Handing.objects.filter(partner_id=one_id, owed_at__gte=moment).exists()


def project(workspace_id: int, contact_ids: Sequence[int]) -> None:
    """Who said no since she was given to a partner is owed to it; who agrees again before it was told is not."""
    execute(
        "UPDATE consent_handing h SET owed = CASE WHEN n.no THEN 'withdrawn' ELSE '' END,"
        " owed_at = CASE WHEN n.no THEN now() END FROM ("
        "  SELECT k.id, EXISTS (SELECT FROM consent_permission p WHERE p.workspace_id = k.workspace_id"
        "   AND p.contact_id = k.contact_id AND p.purpose_id = a.purpose_id AND p.until IS NULL"
        "   AND p.state = ANY(%(refusals)s)) AS no"
        "  FROM consent_handing k JOIN consent_partner a ON a.id = k.partner_id"
        "  WHERE k.workspace_id = %(workspace)s AND k.contact_id = ANY(%(contacts)s) AND k.told_at IS NULL) n"
        " WHERE h.id = n.id AND (h.owed = 'withdrawn') <> n.no",
        {"workspace": workspace_id, "contacts": list(contact_ids), "refusals": list(ledger.REFUSALS)},
    )


def forget(workspace_id: int, contact_id: int) -> int:
    """She is erased: what names her to a partner is kept until that partner was told, and no longer."""
    mine = Handing.objects.filter(workspace_id=workspace_id, contact_id=contact_id)
    told = mine.exclude(told_at=None).delete()[0]
    return told + mine.update(contact_id=None, owed=ERASED, owed_at=Now())


def given_of(workspace_id: int, contact_id: int) -> list[dict[str, object]]:
    """To whom this person was given, when, and whether that was taken back and told (art. 15(1)(c))."""
    return dicts(
        "SELECT a.name, a.site, a.country, u.key AS purpose, h.at, h.owed, h.owed_at, h.told_at FROM consent_handing h"
        " JOIN consent_partner a ON a.id = h.partner_id JOIN consent_purpose u ON u.id = a.purpose_id"
        " WHERE h.workspace_id = %s AND h.contact_id = %s ORDER BY h.at, h.id",
        [workspace_id, contact_id],
    )


class Standing(NamedTuple):
    """One partner in figures: people it was given, of these how many it has still to be told, and since when."""

    given: int
    withdrawn: int
    erased: int
    oldest: datetime | None

    @property
    def owed(self) -> int:
        return self.withdrawn + self.erased


def standing(workspace_id: int) -> dict[int, Standing]:
    """By partner, those who were ever given anybody."""
    return {
        number: Standing(*found)
        for number, *found in rows(
            "SELECT partner_id, count(*), count(*) FILTER (WHERE owed = 'withdrawn' AND told_at IS NULL),"
            " count(*) FILTER (WHERE owed = 'erased' AND told_at IS NULL),"
            " min(owed_at) FILTER (WHERE owed <> '' AND told_at IS NULL)"
            " FROM consent_handing WHERE workspace_id = %s GROUP BY partner_id",
            [workspace_id],
        )
    }


def untold(workspace_id: int) -> list[tuple[Partner, Standing]]:
    """Partners who have something to be told, the oldest duty first."""
    owing = {number: one for number, one in standing(workspace_id).items() if one.owed}
    found = [(one, owing[one.pk]) for one in Partner.objects.filter(pk__in=owing, workspace_id=workspace_id)]
    return sorted(found, key=lambda pair: pair[1].oldest or datetime.now(UTC))


def marks(one: Partner) -> list[str]:
    """What names the people of whom this partner has to be told; in order."""
    open_ = Handing.objects.filter(partner=one, told_at=None).exclude(owed="")
    return sorted(open_.values_list("mark", flat=True))


def mail_of(one: Partner) -> str:
    entry = Processor.objects.filter(workspace=one.workspace, pk=one.processor_id).only("contact").first()
    return address_among(entry.contact) if entry else ""


def tell(one: Partner, how: str, member_id: int) -> int:
    """Mail the partner whom it must use no more (no ``how``), or note how it was told; how many people."""
    how = " ".join(how.split())[:200]
    if "@" in how:
        raise Refusal(_("Say how without an address: the journal keeps none."))
    with transaction.atomic():
        Partner.objects.select_for_update().only("id").get(pk=one.pk)
        found = marks(one)
        if not found:
            raise Refusal(_("This partner was told of everybody already."))
        if not how:
            to = mail_of(one)
            if not to:
                raise Refusal(_("No mail address of this partner is known: say how it was told."))
            if len(found) > MOST_MARKS:
                raise Refusal(
                    _("A mail names at most %(n)s people: hand over the list, and say how.") % {"n": MOST_MARKS}
                )
            with translation.override(one.workspace.language):
                text = _(
                    "You were given data of people by %(title)s. Those whose address has one of these SHA-256 (in lower"
                    " case) took their agreement back or were erased. Use their data no more, erase them, and confirm"
                    " it by an answer to this message (GDPR art. 7(3), 17, 19).\n\n%(marks)s\n\n%(title)s\n"
                ) % {"title": one.workspace.title, "marks": "\n".join(found)}
                subject = _("Data that %(title)s gave you: agreements taken back") % {"title": one.workspace.title}
            facts = {"subject": subject, "text": text}
            request_mail("recipient", to, facts, workspace_id=one.workspace.pk, language=one.workspace.language)
        told = Handing.objects.filter(partner=one, told_at=None, mark__in=found).exclude(owed="")
        told.filter(contact_id=None).delete()  # an erased person's mark is kept no longer
        told.update(told_at=Now())
        note(one.workspace, "member", TOLD, one, actor_id=member_id, name=one.name, people=len(found), how=how)
    return len(found)


def tellings(one: Partner) -> list[JournalEntry]:
    """When this partner was told, of how many, how; the newest first."""
    return list(
        JournalEntry.objects.filter(workspace=one.workspace, action=TOLD, object_id=one.pk).order_by("-pk")[:50]
    )


def register() -> None:
    ledger.on_change(project)
