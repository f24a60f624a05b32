"""Requests of people about their data (GDPR art. 12 to 22): received, proved, answered within a calendar month.

Whoever asks proves with a link mailed to the address that the mailbox is hers; that is proof enough for what is kept
under that address, and for nobody else's (art. 12(6)): a look-alike address opens nothing but itself. What she may
decide alone is then done at once; what needs judgement waits for the desk, with its clock.
"""

from __future__ import annotations

import calendar
import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from envol.accounts.models import Member, Role, Workspace
from envol.accounts.workspaces import address_digest
from envol.consent import acts, directives, recipients, registry, restriction
from envol.consent.models_rights import Erasure, Hold, RightsRequest, RightsStep
from envol.events.writing import request_mail
from envol.wire.address import normalise

KINDS = ("access", "portability", "rectification", "erasure", "restriction", "objection", "review")
JUDGED = ("rectification", "review")
"""What a person must look at, and answer in words: nothing of it is done by itself (art. 16 and 22(3))."""
DEATH = "death"
"""Whoever it is about has died: taken down by a member alone, and nobody is written to at that address."""
OPEN = ("unproven", "open")
LINK_DAYS = 7
"""How long a link proves a mailbox, and how long an answer can be fetched by it."""
MAILS_A_DAY, MAILS_AN_HOUR = 2, 60
"""To one address, and of one workspace: beyond it somebody floods a mailbox that is not hers."""
ALERT_DAYS = (15, 25)
MONTHS, MORE_MONTHS = 1, 2

_MAIL = {
    "fr": (
        "Votre demande sur vos données",
        "Bonjour,\n\nUne demande nous est parvenue avec cette adresse : {kind}.\n\nSi elle est de vous, ouvrez cette"
        " page et confirmez-la, dans les 7 jours :\n\n{url}\n\nSinon, ne faites rien : rien ne sera montré ni changé."
        "\n\n{title}\n",
    ),
    "en": (
        "Your request about your data",
        "Hello,\n\nA request came to us with this address: {kind}.\n\nIf it is yours, open this page and confirm it"
        " within 7 days:\n\n{url}\n\nIf not, do nothing: nothing will be shown or changed.\n\n{title}\n",
    ),
}
_NEWS = {
    "fr": (
        "Réponse à votre demande sur vos données",
        "Bonjour,\n\nVotre demande a une suite : {kind}. Elle se lit ici, pendant 7 jours :\n\n{url}\n\n{title}\n",
    ),
    "en": (
        "Answer to your request about your data",
        "Hello,\n\nThere is news of your request: {kind}. Read it here, for 7 days:\n\n{url}\n\n{title}\n",
    ),
}
NAMES = {
    "access": ("voir mes données", "see my data"),
    "portability": ("emporter mes données", "take my data with me"),
    "rectification": ("corriger mes données", "correct my data"),
    "erasure": ("effacer mes données", "erase my data"),
    "restriction": ("limiter l’usage de mes données", "restrict the use of my data"),
    "objection": ("m’opposer à la prospection", "object to marketing"),
    "review": ("faire revoir par une personne ce qui a été choisi pour moi", "have a person look at what was chosen"),
}


class Person(NamedTuple):
    """Whom an address means here."""

    contact_id: int
    address: str
    email_key: str
    born: datetime


class Refusal(ValueError):
    """What cannot be done; the sentence says what to do."""


_find: list[Callable[[int, str], Person | None]] = []


def recognise_by(find: Callable[[int, str], Person | None]) -> None:
    """``find(workspace_id, email_key)`` tells who has this address now; contacts lie above us."""
    _find[:] = [find]


