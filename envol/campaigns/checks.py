"""What would stop a campaign or spoil it, said before anything is sent."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone, translation

from envol.audience import counting, engine
from envol.audience.catalogue import Catalogue
from envol.audience.days import Days
from envol.audience.language import EVERYBODY, SegmentProblem, parse, to_json
from envol.campaigns import check_asking, check_law, choosing
from envol.campaigns import check_messages as messages
from envol.campaigns.check import ADVICE, BLOCK, GROUPS, Check
from envol.campaigns.models import Campaign, ContentDraft, State
from envol.consent import gates
from envol.consent.purposes import UNSENT
from envol.contacts.models import Contact
from envol.content.checks import Replaced, people_with_fallback, people_without_value
from envol.content.lint import lint
from envol.content.models import Version
from envol.db import TooSlow, is_large, within
from envol.outbound import control, domains, fraud_words
from envol.outbound.models import Domain, Sending
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.fraud import ALLOW, REFUSE, Verdict

__all__ = ["ADVICE", "BLOCK", "GROUPS", "Check"]
LATE = timedelta(hours=1)
KINDS = ("campaign", "resend")


@dataclass(frozen=True, slots=True)
class Summary:
    """Who would get it: ``chosen`` by the audience, ``allowed`` by the gate, the others by reason."""

    chosen: int
    allowed: int
    excluded: dict[str, int]


def latest_version(campaign: Campaign) -> Version | None:
    """The version that would be sent now."""
    if campaign.template is None:
        return None
    return Version.objects.filter(template=campaign.template).order_by("-no").first()


def _informs(campaign: Campaign) -> list[int]:
    version = latest_version(campaign)
    return list(version.informs) if version is not None else []


def latest_sending(campaign: Campaign) -> Sending | None:
    return Sending.objects.filter(campaign_id=campaign.pk, kind__in=KINDS).order_by("-id").first()


def tree_of(campaign: Campaign, catalogue: Catalogue | None = None, *, freeze: bool = False) -> dict[str, Any]:
    """The audience as a tree; ``freeze`` writes inner segments out. Raises SegmentProblem."""
    tree = campaign.segment.whole if campaign.segment else EVERYBODY
    return to_json(parse(tree, catalogue or Catalogue(campaign.workspace)), freeze=freeze)


def summary(campaign: Campaign, seconds: float | None = None, catalogue: Catalogue | None = None) -> Summary:
    """How many people are chosen, allowed, left out and why. One question. Raises SegmentProblem, TooSlow."""
    catalogue = catalogue or Catalogue(campaign.workspace)
    tree = tree_of(campaign, catalogue)
    patience = counting.CEILING if seconds is None else seconds
    begun = time.monotonic()
    found = counting.told_by_columns(catalogue, tree, campaign.purpose, patience)
    if found is None and seconds is not None and time.monotonic() - begun > seconds / 2:
        raise TooSlow  # columns had the time there was; PostgreSQL would need more
    if campaign.purpose is None:
        chosen = engine.count(catalogue, tree) if found is None else sum(found.values())
        return Summary(chosen, 0, {gates.NO_PERMISSION: chosen} if chosen else {})
    if found is None:
        found = engine.by_reason(catalogue, tree, campaign.purpose)
    if barred := choosing.barred(catalogue, tree, campaign.purpose, _informs(campaign), campaign.offer):
        found[""] = found.get("", 0) - sum(barred.values())
        found |= barred
    return Summary(sum(found.values()), found.pop("", 0), dict(sorted(found.items(), key=lambda item: -item[1])))


def refusal_sql(campaign: Campaign, catalogue: Catalogue | None = None) -> str:
    """SQL over a contact ``c``: why she would not get it, NULL when she would: all the gates that an expansion asks.

    Raises SegmentProblem."""
    assert campaign.purpose is not None
    catalogue = catalogue or Catalogue(campaign.workspace)
    asked = choosing.unserved(catalogue, tree_of(campaign, catalogue), campaign.purpose)
    return choosing.refusal_sql(campaign.purpose, asked, _informs(campaign), campaign.offer)


def allowed_ids(campaign: Campaign, catalogue: Catalogue | None = None) -> tuple[str, dict[str, Any]]:
    """A SELECT of the ids of those who would get it, with its parameters."""
    catalogue = catalogue or Catalogue(campaign.workspace)
    query, params = engine.ids_sql(catalogue, tree_of(campaign, catalogue))
    refusal = refusal_sql(campaign, catalogue)
    joined = f"SELECT c.id FROM ({query}) s JOIN contacts_contact c ON c.id = s.id WHERE ({refusal}) IS NULL"
    return joined, params


def late(sending: Sending, now: datetime | None = None) -> bool:
    """Was it due so long ago (the installation was down) that somebody must confirm it first?"""
    return sending.state == State.SCHEDULED and (now or timezone.now()) - sending.not_before > LATE


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, and who would get it; ``complete`` is False where that was not known in the time given."""

    checks: list[Check]
    who: Summary | None
    complete: bool = True


