"""From a stranger's request to a confirmed person: asked by anybody, counted only after a POST from the mailbox.

A request writes nothing about the person it names: no contact, no answer in the ledger. Anybody may type
anybody's address, and an answer "requested" would take the place of a withdrawal, or of a consent, that stands.
The confirmation writes both answers, each with its own date: requested when she asked, granted when she confirmed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core import signing
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from envol import events
from envol.collect import limits, mail
from envol.collect.models import Day, SignupForm, SignupRequest
from envol.collect.signup import must, texts_of
from envol.consent import acts, ages, ledger, policies
from envol.consent.models import Evidence, Permission, Purpose, PurposeText, Strength
from envol.contacts import catalogue, people
from envol.contacts.models import Contact, Property, PropertyType
from envol.db import execute
from envol.events import NewEvent
from envol.events.models import Kind
from envol.wire.address import AddressError, normalise

VALID = timedelta(days=7)
TRAP = "website"
"""The name of the field that people do not see; who fills it is a program."""

_SALT = "envol sign-up form"


# -- what the page carries ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """What a visitor had before her eyes: which words, when (pasted HTML does not know when)."""

    texts: tuple[int, ...]
    at: datetime | None

    @property
    def pasted(self) -> bool:
        return self.at is None


def stamp(form: SignupForm, texts: Sequence[PurposeText], at: datetime | None) -> str:
    """Goes with the form and comes back: the versions shown cannot be exchanged, nor the clock turned."""
    seconds = None if at is None else int(at.timestamp())
    facts = {"f": form.pk, "t": [text.pk for text in texts], "s": seconds}
    return signing.Signer(salt=_SALT).sign_object(facts)


def read_stamp(form: SignupForm, value: str) -> Shown | None:
    """None when it is not ours or of another form."""
    try:
        facts = signing.Signer(salt=_SALT).unsign_object(value[:2000])
    except (signing.BadSignature, ValueError):
        return None
    if facts.get("f") != form.pk:
        return None
    seconds = facts["s"]
    return Shown(tuple(facts["t"]), None if seconds is None else datetime.fromtimestamp(seconds, UTC))


# -- what was written --------------------------------------------------------------------------


@dataclass(slots=True)
class Written:
    """A form as it came: what may be kept, and by field what is wrong (a code; the page has the words)."""

    email: str
    email_key: str
    values: dict[str, Any]
    texts: list[PurposeText]
    wrong: dict[str, str]
    of_age: int | None = None
    parent: str = ""


def read(form: SignupForm, shown: Shown, posted: Mapping[str, Sequence[str]]) -> Written:
    """Check what was posted: the address, each field in its catalogue's form, the boxes."""
    wrong: dict[str, str] = {}
    raw = _first(posted, "email")
    email = key = ""
    try:
        address = normalise(raw)
        email, key = address.written, address.key
    except AddressError:
        wrong["email"] = "email_needed" if not raw else "email_wrong"
    values = {}
    known = catalogue.of(form.workspace)
    for field in form.fields:
        prop = known.get(field["key"])
        if prop is None or prop.sensitive:
            continue
        given = [part for part in posted.get(f"field_{prop.key}", ()) if part.strip()]
        if not given:
            if must(field):
                wrong[f"field_{prop.key}"] = "field_needed"
            continue
        try:
            values[prop.key] = _canonical(prop, given)
        except ValueError:
            wrong[f"field_{prop.key}"] = "date_wrong" if prop.type == PropertyType.DATE else "field_wrong"
    ticked = {int(n) for n in posted.get("agree", ()) if n.isascii() and n.isdigit() and len(n) < 18}
    texts = [t for t in shown_texts(form, shown) if t.pk in ticked]
    if not any(t.purpose.kind == "marketing" for t in texts):
        wrong["agree"] = "agree_needed"
    made = Written(email, key, values, texts, wrong)
    if form.asks_age:
        _age(form, posted, made)
    return made


def _age(form: SignupForm, posted: Mapping[str, Sequence[str]], made: Written) -> None:
    """Old enough to agree alone? Who is younger names a parent, who is asked too; else nothing of hers is kept."""
    said, limit = _first(posted, "age"), ages.limit(form.workspace)
    born, since = made.values.get("birth_date"), ages.of_age_since(limit, form.workspace.today()).isoformat()
    if said not in ("older", "younger"):
        made.wrong["age"] = "age_needed"
    elif said == "older" and not (isinstance(born, str) and born > since):
        made.of_age = limit
    elif not (written := _first(posted, "parent")):
        made.wrong["age"] = "age_young"
    else:
        try:
            made.parent = normalise(written).key
        except AddressError:
            made.wrong["age"] = "parent_wrong"
        if made.parent and made.parent == made.email_key:
            made.wrong["age"] = "parent_same"


