"""What a person decides about the mail she gets, by the token of a message alone.

Every act is one line of the ledger for each purpose that changes, so masks, gates and proofs follow at once:
the next lease of a courier asks them and sends nothing (GDPR art. 7(3): withdrawing is as easy as giving).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction

from envol import db_role, events
from envol.accounts.models import Workspace
from envol.consent import lapse, ledger, partners, policies, purposes, suppression
from envol.consent.models import Evidence, Permission, Purpose, PurposeText
from envol.contacts.models import Contact
from envol.contacts.people import masked
from envol.content import links
from envol.content.links import Kind as TokenKind
from envol.events import NewEvent
from envol.events.models import Kind
from envol.outbound import leaving
from envol.outbound.models import Send, Sending
from envol.wire.address import AddressError, normalise

LANGUAGES = ("fr", "en")
_SOURCE = "preference page"
PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who holds the link of a message, or (no ``sending``) the one given when she confirmed her address.

    ``contact`` is None when we no longer know, or never knew, her.
    """

    workspace: Workspace
    sending: Sending | None
    no: int
    address: str
    contact: Contact | None

    @property
    def language(self) -> str:
        wanted = (self.contact.language if self.contact else None) or self.workspace.language
        return "en" if wanted.lower().startswith("en") else "fr"

    @property
    def cause(self) -> str:
        """How this act is named where it must be proved."""
        return f"sending {self.sending.id}/{self.no}" if self.sending else f"person {self.no}"

    @property
    def email_key(self) -> str | None:
        if self.contact is not None:
            return self.contact.email_key
        try:
            return normalise(self.address).key
        except AddressError:
            return None

    @property
    def masked(self) -> str:
        """Enough to recognise her own address, too little for somebody a message was forwarded to."""
        return masked(self.address)

    @property
    def sending_id(self) -> int | None:
        return self.sending.id if self.sending else None

    @property
    def preferences(self) -> str:
        """The path of her own page."""
        if self.sending is None:
            return f"/p/{links.person_token(self.workspace.id, self.no)}"
        return f"/p/{links.preferences_token(self.sending.id, self.no)}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One purpose and her present answer: "granted", "refused" (said no at some time) or "" (never asked)."""

    purpose: Purpose
    words: PurposeText
    state: str
    ends: datetime | None = None  # when it ends by its term, if that is soon: it can be renewed now
    newcomers: tuple[str, ...] = ()  # partners whom the words name since she agreed, and to whom she did not

    @property
    def text(self) -> str:
        """The exact words, as somebody would accept them."""
        return self.words.text

    @property
    def granted(self) -> bool:
        return self.state == "granted"


def visitor(token: str, *kinds: TokenKind) -> Visitor | None:
    """Who holds this token; None when it is not one of ``kinds`` or its message is gone.

    From here on the request sees her workspace.
    """
    with db_role.as_owner():
        found = _visitor(token, *kinds)
    if found is not None:
        db_role.enter(found.workspace.pk)
    return found


def _visitor(token: str, *kinds: TokenKind) -> Visitor | None:
    target = links.read(token, *kinds)
    if target is None or target.no is None:
        return None
    if target.kind is TokenKind.PERSON:
        person = Contact.objects.filter(id=target.no, workspace_id=target.sending_id).first()
        workspace = Workspace.objects.filter(id=target.sending_id).first()
        return Visitor(workspace, None, target.no, person.email, person) if person and workspace else None
    send = Send.objects.filter(sending_id=target.sending_id, no=target.no).first()
    sending = Sending.objects.select_related("workspace").filter(id=target.sending_id).first()
    if send is None or sending is None:
        return None
    contact = None
    if send.contact_id is not None:
        contact = Contact.objects.filter(id=send.contact_id, workspace_id=sending.workspace.id).first()
    return Visitor(sending.workspace, sending, target.no, send.address, contact)