def look(campaign: Campaign, seconds: float | None = None, catalogue: Catalogue | None = None) -> Look:
    """Everything that would stop this campaign (first) or spoil it. The catalogue is that of its workspace.

    With ``seconds``, what the people say is left out where asking a large base takes longer, all questions together.
    """
    patient = seconds is None or not is_large(Contact._meta.db_table)
    begun = time.monotonic()
    catalogue = catalogue or Catalogue(campaign.workspace)

    def in_time() -> AbstractContextManager[None]:
        return nullcontext() if patient else within((seconds or 0) - (time.monotonic() - begun))

    who: Summary | None = None
    audience: list[Check] = []
    missing: list[Check] = []
    complete = True
    try:
        with in_time(), suppress(SegmentProblem):  # the problem is told by the audience
            who = summary(campaign, seconds, catalogue)
        with in_time():
            audience = check_asking.check(campaign, latest_version) or _audience(campaign, who, catalogue)
        with in_time():
            missing = [*_chosen_by(campaign, catalogue, who), *_missing_of(campaign, catalogue)]
    except TooSlow:
        who, complete = None, False
    found = [
        *audience,
        *_sender(campaign),
        *_public_address(),
        *check_law.transfer(campaign),
        *check_law.consultation(campaign),
        *_content(campaign),
        *_control(campaign),
    ]
    found += [*missing, *_late(campaign)]
    return Look(sorted(found, key=lambda c: c.level != BLOCK), who, complete)


def check(campaign: Campaign) -> list[Check]:
    """Everything that would stop this campaign (first) or spoil it."""
    return look(campaign).checks


def sender_and_content(campaign: Campaign) -> list[Check]:
    """What a test message needs."""
    return [
        *_sender(campaign),
        *_content(campaign),
        *_missing_of(campaign, Catalogue(campaign.workspace)),
        *_control(campaign),
    ]


def verdict(campaign: Campaign) -> Verdict | None:
    """What outgoing control says of the version that would be sent now; None where there is none, or no sender."""
    version = latest_version(campaign)
    if version is None or "@" not in campaign.from_address:
        return None
    sender = (campaign.from_name, campaign.from_address)
    return control.examine_version(campaign.workspace.pk, sender, campaign.reply_to, version)


def _control(campaign: Campaign) -> list[Check]:
    found = verdict(campaign)
    if found is None or found.action == ALLOW:
        return []
    why = {}
    for language in ("fr", "en"):
        with translation.override(language):
            why[language] = " ; ".join(fraud_words.said(reason.rule, reason.what) for reason in found.reasons[:4])
    fr, en = why["fr"].replace(" ; ", "\u202f; "), why["en"].replace(" ; ", "; ")
    if found.action == REFUSE:
        return [
            Check(
                BLOCK,
                "fraud",
                f"Ce message ressemble à une fraude et ne partira pas\u202f; corrigez-le\u202f: {fr}.",
                f"This message looks like fraud and will not leave; mend it: {en}.",
                "content",
            )
        ]
    return [
        Check(
            ADVICE,
            "suspicious",
            f"Ce message ressemble à une fraude\u202f: l’envoi sera retenu jusqu’à son examen par l’équipe. {fr}.",
            f"This message looks like fraud: the sending will be held until somebody of the team looked at it. {en}.",
            "content",
        )
    ]


