"""Existing customers are written to about products like those they bought, of the same seller, and about nothing else.

Directive 2002/58 art. 13(2), CPCE art. L34-5: the evidence of such a permission names the kind of product
(``product_family``) and the seller (``entity_id``; none: the organisation itself), and a message says what it is about.
Both are compared as people read them: without case, accents and doubled spaces. Whoever's evidence names no kind of
product is written to about nothing, and so is everybody on this ground by a message that names none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.core.cache import cache

from envol.consent.models import Permission
from envol.db import is_large, rows, value


class Offer(NamedTuple):
    """What a message is about. ``family``: the kind of product, or anything; ``seller``: empty for the organisation."""

    family: str = ""
    seller: str = ""


ANYTHING = Offer()

_FOLD = (
    "btrim(regexp_replace(regexp_replace(replace(replace(lower(normalize({0}, NFKD)), 'œ', 'oe'), 'æ', 'ae'),"
    r" '[\u0300-\u036F]', '', 'g'), '\s+', ' ', 'g'))"
)
"""SQL: a name without what readers do not tell apart."""

_IN_FORCE = "p.until IS NULL AND p.basis = 'customer' AND p.state = 'granted'"
"""Customers have an index of their own, which holds nobody else; the words are those of the index."""

MANY = 200
"""So much evidence of sales is looked at beforehand."""

OWN_NAMES_SQL = (
    "SELECT ARRAY[w.title, coalesce(d.legal_name, '')] FROM accounts_workspace w"
    " LEFT JOIN consent_desk d ON d.workspace_id = w.id WHERE w.id = %s"
)
"""Under which names a file may call the organisation itself as the seller."""


def some_sql(purposes: str) -> str:
    """SQL: does anybody rest on this ground for one of these purposes (SQL of their numbers)? Mostly nobody does."""
    return f"EXISTS (SELECT FROM consent_permission p WHERE p.purpose_id IN ({purposes}) AND {_IN_FORCE})"


def some(workspace_id: int) -> bool:
    """Does anybody of this workspace, for any purpose?"""
    return bool(value(f"SELECT {some_sql('SELECT id FROM consent_purpose WHERE workspace_id = %s')}", [workspace_id]))


def unlike_sql(alias: str, offer: Offer, purpose_id: int, own: Sequence[str] = (), among: str = "") -> str:
    """SQL over a contact alias: does she rest on this ground, and is the message about something else than she bought?

    ``own``: names of the organisation. One question finds the evidence that fits, of whole files mostly, and of each
    person one index is asked; where evidence was written down person by person, it is read with her. ``among``: a table
    of the statement with the ``id`` of everybody it is about, in a stretch of numbers: who is unlike is then gathered
    once, and not looked for person by person. Names stand in it as literals of code points: whatever people type, there
    is no quote and no percent sign in them.
    """
    if not alias.isidentifier() or (among and not among.isidentifier()):
        raise ValueError("The alias is a plain name.")
    kept, unlike = "consent_permission p", _unlike(offer, own)
    if (fitting := _fitting(offer, purpose_id, own)) is not None:
        listed = ", ".join(map(str, fitting))
        unlike = f"(p.evidence_id = ANY (ARRAY[{listed}]::bigint[])) IS NOT TRUE"
    else:
        kept += " LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
    theirs = f"FROM {kept} WHERE p.purpose_id = {int(purpose_id)} AND {_IN_FORCE} AND {unlike}"
    if not among:
        return f"EXISTS (SELECT {theirs} AND p.contact_id = {alias}.id)"
    return (
        f"{alias}.id IN (SELECT p.contact_id {theirs}"
        f" AND p.contact_id BETWEEN (SELECT min(id) FROM {among}) AND (SELECT max(id) FROM {among}))"
    )


def _fitting(offer: Offer, purpose_id: int, own: Sequence[str]) -> list[int] | None:
    """Which evidence of sales the message is like; None where there is so much that it is read with each person."""
    found = rows(
        f"SELECT e.id, {_unlike(offer, own)} FROM consent_evidence e WHERE jsonb_exists(e.facts, 'product_family')"
        f" AND e.workspace_id = (SELECT workspace_id FROM consent_purpose WHERE id = {int(purpose_id)})"
        f" LIMIT {MANY + 1}"
    )
    return [id for id, unlike in found if not unlike] if len(found) <= MANY else None


def unlike_ids(offer: Offer, purpose_id: int, own: Sequence[str], most: int) -> list[int]:
    """So many at most of those of whom `unlike_sql` is true, whoever they are."""
    query = (
        "SELECT p.contact_id FROM consent_permission p LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
        f" WHERE p.purpose_id = {int(purpose_id)} AND {_IN_FORCE} AND {_unlike(offer, own)} LIMIT {int(most)}"
    )
    return [one for (one,) in rows(query)]


def unlike(workspace_id: int, permission_id: int, contact_id: int, offer: Offer) -> bool:
    """The same for one permission, also one of the past."""
    query = (
        f"SELECT p.basis = 'customer' AND {_unlike(offer, own_names(workspace_id))} FROM consent_permission p"
        " LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
        " WHERE p.workspace_id = %s AND p.contact_id = %s AND p.id = %s"
    )
    return bool(value(query, [workspace_id, contact_id, permission_id]))


def own_names(workspace_id: int) -> list[str]:
    return list(value(OWN_NAMES_SQL, [workspace_id]) or ())


KEPT_SECONDS = 60
"""How old these figures of a large base may be: each permission of the ground is counted."""


def known(workspace_id: int, most: int = 50) -> list[tuple[str, str, int]]:
    """Kinds of products and sellers that permissions of this ground rest on, with how many, the most frequent first."""
    key = f"bought:{workspace_id}:{most}"
    kept: list[tuple[str, str, int]] | None = cache.get(key)
    if kept is not None and is_large(Permission._meta.db_table):
        return kept
    query = (
        "SELECT coalesce(e.facts ->> 'product_family', ''), coalesce(e.facts ->> 'entity_id', ''), sum(n)::int"
        " FROM (SELECT p.evidence_id, count(*) AS n FROM consent_permission p"
        "   WHERE p.purpose_id IN (SELECT id FROM consent_purpose WHERE workspace_id = %s AND kind = 'marketing')"
        f"  AND {_IN_FORCE} GROUP BY 1) q"
        " LEFT JOIN consent_evidence e ON e.id = q.evidence_id GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s"
    )
    found = rows(query, [workspace_id, most])
    cache.set(key, found, KEPT_SECONDS)
    return found


def _unlike(offer: Offer, own: Sequence[str]) -> str:
    """SQL over an evidence ``e``. Most people's words are the very words of the message, and nothing is folded."""
    family, seller = _literal(offer.family), _literal(offer.seller)
    theirs, sold_by = "(e.facts ->> 'product_family')", "coalesce(e.facts ->> 'entity_id', '')"
    ours = ", ".join(_FOLD.format(_literal(name)) for name in ("", *own))
    return (
        f"(CASE WHEN {_FOLD.format(family)} = '' THEN true"
        f" WHEN {theirs} = {family} OR {_FOLD.format(theirs)} = {_FOLD.format(family)}"
        f" THEN NOT ({sold_by} = {seller} OR {_FOLD.format(sold_by)} = {_FOLD.format(seller)}"
        f" OR {_FOLD.format(seller)} IN ({ours}) AND {_FOLD.format(sold_by)} IN ({ours})) ELSE true END)"
    )


def _literal(text: str) -> str:
    return "U&'" + "".join(f"\\+{ord(letter):06X}" for letter in text if letter != "\0") + "'"