def due(received: datetime, months: int, zone: str) -> datetime:
    """The end of the day with the same number ``months`` later, or of the last day of that month.

    Regulation 1182/71 art. 3 would move it behind a week-end; we do not, so as never to be late.
    """
    day = received.astimezone(ZoneInfo(zone)).date()
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    last = min(day.day, calendar.monthrange(year, month)[1])
    return datetime(year, month, last, 23, 59, 59, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def receive(
    workspace: Workspace,
    kind: str,
    address: str,
    *,
    channel: str,
    language: str = "fr",
    words: str = "",
    actor_id: int | None = None,
    now: datetime | None = None,
) -> RightsRequest:
    """Take a request and mail the link that proves it. `AddressError` or `Refusal`; tells nobody who is known."""
    if kind not in KINDS and (kind, channel) != (DEATH, "member"):
        raise Refusal(_("Choose what is asked for."))
    key, now = normalise(address).key, now or datetime.now(UTC)
    if kind == "rectification" and not words.strip():
        raise Refusal(_("Say what is wrong, and what is right."))
    if kind == DEATH and not words.strip():
        raise Refusal(_("Say who tells you of the death, and how to reach that person."))
    digest = address_digest(workspace.pk, key)
    with transaction.atomic():
        Workspace.objects.select_for_update().only("id").get(pk=workspace.pk)
        person = _person(workspace.pk, key)
        made = RightsRequest(
            workspace_id=workspace.pk, kind=kind, channel=channel, language="en" if language == "en" else "fr",
            address=person.address if person else address.strip()[:254], digest=digest,
            contact_id=person.contact_id if person else None, words=words.strip()[:4000],
            received_at=now, due_at=due(now, MONTHS, workspace.time_zone), secret_sha256=secrets.token_bytes(32),
        )  # fmt: skip
        made.save()
        _step(made, "received", actor_id)
        lately = RightsRequest.objects.filter(workspace_id=workspace.pk, received_at__lte=now).exclude(pk=made.pk)
        same = lately.filter(digest=digest, received_at__gt=now - timedelta(days=1)).count()
        many = lately.filter(received_at__gt=now - timedelta(hours=1)).count()
        if kind != DEATH and same < MAILS_A_DAY and many < MAILS_AN_HOUR:
            ask(made, workspace)
    return made


def ask(request: RightsRequest, workspace: Workspace, actor_id: int | None = None) -> None:
    """Mail a (new) link; one sent before is no longer good."""
    if not request.address:
        raise Refusal(_("The address of this request is not kept any more."))
    if request.kind == DEATH:
        raise Refusal(_("Nobody is written to at the address of somebody who died: ask whoever told you."))
    _mail(request, workspace, _MAIL)
    _step(request, "asked", actor_id)


def tell(request: RightsRequest, actor_id: int | None) -> None:
    """What a member decided is told with a new link: the first may be over by then (art. 12(3) and (4))."""
    if actor_id is not None and request.address and request.kind != DEATH:
        _mail(request, Workspace.objects.get(pk=request.workspace_id), _NEWS)
        _step(request, "told", actor_id)


def _mail(request: RightsRequest, workspace: Workspace, words: dict[str, tuple[str, str]]) -> None:
    secret = secrets.token_urlsafe(32)
    RightsRequest.objects.filter(pk=request.pk).update(secret_sha256=_hashed(secret))
    subject, text = words[request.language]
    facts = {
        "kind": NAMES[request.kind][request.language == "en"],
        "url": f"{settings.ENVOL.base_url.rstrip('/')}/r/{secret}",
        "title": workspace.title,
    }
    request_mail(
        "rights",
        request.address,
        {"subject": subject, "text": text.format(**facts)},
        workspace_id=workspace.pk,
        language=request.language,
    )


def by_secret(secret: str, now: datetime | None = None) -> RightsRequest | None:
    """The request this link is of; None when it is none, or too old."""
    found = RightsRequest.objects.filter(secret_sha256=_hashed(secret)).first()
    if found is None:
        return None
    asked = (
        found.steps.filter(what__in=("asked", "proved", "told")).order_by("-pk").values_list("at", flat=True).first()
    )
    late = asked is None or (now or datetime.now(UTC)) > asked + timedelta(days=LINK_DAYS)
    return None if late else found


def prove(request: RightsRequest, how: str = "", actor_id: int | None = None) -> RightsRequest:
    """Identity is settled: by her link, or by a member who says how. What needs nobody's judgement is done at once."""
    with transaction.atomic():
        request = RightsRequest.objects.select_for_update().get(pk=request.pk)
        if request.state != "unproven":
            return request
        if actor_id is not None and not how.strip():
            raise Refusal(_("Say how you know who asks."))
        if request.kind == DEATH and (person := person_of(request)) is not None:
            # Nothing more leaves while it is looked for what she wished.
            restriction.begin(
                request.workspace_id, person.contact_id, cause_of(request), actor="member", actor_id=actor_id
            )
        request.state, request.proved_at = "open", datetime.now(UTC)
        request.proved_by = how.strip()[:200] or "link"
        request.save(update_fields=["state", "proved_at", "proved_by"])
        _step(request, "proved", actor_id, how)
        if actor_id is None and request.kind not in JUDGED:
            carry_out(request)
    request.refresh_from_db()
    return request


def person_of(request: RightsRequest) -> Person | None:
    """Whom it is about, as of now: found by the digest's own address, never by a similar one."""
    return _person(request.workspace_id, normalise(request.address).key) if request.address else None


def carry_out(request: RightsRequest, actor_id: int | None = None, answer: str = "") -> None:
    """Do what is asked for and close the request; an erasure leaves nothing of it but the register."""
    if request.state != "open":
        raise Refusal(_("Settle first who asks."))
    with transaction.atomic():
        person, workspace_id = person_of(request), request.workspace_id
        wish = wish_of(request, person)
        actor, cause = ("member" if actor_id else "person"), cause_of(request)
        if person is None:
            answer = answer or "nothing kept"
        elif request.kind == "erasure" or wish == directives.ERASE:
            if _held(workspace_id, person.contact_id):
                if actor_id is None:
                    return  # the desk decides: there is a dispute
                raise Refusal(_("There is a hold on this person: release it, or refuse with the reason."))
            registry.erase_person(
                workspace_id, person.contact_id, person.email_key,
                cause=cause, actor=actor, actor_id=actor_id, born=person.born,
            )  # fmt: skip
            request.erasure_id = Erasure.objects.filter(workspace_id=workspace_id, cause=cause).latest("pk").pk
        elif wish == directives.HAND and not answer.strip():
            raise Refusal(_("Say how the data were handed over, and to whom."))
        elif request.kind in ("restriction", DEATH):
            restriction.begin(workspace_id, person.contact_id, cause, actor=actor, actor_id=actor_id)
        elif request.kind == "objection":
            acts.object_to_marketing(workspace_id, person.contact_id, person.email_key, cause)
        elif request.kind == "rectification" and not answer.strip():
            raise Refusal(_("Say what was corrected: she reads it."))
        elif request.kind == "review" and not answer.strip():
            raise Refusal(_("Say what you looked at, and what you decided: it is read by the person who asked."))
        _end(request, "answered", answer, actor_id)
        if person is not None:
            recipients.owe(request, person.email_key)


def cause_of(request: RightsRequest) -> str:
    """How what is done about it names it."""
    return f"request {request.pk}"


def wish_of(request: RightsRequest, person: Person | None) -> str:
    """Of somebody who died, what she wished; empty where she said nothing, and of the living."""
    found = directives.of(request.workspace_id, person.contact_id) if person and request.kind == DEATH else None
    return found.wish if found else ""


def _held(workspace_id: int, contact_id: int) -> bool:
    return Hold.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None).exists()