def _audience(campaign: Campaign, who: Summary | None, catalogue: Catalogue) -> list[Check]:
    purpose = campaign.purpose
    if purpose is None or purpose.kind == "measuring" or purpose.key in UNSENT:
        return [
            Check(
                BLOCK,
                "no_purpose",
                "Choisissez la finalité de cette campagne\u202f: elle décide à qui l’on peut écrire.",
                "Choose the purpose of this campaign: it decides who may be written to.",
                "audience",
            )
        ]
    try:
        who = who or summary(campaign, None, catalogue)
    except SegmentProblem as problem:
        sentence = " ".join(p.sentence for p in problem.problems[:3])
        return [
            Check(
                BLOCK,
                "segment",
                f"Le segment ne peut pas être utilisé\u202f; corrigez-le\u202f: {sentence}",
                f"The segment cannot be used; mend it: {sentence}",
                "audience",
            )
        ]
    if who.allowed:
        return []
    facts: dict[str, Any] = {"chosen": who.chosen, "excluded": who.excluded}
    if who.chosen:
        fr = f"Personne ne recevrait ce message\u202f: {who.chosen} choisies, aucune à qui l’on puisse écrire."
        en = f"Nobody would get this message: none of the {who.chosen} chosen people may be written to."
        return [Check(BLOCK, "nobody", fr, en, "audience", facts)]
    fr = "L’audience est vide\u202f: changez le segment ou importez des contacts."
    return [
        Check(BLOCK, "nobody", fr, "The audience is empty: change the segment or import contacts.", "audience", facts)
    ]


def _sender(campaign: Campaign) -> list[Check]:
    found: list[Check] = []
    workspace = campaign.workspace
    try:
        normalise(campaign.from_address)
    except AddressError:
        return [
            Check(
                BLOCK,
                "no_sender",
                "Indiquez l’adresse de l’expéditeur.",
                "Say which address the campaign comes from.",
                "sender",
            )
        ]
    name = domain_of(campaign.from_address)
    if not Domain.objects.filter(workspace=workspace, name=name).exists():
        found.append(
            Check(
                BLOCK,
                "domain_unknown",
                f"Le domaine {name} n’est pas déclaré\u202f: ajoutez-le avant d’écrire en son nom.",
                f"The domain {name} is not declared: add it before you write in its name.",
                "domains",
                {"domain": name},
            )
        )
    else:
        ok, sentence = domains.may_send_from(workspace.id, campaign.from_address)
        if not ok:
            fr = f"Le domaine {name} n’est pas prêt\u202f: publiez ses enregistrements DNS, puis vérifiez-le."
            found.append(Check(BLOCK, "domain_unchecked", fr, sentence, "domains", {"domain": name}))
    if campaign.reply_to:
        try:
            normalise(campaign.reply_to)
        except AddressError as error:
            fr = f"L’adresse de réponse {campaign.reply_to} ne peut pas servir\u202f; corrigez-la."
            found.append(Check(BLOCK, "reply_to", fr, str(error), "sender"))
    if not campaign.from_name:
        found.append(
            Check(
                ADVICE,
                "no_sender_name",
                "Ajoutez le nom de l’expéditeur\u202f: sans lui, on ne voit que l’adresse.",
                "Add the name of the sender: without it people see the bare address.",
                "sender",
            )
        )
    if not workspace.postal_address.strip():
        # Who promotes says who they are and where they are reached (CPCE L34-5; directive 2000/31 art. 5 and 6). While
        # nothing leaves the machine it is a trial.
        promotes = settings.ENVOL.route != "local" and (
            campaign.purpose is None or campaign.purpose.kind == "marketing"
        )
        found.append(
            Check(
                BLOCK if promotes else ADVICE,
                "no_postal_address",
                "Ajoutez l’adresse postale de l’organisation\u202f: un message commercial dit d’où il vient.",
                "Add the organisation’s postal address: a commercial message says where it comes from.",
                "settings",
            )
        )
    return found