def _first(posted: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(posted.get(name, ())), "").strip()


def _canonical(prop: Property, given: list[str]) -> Any:
    if prop.type == PropertyType.LIST:
        return catalogue.canonical(prop, given)
    if len(given[0]) > 200:
        raise ValueError("Too long for a form.")
    return catalogue.canonical(prop, given[0])


def shown_texts(form: SignupForm, shown: Shown) -> list[PurposeText]:
    """The very versions that stood on the page, in its order."""
    found = PurposeText.objects.select_related("purpose").filter(
        pk__in=shown.texts, purpose__workspace_id=form.workspace.pk
    )
    by_id = {text.pk: text for text in found}
    return [by_id[pk] for pk in shown.texts if pk in by_id]


# -- asking ------------------------------------------------------------------------------------


def too_fast(form: SignupForm, shown: Shown, now: datetime | None = None) -> bool:
    if shown.at is None:
        return False
    return (now or timezone.now()) - shown.at < timedelta(seconds=form.min_seconds)


def ask(
    form: SignupForm,
    written: Written,
    shown: Shown,
    *,
    client: str,
    language: str,
    now: datetime | None = None,
    mailing_list: tuple[int, str] | None = None,
) -> str:
    """Keep a request and have the confirmation mailed; the limit that held it back, or "".

    ``mailing_list``: its number and title when she asked by a mail to it.

    The answer to the visitor does not depend on what this returns. Nothing here looks at who is known or
    suppressed: the courier asks that before a message leaves. Over a limit the same rows are written, and taken back.
    """
    now = now or timezone.now()
    address, network = limits.address_digest(written.email_key), limits.network_digest(client)
    secret = secrets.token_urlsafe(24)
    with transaction.atomic():
        limits.lock(address, network, form)
        held = limits.reached(address, network, form, now)
        kept = transaction.savepoint()
        SignupRequest.objects.create(
            form=form,
            workspace_id=form.workspace.pk,
            secret_sha256=_digest(secret),
            email=written.email,
            email_key=written.email_key,
            language=language,
            values=written.values,
            texts=[text.pk for text in written.texts],
            of_age=written.of_age,
            parent=written.parent,
            pasted=shown.pasted,
            mailing_list_id=mailing_list[0] if mailing_list else None,
            asked_at=now,
            expires_at=now + VALID,
        )
        purposes, title = [text.purpose for text in written.texts], mailing_list[1] if mailing_list else ""
        mail.confirmation(form, written.email, secret, purposes, language, mailing_list=title)
        if held:
            transaction.savepoint_rollback(kept)
        else:
            transaction.savepoint_commit(kept)
        limits.note(address, network, form, now, mailed=not held)
        _count(form, now, held=1) if held else _count(form, now, asked=1)
    return held


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _count(form: SignupForm, now: datetime, *, asked: int = 0, confirmed: int = 0, held: int = 0) -> None:
    execute(
        "INSERT INTO collect_day AS d (form_id, day, asked, confirmed, held) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (form_id, day) DO UPDATE SET asked = d.asked + excluded.asked,"
        " confirmed = d.confirmed + excluded.confirmed, held = d.held + excluded.held",
        [form.pk, now.astimezone(UTC).date(), asked, confirmed, held],
    )


# -- confirming --------------------------------------------------------------------------------


def find(form: SignupForm, secret: str, now: datetime | None = None) -> SignupRequest | None:
    """The request a link belongs to; None when it is not ours, of another form, or its 7 days are over."""
    digest = _digest(secret[:200])
    found = SignupRequest.objects.filter(Q(secret_sha256=digest) | Q(parent_sha256=digest), form=form).first()
    return found if found is not None and found.expires_at > (now or timezone.now()) else None


def by_parent(request: SignupRequest, secret: str) -> bool:
    """Is this the link that a parent got?"""
    return request.parent_sha256 is not None and bytes(request.parent_sha256) == _digest(secret[:200])


