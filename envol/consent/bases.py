"""On which ground somebody may be written to, and what each ground demands before it counts.

ePrivacy directive 2002/58 art. 13(1) and (2), GDPR art. 6(1) and 7(1), CPCE art. L34-5. A ground whose
conditions are not met grants nothing: the person may be stored, and is not mailable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from envol.consent.models import Basis, Strength


class Unmet(NamedTuple):
    """Why a ground does not count: a code for counters, and the sentence for people."""

    code: str
    fr: str
    en: str

    def sentence(self, language: str = "fr") -> str:
        return self.fr if language.startswith("fr") else self.en


# Mailboxes anybody opens for herself: no such address is a place of work.
_CONSUMER_DOMAINS = """
aim.com alice.it aliceadsl.fr aol.com aol.fr arcor.de bbox.fr bluewin.ch caramail.com club-internet.fr
cegetel.net email.cz email.de fastmail.com free.fr freenet.de gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.fr
gmx.net googlemail.com hey.com hotmail.be hotmail.co.uk hotmail.com hotmail.de hotmail.es hotmail.fr
hotmail.it hushmail.com icloud.com inbox.lv inbox.ru interia.pl laposte.net libero.it live.be live.co.uk
live.com live.fr live.it live.nl mac.com mail.com mail.de mail.ru mailbox.org mailo.com me.com msn.com
naver.com neuf.fr noos.fr numericable.fr o2.pl onet.pl orange.fr outlook.com outlook.de outlook.es outlook.fr
outlook.it posteo.de posteo.net proton.me protonmail.ch protonmail.com qq.com rambler.ru rocketmail.com
sapo.pt seznam.cz sfr.fr skynet.be t-online.de telenet.be tin.it tiscali.it tutanota.com tuta.io ukr.net
virgilio.it voila.fr wanadoo.fr web.de wp.pl yahoo.co.uk yahoo.com yahoo.de yahoo.es yahoo.fr yahoo.it
yandex.com yandex.ru ymail.com zoho.com 163.com 126.com
"""
FREE_MAIL = frozenset(_CONSUMER_DOMAINS.split())

_NO_EVIDENCE = Unmet(
    "no_evidence",
    "Sans preuve (par ligne, document ou déclaration d’un membre), la personne est gardée mais ne reçoit rien.",
    "Without any proof (per line, a document, or a member's statement) the person is stored but not mailable.",
)
_TOO_LITTLE = Unmet(
    "sale_incomplete",
    "Client existant : indiquez la référence et la date de la vente, la famille de produits, et que le refus"
    " a été proposé à la collecte.",
    "Existing customer: give reference and date of the sale, the product family, and that a refusal was"
    " offered when the address was collected.",
)
_SALE_DATE = Unmet(
    "sale_date",
    "Client existant : la date de la vente doit être un jour passé, écrit AAAA-MM-JJ.",
    "Existing customer: the date of the sale must be a past day, written YYYY-MM-DD.",
)
_OPT_OUT = Unmet(
    "no_opt_out_offered",
    "Client existant : le refus devait être proposé au moment de la collecte ; sinon, demandez un consentement.",
    "Existing customer: a refusal must have been offered when the address was collected; if not, ask for consent.",
)
_JOB = Unmet(
    "no_job_relation",
    "Contact professionnel : indiquez la fonction de la personne et le lien du message avec elle.",
    "Business contact: give the person's job and how the message relates to it.",
)
_FREE_MAIL = Unmet(
    "free_mail",
    "Contact professionnel : cette adresse est celle d’un fournisseur grand public, demandez un consentement.",
    "Business contact: this address belongs to a consumer mail provider; ask for consent.",
)
_CONTRACT_ONLY = Unmet(
    "not_a_contract",
    "Un contrat ne permet que les messages de service, jamais la prospection.",
    "A contract allows service messages only, never marketing.",
)
_CONSENT_ONLY = Unmet(
    "consent_only",
    "Mesurer individuellement demande le consentement de la personne.",
    "Individual measuring needs the person's consent.",
)
_UNKNOWN = Unmet("unknown_basis", "Cette base légale n’est pas connue.", "This legal basis is not known.")


def unmet(
    basis: str,
    purpose_kind: str,
    *,
    strength: str = Strength.NONE,
    facts: Mapping[str, Any] | None = None,
    email_key: str = "",
) -> Unmet | None:
    """What is missing for this ground to count for a purpose of this kind; None when nothing is.

    ``strength`` is that of the evidence. ``facts`` for customer: ``sale_ref``, ``sale_date``
    (YYYY-MM-DD), ``product_family``, ``optout_offered`` (true); for business: ``job_role``,
    ``relation_note``, unless the address is a company's general one (`generic`): no person is written to there whose
    profession it could concern. ``email_key`` is looked at for business contacts; leave it out to check what a whole
    file shares, then ask `free_mail` per line.
    """
    facts = facts or {}
    if basis not in Basis.values:
        return _UNKNOWN
    if purpose_kind == "measuring" and basis != Basis.CONSENT:
        return _CONSENT_ONLY
    if basis == Basis.TRANSACTIONAL:
        return None if purpose_kind == "transactional" else _CONTRACT_ONLY
    missing = None
    if basis == Basis.CUSTOMER:
        missing = _customer(facts)
    elif basis == Basis.BUSINESS:
        if not (_said(facts, "job_role") and _said(facts, "relation_note")) and not generic(email_key):
            missing = _JOB
        elif email_key and free_mail(email_key):
            missing = _FREE_MAIL
    if missing is None and (strength not in Strength.values or strength == Strength.NONE):
        return _NO_EVIDENCE
    return missing


def free_mail(email_key: str) -> bool:
    """Is this the mailbox of a consumer provider, which no business contact may have?"""
    return email_key.rpartition("@")[2] in FREE_MAIL


@cache
def generic_names() -> frozenset[str]:
    """What stands before the @ of general addresses, in small letters."""
    file = Path(__file__).parent / "data" / "generic.json"
    return frozenset(json.loads(file.read_text("utf-8"))["names"])


def generic(email_key: str) -> bool:
    """Is this the general address of a company, such as info@ or commandes@, and no person's?

    The rule of consent protects natural persons (CPCE art. L34-5), so a business may be written to there without one.
    Everything else holds: the sender is named, and each message can be unsubscribed from. At a consumer provider
    nobody knows whose address it is, so it counts as a person's.
    """
    name, _at, domain = email_key.rpartition("@")
    return bool(domain) and domain not in FREE_MAIL and name.partition("+")[0] in generic_names()


def _said(facts: Mapping[str, Any], key: str) -> bool:
    return bool(str(facts.get(key) or "").strip())


def _customer(facts: Mapping[str, Any]) -> Unmet | None:
    if facts.get("optout_offered") is not True:
        return _OPT_OUT
    if not all(_said(facts, key) for key in ("sale_ref", "sale_date", "product_family")):
        return _TOO_LITTLE
    try:
        sold = date.fromisoformat(str(facts["sale_date"]))
    except ValueError:
        return _SALE_DATE
    latest = (datetime.now(UTC) + timedelta(hours=14)).date()  # the day that has begun somewhere
    return _SALE_DATE if sold > latest else None
