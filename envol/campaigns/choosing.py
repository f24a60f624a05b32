"""The gates of a sending behind `gates.may_send`: what people may be chosen by, and how often they want to hear.

Whoever is chosen by a rule that reads a property of hers, and allowed none of the purposes which that property serves
(`audience.serving`), is left out of the sending with this reason. Beside it, who said that she wants to hear less often
is left out while that is so; and who must first be told where her data came from, unless the message says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envol.audience import counting, engine
from envol.audience.catalogue import Catalogue
from envol.audience.serving import Unserved, barred_sql, unserved
from envol.campaigns.check import ADVICE, Check
from envol.consent import gates, restriction
from envol.consent.models import Purpose, Restriction
from envol.contacts import beyond
from envol.db import rows, sql

__all__ = ["Unserved", "barred", "barred_sql", "refusal_sql", "told", "unserved"]

MOST_YOUNG = 10_000
"""So many who are too young are asked for one by one; of more the whole audience is read."""


def refusal_sql(purpose: Purpose, found: list[Unserved], informs: Sequence[int] = (), *, ages_too: bool = True) -> str:
    """`gates.refusal_sql` over ``c`` with these gates behind it: NULL when she may be written to and chosen.

    ``informs``: origins of data that the message names (`consent.informing`)."""
    transactional = purpose.kind == "transactional"
    gate = gates.refusal_sql("c", bit=purpose.bit, transactional=transactional)
    more = [f"WHEN {barred_sql('c', found)} THEN '{gates.NOT_SERVED}'"] if found else []
    if not transactional and _some_seldom(purpose):
        more.append(f"WHEN {sql('campaigns', 'too_often')} THEN '{gates.TOO_OFTEN}'")
    more += beyond.tests("c", beyond.asked(purpose.pk), informs, ages_too=ages_too)
    return beyond.behind(gate, more)


def _too_young(catalogue: Catalogue, purpose: Purpose) -> list[int] | None:
    """Everybody who is too young to agree alone, parent or not: asked of columns, in milliseconds; None: too many."""
    about = beyond.asked(purpose.pk)
    if about.born_since is None or not about.marketing:
        return []
    rule = {"field": f"prop.{beyond.BORN}", "op": "after", "value": about.born_since.isoformat()}
    found = counting.people(catalogue, {"v": 1, "match": "all", "rules": [rule]}, 0, MOST_YOUNG + 1)
    return found if len(found) <= MOST_YOUNG else None


def _some_seldom(purpose: Purpose) -> bool:
    """Did anybody say how often she wants to hear at most? Mostly nobody did, and nobody is asked."""
    mine = Restriction.objects.filter(workspace_id=purpose.workspace_id, until=None)
    return mine.filter(scope__in=restriction.FREQUENCIES).exists()


def barred(
    catalogue: Catalogue, tree: Mapping[str, Any], purpose: Purpose, informs: Sequence[int] = ()
) -> dict[str, int]:
    """How many who may be written to are left out by these gates, by reason; mostly nobody is asked."""
    found, young = unserved(catalogue, tree, purpose), None
    mine = [gates.NOT_SERVED, gates.TOO_OFTEN, gates.NOT_TOLD, gates.TOO_YOUNG]
    only = ""
    if not any(one in refusal_sql(purpose, found, informs, ages_too=False) for one in mine):
        young = _too_young(catalogue, purpose)
        if young == []:
            return {}
        only = "" if young is None else " WHERE c.id = ANY(%(envol_young)s)"
    refusal = refusal_sql(purpose, found, informs)
    query, params = engine.ids_sql(catalogue, dict(tree))
    counted = (
        f"SELECT reason, count(*) FROM (SELECT ({refusal}) AS reason FROM ({query}) s"
        f" JOIN contacts_contact c ON c.id = s.id{only}) judged WHERE reason = ANY(%(envol_why)s) GROUP BY 1"
    )
    return dict(rows(counted, {**params, "envol_why": mine, "envol_young": young}))


def too_young(n: int) -> Check:
    """That so many are left out because they are too young, said before the sending."""
    fr = (
        f"{n} personne{'s' if n > 1 else ''} ne recevr{'ont' if n > 1 else 'a'} pas ce message\u202f: trop jeune"
        f"{'s' if n > 1 else ''} pour accepter sans un parent (RGPD, article 8). L'accord d'un parent s'enregistre sur"
        " la page de la personne."
    )
    en = (
        f"{n} {'people' if n > 1 else 'person'} will not get this message: too young to agree without a parent (GDPR,"
        " article 8). A parent's agreement is recorded on the page of the person."
    )
    return Check(ADVICE, gates.TOO_YOUNG, fr, en, "audience", {"people": n})


def told(found: list[Unserved], n: int) -> Check:
    """That so many are left out because of these properties, said before the sending."""
    names_fr = ", ".join(f"«\u202f{one.label_fr}\u202f»" for one in found)
    names_en = ", ".join(f"“{one.label_en}”" for one in found)
    fr = (
        f"{n} personne{'s' if n > 1 else ''} ne recevr{'ont' if n > 1 else 'a'} pas ce message\u202f: le segment lit"
        f" {names_fr}, et l'usage n'en a pas été accepté. Changez la règle, ou dites à quoi sert cette donnée."
    )
    en = (
        f"{n} {'people' if n > 1 else 'person'} will not get this message: the segment reads {names_en}, and that use"
        " was not accepted. Change the rule, or say what this property serves."
    )
    return Check(ADVICE, "not_served", fr, en, "audience", {"people": n, "properties": [one.key for one in found]})