def ask_parent(request: SignupRequest, *, client: str, now: datetime | None = None) -> bool:
    """She confirmed from her mailbox: her parent is asked, once. False when a limit held that back."""
    now = now or timezone.now()
    address, network = limits.address_digest(request.parent), limits.network_digest(client)
    secret = secrets.token_urlsafe(24)
    with transaction.atomic():
        limits.lock(address, network, request.form)
        held = SignupRequest.objects.select_for_update(of=("self",)).filter(pk=request.pk, confirmed_at=None).first()
        if held is None or held.parent_sha256 is not None:
            return True
        if limits.reached(address, network, request.form, now):
            return False
        SignupRequest.objects.filter(pk=held.pk).update(parent_sha256=_digest(secret), expires_at=now + VALID)
        purposes = [text.purpose for text in asked_texts(held)]
        mail.confirmation(request.form, held.parent, secret, purposes, held.language, child=held.email)
        limits.note(address, network, request.form, now, mailed=True)
    return True


def asked_texts(request: SignupRequest) -> list[PurposeText]:
    found = {text.pk: text for text in PurposeText.objects.select_related("purpose").filter(pk__in=request.texts)}
    return [found[pk] for pk in request.texts if pk in found]


def confirm(
    request: SignupRequest, *, page: str, parental: bool = False, now: datetime | None = None
) -> Contact | None:
    """She pressed the button: take her in, join the list, record what she agreed to; twice is the same as once.

    ``parental``: of who is too young to agree alone a parent pressed it, by the link of `ask_parent`; nobody else can.

    ``page`` is the address of the form, for the proof. None when the request is gone or over, or when she was
    confirmed before and had her data erased since.
    """
    now = now or timezone.now()
    with transaction.atomic():
        held = (
            SignupRequest.objects.select_for_update(of=("self",))
            .select_related("form__workspace", "form__list")
            .filter(pk=request.pk, expires_at__gt=now)
            .first()
        )
        if held is None or (held.parent and not parental):
            return None
        if held.confirmed_at is not None:
            return Contact.objects.filter(pk=held.contact_id or 0, workspace_id=held.workspace_id).first()
        # Before the contact's row, as everybody who answers does: two acts of one person must not wait crosswise.
        ledger.lock(held.workspace_id)
        form = held.form
        source = people.source(form.workspace, "form", f"{form.list.name}", actor=f"sign-up {form.pk}")
        contact = people.upsert(
            form.workspace,
            held.email,
            _still_valid(form, held.values),
            source=source,
            lists=[form.list],
            language=held.language,
        )
        policies.accept(held.workspace_id, contact.pk)
        for text in asked_texts(held):
            _agree(held, contact, text, page, now)
        SignupRequest.objects.filter(pk=held.pk).update(
            confirmed_at=now, contact_id=contact.pk, email="", email_key="", values={}, parent=""
        )
        _count(form, now, confirmed=1)
    contact.refresh_from_db()
    return contact


def _still_valid(form: SignupForm, values: Mapping[str, Any]) -> dict[str, Any]:
    """The catalogue may have changed in seven days: what no longer fits is left out, the person is not."""
    known = catalogue.of(form.workspace)
    kept = {}
    for key, value in values.items():
        try:
            kept.update(catalogue.clean(known, {key: value}))
        except ValueError:
            continue
    return kept


def _agree(request: SignupRequest, contact: Contact, text: PurposeText, page: str, now: datetime) -> None:
    purpose: Purpose = text.purpose
    evidence = _evidence(request, text, page)
    asked = f"sign-up {request.form.pk}/{request.pk}; asked {_utc(request.asked_at)}"
    present = Permission.objects.filter(contact_id=contact.pk, purpose_id=purpose.pk, until=None).first()
    if present is None or present.state != "granted":
        line = ledger.Line(contact.pk, purpose.pk, "requested", "consent", request.asked_at, evidence.pk, asked)
        ledger.append(request.workspace_id, [line])
    acts.grant(
        request.workspace_id,
        contact.pk,
        contact.email_key,
        purpose,
        proof_of=evidence,
        since=now,
        proof=f"{asked}; confirmed {_utc(now)}" + ("; by a parent" if request.parent else ""),
        own_act=True,
    )
    events.record(
        [
            NewEvent(
                request.workspace_id,
                Kind.PERMISSION,
                contact.pk,
                facts={"purpose": purpose.key, "state": "granted", "via": "form"},
            )
        ]
    )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _evidence(request: SignupRequest, text: PurposeText, page: str) -> Evidence:
    """One row for each form and version of its words, not one for each person."""
    by_mail = {"mailing_list": request.mailing_list_id} if request.mailing_list_id else {}
    place = "mail_to_list" if by_mail else "pasted_form" if request.pasted else "hosted_page"
    return Evidence.objects.get_or_create(
        workspace_id=request.workspace_id,
        strength=Strength.LINE,
        source=(request.form.words.get(request.language, {}).get("title") or request.form.list.name)[:200],
        text=text,
        facts={
            "form": request.form.pk,
            "page": page,
            "place": place,
            # Who wrote a mail read the words on the page of its confirmation, above the button.
            "mechanism": "mail_and_button" if by_mail else "unticked_box",
            "double_opt_in": True,
            "actor": "person",
            "channel": "email",
            **policies.notice_shown(request.workspace_id, request.asked_at),
            **_age_facts(request),
            **by_mail,
        },
    )[0]