def _public_address() -> list[Check]:
    """Links, pictures and the way out of a message lead to our own address: others must reach it, by https."""
    config = settings.ENVOL
    address = urlsplit(config.base_url)
    if config.route == "local" or (address.scheme == "https" and address.hostname != "localhost"):
        return []
    if address.hostname == "localhost":
        # A relay of the same machine may be a trial; what goes to the world's mailboxes is none.
        return [
            Check(
                BLOCK if config.route == "direct" else ADVICE,
                "no_public_url",
                f"Les liens mèneraient à {config.base_url}, que personne d’autre n’atteint\u202f: réglez public_url.",
                f"Links would lead to {config.base_url}, which nobody else can reach: set public_url.",
                "settings",
            )
        ]
    return [
        Check(
            BLOCK,
            "public_url_not_https",
            f"Le désabonnement en un clic exige https (RFC 8058)\u202f: réglez public_url ({config.base_url}).",
            f"Unsubscribing by one click needs https (RFC 8058): set public_url ({config.base_url}).",
            "settings",
        )
    ]


def _content(campaign: Campaign) -> list[Check]:
    version = latest_version(campaign)
    if version is None:
        return [
            Check(BLOCK, "no_content", "Choisissez un modèle.", "Choose a template.", "content"),
        ]
    found: list[Check] = []
    if not version.html and not version.text:
        found.append(
            Check(
                BLOCK,
                "not_compiled",
                "Le modèle n’a pas de contenu\u202f: enregistrez-le de nouveau.",
                "The template has no content: save it again.",
                "content",
            )
        )
    if not version.subject.strip():
        found.append(Check(BLOCK, "no_subject", "Écrivez un objet.", "Write a subject.", "content"))
    marketing = campaign.purpose is None or campaign.purpose.kind != "transactional"
    parts = [part for part in (version.html, version.text) if part]
    if marketing and parts and not all("unsubscribe_url" in part for part in parts):
        found.append(
            Check(
                BLOCK,
                "no_unsubscribe",
                "Il manque le lien de désabonnement\u202f: enregistrez le modèle de nouveau, il sera ajouté.",
                "The unsubscribe link is missing: save the template again and it is added.",
                "content",
            )
        )
    if not version.text.strip():
        found.append(
            Check(
                ADVICE,
                "no_text",
                "Ajoutez une version texte\u202f: certaines personnes ne lisent que celle-ci.",
                "Add a text part: some people read nothing else.",
                "content",
            )
        )
    found += messages.of_lint(lint(version, own_host=_own_host(), strict=settings.ENVOL.route != "local"))
    found += messages.of_design(version)
    if ContentDraft.objects.filter(campaign=campaign).exists():
        fr = "Le contenu a un brouillon qui n’a pas été enregistré\u202f: enregistrez-le, ou jetez-le."
        en = "The content has a draft that was not saved: save it, or throw it away."
        found.append(Check(BLOCK, "unsaved_draft", fr, en, "content"))
    return found


def _chosen_by(campaign: Campaign, catalogue: Catalogue, who: Summary | None) -> list[Check]:
    if who is None or campaign.purpose is None:
        return []
    found = []
    if n := who.excluded.get(gates.NOT_SERVED, 0):
        found.append(choosing.told(choosing.unserved(catalogue, tree_of(campaign, catalogue), campaign.purpose), n))
    if n := who.excluded.get(gates.OTHER_PRODUCTS, 0):
        found.append(choosing.other_products(campaign.offer, n))
    if n := who.excluded.get(gates.TOO_YOUNG, 0):
        found.append(choosing.too_young(n))
    if n := who.excluded.get(gates.NOT_TOLD, 0):
        from envol.campaigns import origins

        found.append(origins.told(campaign, n))
    return found