def purpose_of(who: Visitor) -> Purpose | None:
    """What the message was sent for."""
    wanted = who.sending.purpose_id if who.sending else None
    return Purpose.objects.filter(id=wanted or 0, workspace=who.workspace).first()


def choices(who: Visitor, language: str = "") -> list[Choice]:
    """Every purpose of the workspace with her answer, marketing first, then measuring, then transactional."""
    given = _present(who)
    # A pause is no answer: what she chose stands below it.
    objected = bool(who.contact and who.contact.objected and paused_until(who) is None)
    found = []
    for purpose in Purpose.objects.filter(workspace=who.workspace).order_by("bit"):
        state = given.get(purpose.pk, "")
        if purpose.key == purposes.ASKED_ONCE and state in ("", lapse.STATE):
            continue  # it concerns only whom it lets be asked, and only until they were
        if state == "granted" and objected and purpose.kind == "marketing":
            state = "refused"
        elif state in ("requested", lapse.STATE):
            state = ""
        elif state and state != "granted":
            state = "refused"
        ends = _ends(who, purpose) if state == "granted" and (purpose.months or purpose.legacy_months) else None
        later = partners.newcomers(purpose, who.contact.id) if who.contact and state == "granted" else []
        words = purposes.text(purpose, language or who.language)
        found.append(Choice(purpose, words, state, ends, tuple(one.name for one in later)))
    order = ("marketing", "measuring", "transactional")
    return sorted(found, key=lambda choice: order.index(choice.purpose.kind))


def _ends(who: Visitor, purpose: Purpose) -> datetime | None:
    assert who.contact is not None
    given = Permission.objects.filter(
        workspace_id=who.workspace.id, contact_id=who.contact.id, purpose_id=purpose.pk, until=None, basis="consent"
    ).first()
    old = Evidence.objects.filter(pk=given.evidence_id or 0, strength="legacy").first() if given is not None else None
    ends = lapse.ends_by(purpose, given.since, old.created_at if old else None) if given is not None else None
    return ends if ends is not None and ends < datetime.now(UTC) + lapse.SOON else None


def renew(who: Visitor, purpose_id: int, seen: Iterable[int] = ()) -> bool:
    """She keeps what would soon end, or agrees to partners named since: a new consent, to the words shown."""
    if who.contact is None:
        return False
    with transaction.atomic():
        ledger.lock(who.workspace.id)
        mine = (one for one in choices(who) if one.purpose.pk == purpose_id)
        found = next((one for one in mine if one.ends is not None or one.newcomers), None)
        if found is None:
            return False
        _answer(who, [(found.purpose, "granted")], frozenset(seen))
        facts = {"purpose": found.purpose.key, "state": "granted", "via": "page"}
        events.record([NewEvent(who.workspace.id, Kind.PERMISSION, who.contact.id, who.sending_id, facts=facts)])
    return True


def paused_until(who: Visitor) -> datetime | None:
    """Until when she asked for a pause, if nothing stronger stands there."""
    if who.email_key is None:
        return None
    found = [one for one in suppression.entries(who.workspace.id, who.email_key) if one.scope == "marketing"]
    return found[0].until if found and found[0].reason == PAUSED else None


def label_of(purpose: Purpose, language: str) -> str:
    return purpose.label_en if language == "en" else purpose.label_fr


def unsubscribe(who: Visitor, *, everything: bool = False, via: str = "page") -> bool:
    """No more mail for the purpose of this message, or (``everything``) no marketing at all; acts at once.

    Returns whether anything changed: asked twice, the second time changes and records nothing.
    A message without a purpose is taken as everything.
    """
    return leaving.unsubscribe(
        who.workspace.id,
        who.contact.id if who.contact else None,
        who.email_key,
        purpose_of(who),
        sending_id=who.sending_id,
        cause=who.cause,
        everything=everything,
        via=via,
    )