def _age_facts(request: SignupRequest) -> dict[str, str]:
    if request.parent:
        return {"age": "declared: younger", ages.PARENT: "agreed by a link to a mailbox of her own"}
    return {"age": f"declared: {request.of_age} or older"} if request.of_age else {}


_PROOF = re.compile(r"sign-up \d+/\d+; asked (\S+?)(?:; confirmed (\S+?))?(?:; by a parent)?")


def read_proof(proof: str) -> tuple[datetime, datetime | None] | None:
    """When she asked and when she confirmed, from the line of a sign-up; None for other proofs."""
    found = _PROOF.fullmatch(proof)
    if not found:
        return None
    asked, confirmed = (datetime.fromisoformat(part) if part else None for part in found.groups())
    assert asked is not None
    return asked, confirmed


# -- house -------------------------------------------------------------------------------------


def sweep(now: datetime | None = None) -> dict[str, int]:
    """Forget what was never confirmed, after 7 days, and what the limits no longer need."""
    now = now or timezone.now()
    gone = SignupRequest.objects.filter(expires_at__lte=now).delete()[0]
    return {"requests": gone, "attempts": limits.sweep(now)}


def figures(form_ids: Sequence[int], since: datetime | None = None) -> dict[int, dict[str, int]]:
    """Asked, confirmed and held by form; sums that outlive the requests."""
    from django.db.models import Sum

    found = Day.objects.filter(form_id__in=form_ids)
    if since is not None:
        found = found.filter(day__gte=since.astimezone(UTC).date())
    return {
        row["form_id"]: {name: row[name] or 0 for name in ("asked", "confirmed", "held")}
        for row in found.values("form_id").annotate(
            asked=Sum(F("asked")), confirmed=Sum(F("confirmed")), held=Sum(F("held"))
        )
    }


def old_words(form: SignupForm) -> int:
    """How many requests of the last days came by pasted HTML with words that are no longer in force."""
    now = {text.pk for code in form.languages for text in texts_of(form, code)}
    asked = SignupRequest.objects.filter(form=form, pasted=True).order_by("-id").values_list("texts", flat=True)[:1000]
    return sum(1 for texts in asked if not set(texts) <= now)


def requests_open(workspace_id: int, now: datetime | None = None) -> QuerySet[SignupRequest]:
    """Who asked and has not confirmed yet; a request that nobody confirms is gone after a week."""
    return SignupRequest.objects.filter(
        workspace_id=workspace_id, confirmed_at=None, expires_at__gt=now or timezone.now()
    )


def requests_for(purpose: Purpose, now: datetime | None = None) -> QuerySet[SignupRequest]:
    """Those of them who ticked words of this purpose."""
    texts = PurposeText.objects.filter(purpose=purpose).values_list("pk", flat=True)
    ticked = Q(pk__in=[])
    for text in texts:
        ticked |= Q(texts__contains=[text])
    return requests_open(purpose.workspace.pk, now).filter(ticked)


def waiting(workspace_id: int, now: datetime | None = None) -> dict[int, int]:
    """How many people have asked and not yet confirmed, by purpose."""
    counts: dict[int, int] = {}
    purpose_of = dict(PurposeText.objects.filter(purpose__workspace_id=workspace_id).values_list("pk", "purpose_id"))
    for texts in requests_open(workspace_id, now).values_list("texts", flat=True).iterator():
        for pk in {purpose_of[text] for text in texts if text in purpose_of}:
            counts[pk] = counts.get(pk, 0) + 1
    return counts