def _missing_of(campaign: Campaign, catalogue: Catalogue) -> list[Check]:
    version = latest_version(campaign)
    return [] if version is None or campaign.purpose is None else _missing(campaign, version, catalogue)


def _own_host() -> str:
    return urlsplit(settings.ENVOL.base_url).hostname or ""


def _missing(campaign: Campaign, version: Version, catalogue: Catalogue) -> list[Check]:
    try:
        query, params = allowed_ids(campaign, catalogue)
    except SegmentProblem:
        return []  # told by the audience
    found = []
    # Whoever is written to for it allowed it, or it needs nobody's leave.
    allowed = 1 << campaign.purpose.bit if campaign.purpose is not None else 0
    for name, missing in people_without_value(version, query, params, allowed=allowed).items():
        n = missing.people
        fr = (
            f"{n} personne{'s' if n > 1 else ''} n’{'ont' if n > 1 else 'a'} pas de valeur pour «\u202f{name}\u202f»"
            "\u202f: donnez un texte de remplacement, ou changez l’audience."
        )
        en = (
            f"{n} {'people have' if n > 1 else 'person has'} no value for “{name}”: give a fallback text, or change"
            " the audience."
        )
        facts = {"variable": name, "people": n, "sample": missing.sample}
        found.append(Check(BLOCK, "missing_values", fr, en, "content", facts))
    # That nothing is known of somebody is what a fallback is for: told only where a value is kept from being shown.
    for name, replaced in people_with_fallback(version, query, params, allowed=allowed).items():
        found.append(_fallback(name, replaced))
    return found


def _fallback(name: str, replaced: Replaced) -> Check:
    """How many read the fallback, and whether that is for want of a value or of her leave to use it."""
    n, unknown, barred = replaced.people, replaced.unknown, replaced.not_allowed
    why_fr, why_en = [], []
    if unknown:
        why_fr.append(f"nous n’en savons rien pour {unknown}")
        why_en.append(f"nothing is known of {unknown}")
    if barred:
        why_fr.append(f"{barred} n’{'ont' if barred > 1 else 'a'} pas accepté cet usage")
        why_en.append(f"{barred} did not accept this use")
    fr = (
        f"{n} personne{'s' if n > 1 else ''} lir{'ont' if n > 1 else 'a'} le texte de remplacement de"
        f" «\u202f{name}\u202f»\u202f: {', '.join(why_fr)}."
    )
    en = f"{n} {'people' if n > 1 else 'person'} will read the fallback of “{name}”: {', '.join(why_en)}."
    facts = {"variable": name, "people": n, "unknown": unknown, "not_allowed": barred, "sample": replaced.sample}
    return Check(ADVICE, "fallback", fr, en, "content", facts)


def _late(campaign: Campaign) -> list[Check]:
    sending = latest_sending(campaign)
    if sending is None or not late(sending):
        return []
    days = Days.of(sending.not_before, campaign.workspace.time_zone)
    due = f"{sending.not_before.astimezone(days.zone):%Y-%m-%d %H:%M} ({days.zone.key})"
    return [
        Check(
            BLOCK,
            "late",
            f"L’envoi était prévu pour {due} et n’est pas parti\u202f: confirmez-le, ou reprenez-le.",
            f"This sending was due at {due} and did not start: confirm it, or take it back.",
            "send",
            {"due": sending.not_before.isoformat()},
        )
    ]


def take_back_seconds(campaign: Campaign, given: int | None = None) -> int:
    """How long a sending can be taken back: as asked, else the installation's word, else the workspace's."""
    if given is not None:
        return max(0, given)
    fixed = settings.ENVOL.take_back
    return fixed if fixed >= 0 else campaign.workspace.take_back_seconds