def resubscribe(who: Visitor, seen: Iterable[int] = ()) -> bool:
    """She pressed the button that takes the unsubscription back, under the text of the purpose: a new consent."""
    purpose = purpose_of(who)
    if purpose is None or who.contact is None:
        return False
    return choose(who, {purpose.pk: True}, seen=seen)


def choose(who: Visitor, wanted: dict[int, bool], *, language: str | None = None, seen: Iterable[int] = ()) -> bool:
    """Make her answers those of ``wanted`` (purpose id → yes or no), purposes left out stay; and her language.

    Only what differs is written. "No" to what was never asked is not an answer and writes nothing. A yes to marketing
    lifts an objection to all marketing that she made herself. ``seen``: the texts that stood on her page; without
    them those in force, in her language, are the proof.
    """
    if who.contact is None:
        return False
    with transaction.atomic():
        ledger.lock(who.workspace.id)
        answers: list[tuple[Purpose, str]] = []
        marketing = False
        for choice in choices(who):
            yes = wanted.get(choice.purpose.pk)
            if yes is None or choice.purpose.kind == "transactional":
                continue
            if yes and not choice.granted:
                answers.append((choice.purpose, "granted"))
                marketing |= choice.purpose.kind == "marketing"
            elif not yes and choice.granted:
                answers.append((choice.purpose, "withdrawn"))
        given = _present(who)
        # What an objection hides was never withdrawn: lifting it must not bring back what she leaves unticked.
        if marketing and who.contact.objected:
            answers += [
                (p, "withdrawn")
                for p in Purpose.objects.filter(workspace=who.workspace, kind="marketing")
                if given.get(p.pk) == "granted" and not wanted.get(p.pk)
            ]
            if who.email_key:
                suppression.lift(who.workspace.id, who.email_key, "marketing", f"she chose mail again, {who.cause}")
        answers = [(p, state) for p, state in answers if not (state == "granted" and given.get(p.pk) == "granted")]
        changed = _answer(who, answers, frozenset(seen)) or marketing
        if language in LANGUAGES and language != who.contact.language:
            Contact.objects.filter(id=who.contact.id, workspace_id=who.workspace.id).update(language=language)
            who.contact.language = language
            changed = True
        if answers:
            events.record(
                NewEvent(
                    who.workspace.id,
                    Kind.PERMISSION,
                    who.contact.id,
                    who.sending_id,
                    facts={"purpose": purpose.key, "state": state, "via": "page"},
                )
                for purpose, state in answers
            )
        who.contact.refresh_from_db(fields=["allowed", "refused", "objected"])
    return changed


def _present(who: Visitor) -> dict[int, str]:
    if who.contact is None:
        return {}
    found = Permission.objects.filter(workspace_id=who.workspace.id, contact_id=who.contact.id, until=None)
    return dict(found.values_list("purpose_id", "state"))


def _answer(who: Visitor, answers: Iterable[tuple[Purpose, str]], seen: frozenset[int] = frozenset()) -> bool:
    assert who.contact is not None
    now = datetime.now(UTC)
    lines = [
        ledger.Line(
            who.contact.id,
            purpose.pk,
            state,
            "consent",
            now,
            evidence_id=_evidence(who, purpose, seen) if state == "granted" else None,
            proof=f"{_SOURCE}, {who.cause}",
        )
        for purpose, state in answers
    ]
    if lines:
        ledger.append(who.workspace.id, lines)
    return bool(lines)


def _evidence(who: Visitor, purpose: Purpose, seen: frozenset[int]) -> int:
    """The words that stood beside the box: one row for each version of them."""
    text = PurposeText.objects.filter(pk__in=seen, purpose=purpose).first() or purposes.text(purpose, who.language)
    return Evidence.objects.get_or_create(
        workspace=who.workspace,
        strength="line",
        source=_SOURCE,
        text=text,
        facts={
            "mechanism": "unticked_box",
            "actor": "person",
            "channel": "email",
            **policies.notice_shown(who.workspace.pk),
        },
    )[0].pk