def refuse(request: RightsRequest, why: str, actor_id: int) -> None:
    """With reasons, and with where to complain (art. 12(4)); she reads them by her link."""
    if not why.strip():
        raise Refusal(_("Say why it is refused: she has a right to the reasons."))
    if request.state not in OPEN:
        raise Refusal(_("This request is answered already."))
    with transaction.atomic():
        _end(request, "refused", why, actor_id)


def extend(request: RightsRequest, why: str, actor_id: int, now: datetime | None = None) -> None:
    """Two months more, once, told within the first month with the reason (art. 12(3))."""
    now = now or datetime.now(UTC)
    if not why.strip():
        raise Refusal(_("Say why it takes longer: she has a right to the reason."))
    if request.state not in OPEN or request.extended_at is not None:
        raise Refusal(_("It can be extended once, and only while it is open."))
    if now > request.due_at:
        raise Refusal(_("The month is over: a request can be extended only within it. Answer it now."))
    zone = Workspace.objects.values_list("time_zone", flat=True).get(pk=request.workspace_id)
    with transaction.atomic():
        request.extended_at, request.due_at = now, due(request.received_at, MONTHS + MORE_MONTHS, zone)
        request.save(update_fields=["extended_at", "due_at"])
        _step(request, "extended", actor_id, why)
        tell(request, actor_id)


