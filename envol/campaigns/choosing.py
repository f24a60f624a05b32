"""The gates of a sending behind `gates.may_send`: what people may be chosen by, and how often they want to hear.

Whoever is chosen by a rule that reads a property of hers, and allowed none of the purposes which that property serves
(`audience.serving`), is left out of the sending with this reason. Beside it, who said that she wants to hear less often
is left out while that is so; who must first be told where her data came from, unless the message says it; and a
customer who bought something else than the message is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envol.audience import counting, engine
from envol.audience.catalogue import Catalogue
from envol.audience.serving import Unserved, barred_sql, unserved
from envol.campaigns.check import ADVICE, Check
from envol.consent import gates, similar
from envol.consent.models import Purpose
from envol.consent.similar import ANYTHING, Offer
from envol.contacts import beyond
from envol.db import rows
from envol.outbound import seldom

__all__ = ["Unserved", "barred", "barred_sql", "refusal_sql", "told", "unserved"]

MOST_BY_NUMBER = 10_000
"""So many who are too young, or bought something else, are asked for one by one; of more the whole audience is read."""


def refusal_sql(
    purpose: Purpose,
    found: list[Unserved],
    informs: Sequence[int] = (),
    offer: Offer = ANYTHING,
    *,
    one_by_one: bool = True,
    among: str = "",
) -> str:
    """`gates.refusal_sql` over ``c`` with these gates behind it: NULL when she may be written to and chosen.

    ``informs``: origins of data that the message names (`consent.informing`); ``offer``: what it is about
    (`consent.similar`); ``one_by_one``: also of whom few are found by number; ``among``: as there."""
    transactional = purpose.kind == "transactional"
    gate = gates.refusal_sql("c", bit=purpose.bit, transactional=transactional)
    more = [f"WHEN {barred_sql('c', found)} THEN '{gates.NOT_SERVED}'"] if found else []
    more += seldom.tests(purpose)
    more += beyond.tests("c", beyond.asked(purpose.pk), informs, offer, one_by_one=one_by_one, among=among)
    return beyond.behind(gate, more)


def _by_number(catalogue: Catalogue, purpose: Purpose, offer: Offer) -> list[int] | None:
    """Everybody who is too young to agree alone, parent or not (asked of columns, in milliseconds), and every customer
    who bought something else, in the audience or not; None: too many."""
    about = beyond.asked(purpose.pk)
    if not about.marketing:
        return []
    found: list[int] = []
    if about.born_since is not None:
        rule = {"field": f"prop.{beyond.BORN}", "op": "after", "value": about.born_since.isoformat()}
        found += counting.people(catalogue, {"v": 1, "match": "all", "rules": [rule]}, 0, MOST_BY_NUMBER + 1)
    if about.some_buy and len(found) <= MOST_BY_NUMBER:
        found += similar.unlike_ids(offer, purpose.pk, about.own, MOST_BY_NUMBER + 1)
    return found if len(found) <= MOST_BY_NUMBER else None


def barred(
    catalogue: Catalogue,
    tree: Mapping[str, Any],
    purpose: Purpose,
    informs: Sequence[int] = (),
    offer: Offer = ANYTHING,
) -> dict[str, int]:
    """How many who may be written to are left out by these gates, by reason; mostly nobody is asked."""
    found, few = unserved(catalogue, tree, purpose), None
    mine = [gates.NOT_SERVED, gates.TOO_OFTEN, gates.NOT_TOLD, gates.OTHER_PRODUCTS, gates.TOO_YOUNG]
    only = ""
    if not any(one in refusal_sql(purpose, found, informs, offer, one_by_one=False) for one in mine):
        few = _by_number(catalogue, purpose, offer)
        if few == []:
            return {}
        only = "" if few is None else " WHERE c.id = ANY(%(envol_few)s)"
    refusal = refusal_sql(purpose, found, informs, offer)
    query, params = engine.ids_sql(catalogue, dict(tree))
    counted = (
        f"SELECT reason, count(*) FROM (SELECT ({refusal}) AS reason FROM ({query}) s"
        f" JOIN contacts_contact c ON c.id = s.id{only}) judged WHERE reason = ANY(%(envol_why)s) GROUP BY 1"
    )
    return dict(rows(counted, {**params, "envol_why": mine, "envol_few": few}))


def too_young(n: int) -> Check:
    """That so many are left out because they are too young, said before the sending."""
    fr = (
        f"{n} personne{'s' if n > 1 else ''} ne recevr{'ont' if n > 1 else 'a'} pas ce message\u202f: trop jeune"
        f"{'s' if n > 1 else ''} pour accepter sans un parent (RGPD, article 8). L’accord d’un parent s’enregistre sur"
        " la page de la personne."
    )
    en = (
        f"{n} {'people' if n > 1 else 'person'} will not get this message: too young to agree without a parent (GDPR,"
        " article 8). A parent's agreement is recorded on the page of the person."
    )
    return Check(ADVICE, gates.TOO_YOUNG, fr, en, "audience", {"people": n})


def other_products(offer: Offer, n: int) -> Check:
    """That so many customers are left out because they bought something else, said before the sending."""
    fr = (
        f"{n} client{'s' if n > 1 else ''} ne recevr{'ont' if n > 1 else 'a'} pas ce message\u202f: sans consentement,"
        " on n’écrit à un client qu’au sujet de produits semblables du même vendeur (CPCE, article L34-5), et "
    )
    en = (
        f"{n} {'customers' if n > 1 else 'customer'} will not get this message: without a consent, customers are"
        " written to about similar products of the same seller only (directive 2002/58, article 13(2)), and "
    )
    if offer.family:
        about = ", ".join(part for part in offer if part)
        fr += f"celui-ci parle de «\u202f{about}\u202f». Écrivez-leur à part, ou demandez un consentement."
        en += f"this one is about “{about}”. Write to them apart, or ask for a consent."
    else:
        fr += "celui-ci ne dit pas de quoi il parle. Dites-le dans l’audience, ou demandez un consentement."
        en += "this one does not say what it is about. Say it in the audience, or ask for a consent."
    return Check(ADVICE, gates.OTHER_PRODUCTS, fr, en, "audience", {"people": n})


def told(found: list[Unserved], n: int) -> Check:
    """That so many are left out because of these properties, said before the sending."""
    names_fr = ", ".join(f"«\u202f{one.label_fr}\u202f»" for one in found)
    names_en = ", ".join(f"“{one.label_en}”" for one in found)
    fr = (
        f"{n} personne{'s' if n > 1 else ''} ne recevr{'ont' if n > 1 else 'a'} pas ce message\u202f: le segment lit"
        f" {names_fr}, et l’usage n’en a pas été accepté. Changez la règle, ou dites à quoi sert cette donnée."
    )
    en = (
        f"{n} {'people' if n > 1 else 'person'} will not get this message: the segment reads {names_en}, and that use"
        " was not accepted. Change the rule, or say what this property serves."
    )
    return Check(ADVICE, "not_served", fr, en, "audience", {"people": n, "properties": [one.key for one in found]})