def warn(now: datetime | None = None) -> int:
    """Tell owners of requests that wait: on the 15th and the 25th day, and when the day is over; how many mails."""
    now, sent = now or datetime.now(UTC), 0
    for one in RightsRequest.objects.filter(state__in=OPEN, warned__lt=3).order_by("pk")[:1000]:
        age = (now - one.received_at).days
        level = 3 if now > one.due_at else sum(age >= day for day in ALERT_DAYS) if one.extended_at is None else 0
        if level <= one.warned:
            continue
        workspace = Workspace.objects.get(pk=one.workspace_id)
        owners = Member.objects.filter(workspace=workspace, role=Role.OWNER).select_related("user")
        with transaction.atomic():
            RightsRequest.objects.filter(pk=one.pk).update(warned=level)
            for owner in owners:
                french = owner.user.language == "fr"
                text = (
                    "La demande n° {no} attend une réponse avant le {due}.\n\n{url}\n"
                    if french
                    else "Request no. {no} waits for an answer before {due}.\n\n{url}\n"
                )
                where = f"{settings.ENVOL.base_url.rstrip('/')}/consent/requests/{one.pk}"
                facts = {
                    "subject": "Une demande sur des données attend" if french else "A request about data waits",
                    "text": text.format(no=one.pk, due=f"{one.due_at:%Y-%m-%d}", url=where),
                }
                request_mail(
                    "notice", owner.user.email, facts, workspace_id=workspace.pk, language="fr" if french else "en"
                )
                sent += 1
    return sent


def forget(workspace_id: int, contact_id: int) -> int:
    """What an erasure takes of the register: the address and the words; the dates and the answer's kind stay."""
    mine = RightsRequest.objects.filter(workspace_id=workspace_id)
    digests = list(mine.filter(contact_id=contact_id).values_list("digest", flat=True))
    ids = list(mine.filter(Q(contact_id=contact_id) | Q(digest__in=digests)).values_list("pk", flat=True))
    # Recipients that have yet to be told of an earlier erasure are still owed it, and nothing there names her to us.
    steps = RightsStep.objects.filter(request_id__in=ids)
    steps.exclude(what=recipients.TO_TELL, request__kind__in=("erasure", DEATH)).update(said="")
    return RightsRequest.objects.filter(pk__in=ids).update(address="", words="", answer="", contact_id=None)


def _end(request: RightsRequest, state: str, answer: str, actor_id: int | None) -> None:
    gone = request.erasure_id is not None
    request.state, request.ended_at = state, datetime.now(UTC)
    request.answer = answer.strip()[:4000] if not gone else ""
    if gone:
        request.address, request.words, request.contact_id = "", "", None
    fields = ("state", "ended_at", "answer", "erasure_id", "address", "words", "contact_id")
    request.save(update_fields=fields)
    _step(request, state, actor_id)
    tell(request, actor_id)


def _step(request: RightsRequest, what: str, actor_id: int | None = None, said: str = "") -> None:
    RightsStep.objects.create(request=request, what=what, actor_id=actor_id, said=said.strip()[:4000])


def _person(workspace_id: int, email_key: str) -> Person | None:
    return _find[0](workspace_id, email_key) if _find else None


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
