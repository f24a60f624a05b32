"""Which people are meant: one filter for the table, the acts on many, the exports; as SQL and as JSON.

Text is looked for in addresses and names, page by page or all at once. Segments are told by the room above,
which registers how; everything else is this room's own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import gates, overview, restriction
from envol.consent.models import Purpose
from envol.contacts import search
from envol.contacts.models import Contact, List, Property
from envol.contacts.search import NAMES
from envol.db import TooSlow, is_large, rows, value, within
from envol.db_role import as_owner

LOOKED = 2000
"""People at the head of a page's order who are looked at first: what is frequent is found among them."""
MOST_IDS = 1000
"""People named one by one: what was ticked on a few pages, never a whole base."""

Resolver = Callable[[Workspace, int], tuple[str, dict[str, Any]]]
Barring = Callable[[Workspace, int, Purpose], str]
_segment: list[Resolver] = []
_barring: list[Barring] = []


class FilterProblem(ValueError):
    """The filter names what this workspace does not have; the sentence says what."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Everything given must hold; nothing given means everybody of the workspace."""

    text: str = ""
    names_only: bool = False  # who may not see addresses must not find people by guessing them
    list_id: int | None = None
    segment_id: int | None = None
    tag: str = ""
    permission: str = ""  # "newsletter.yes", ".no", an answer (".refused"), a reason of the gate (".suppressed")
    proof: str = ""  # how far the proof of a permission goes: "none"
    blocked: bool = False  # suppressed or objected: gets nothing more
    ids: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {key: given for key, given in asdict(self).items() if given not in ("", None, False, ())}

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Filter:
        known = {field.name for field in fields(cls)}
        found = {key: given for key, given in kept.items() if key in known}
        return cls(**(found | {"ids": tuple(found.get("ids", ()))}))


def register_segment(resolver: Resolver) -> Resolver:
    """Called at start by the room that knows segments: ``(workspace, segment id)`` → SELECT of ids, parameters."""
    _segment[:] = [resolver]
    return resolver


def register_barring(barring: Barring) -> Barring:
    """``(workspace, segment id, purpose)`` → SQL over ``c``: was she chosen by what must not be used for it?"""
    _barring[:] = [barring]
    return barring


class Where(NamedTuple):
    """A condition over ``contacts_contact c`` with its named parameters."""

    sql: str
    params: dict[str, Any]

    @property
    def select(self) -> str:
        return f"SELECT c.id FROM contacts_contact c WHERE {self.sql}"

    @property
    def usable(self) -> str:
        """The same for files that leave the house: without those whose data must not be used (GDPR art. 18)."""
        return f"{self.select} AND NOT {restriction.OPEN_SQL.format('c')}"


def where(workspace: Workspace, chosen: Filter, *, narrowed: bool = True) -> Where:
    """The condition of a filter; `FilterProblem` when it names a list, segment or purpose that is not here.

    ``narrowed``: text is looked for by its index. Who looks through people in an order of theirs, and stops soon, reads
    them quicker without.
    """
    params: dict[str, Any] = {"w": workspace.id}
    tests = ["c.workspace_id = %(w)s"]
    if words := chosen.text.replace("\0", "").split()[:8]:
        tests.append(_words(workspace, words, chosen, params))
        if narrowed and (mark := search.mark()) is not None:
            params["mark"] = mark
            tests.append(f"c.id IN ({_found(words, params)} UNION ALL {_AFTER} UNION ALL {_NAMED})")
    if chosen.list_id is not None:
        if not List.objects.filter(workspace=workspace, pk=chosen.list_id).exists():
            raise FilterProblem(_("This list does not exist in the workspace."))
        params["list"] = chosen.list_id
        tests.append(
            "EXISTS (SELECT FROM contacts_membership m WHERE m.list_id = %(list)s AND m.contact_id = c.id"
            " AND m.until IS NULL)"
        )
    if chosen.segment_id is not None:
        query, more = _segment[0](workspace, chosen.segment_id)
        params |= more
        tests.append(f"c.id IN ({query})")
    if chosen.tag:
        params["tag"] = chosen.tag
        tests.append("c.tags ? %(tag)s")
    if chosen.permission:
        key, _dot, state = chosen.permission.rpartition(".")
        purpose = Purpose.objects.filter(workspace=workspace, key=key).first()
        if purpose is None or state not in ("yes", "no", *overview.ANSWERS, *gates.REASONS):
            raise FilterProblem(_("This purpose does not exist in the workspace."))
        if state in overview.ANSWERS:
            tests.append(overview.answered_sql("c", purpose, state))
        elif purpose.kind == "measuring":
            params["bit"] = 1 << purpose.bit
            tests.append("(c.allowed & %(bit)s) " + ("<> 0" if state == "yes" else "= 0"))
        else:  # the very gate that sending asks, so that a segment made of this says the same people
            refusal = gates.refusal_sql("c", bit=purpose.bit, transactional=purpose.kind == "transactional")
            if state in gates.REASONS:
                params["reason"] = state
                tests.append(f"{refusal} = %(reason)s")
            else:
                tests.append(f"{refusal} IS {'NULL' if state == 'yes' else 'NOT NULL'}")
    if chosen.proof:
        if chosen.proof not in overview.STRENGTHS:
            raise FilterProblem(_("There is no such proof."))
        tests.append(overview.proved_sql("c", chosen.proof))
    if chosen.blocked:
        tests.append("(c.suppressed OR c.objected)")
    if chosen.ids:
        params["ids"] = list(chosen.ids[:MOST_IDS])
        tests.append("c.id = ANY(%(ids)s)")
    return Where(" AND ".join(tests), params)


def served(workspace: Workspace, chosen: Filter, purpose: Purpose) -> Where:
    """Of those meant, who may be used for this purpose: `gates.may_send`, and chosen by what may serve it."""
    found = where(workspace, chosen)
    gate = gates.refusal_sql("c", bit=purpose.bit, transactional=purpose.kind == "transactional")
    tests = [found.sql, f"{gate} IS NULL"]
    if chosen.segment_id is not None:
        tests.append(f"NOT {_barring[0](workspace, chosen.segment_id, purpose)}")
    return Where(" AND ".join(tests), found.params)


def _words(workspace: Workspace, words: list[str], chosen: Filter, params: dict[str, Any]) -> str:
    """Every word somewhere in the address or a name. The cheap test first: of a million rows nearly all fail both,
    and only names that this workspace declares are looked for.
    """
    params["whole"] = chosen.text.replace("\0", "").strip()
    keys = catalogue_keys(workspace) & set(NAMES)
    names = [f"lower(c.props ->> '{key}')" for key in NAMES if key in keys]
    every = []
    for i, word in enumerate(words):
        params[f"word{i}"] = f"%{_escaped(word.lower())}%"
        places = names if chosen.names_only else ["c.email_key", *names]
        every.append("(" + (" OR ".join(f"{place} LIKE %(word{i})s" for place in places) or "false") + ")")
    found = " AND ".join(every)
    if chosen.names_only:
        return f"({found})"
    return f"(({found}) OR c.id IN ({_NAMED}))"


# Ids of those whom a text may mean: in the table of texts; written since; by another name of theirs.
_AFTER = "SELECT a.id FROM contacts_contact a WHERE a.workspace_id = %(w)s AND a.updated_stamp >= %(mark)s::xid8"
_NAMED = "SELECT i.contact_id FROM contacts_identifier i WHERE i.workspace_id = %(w)s AND i.value = %(whole)s"


def _found(words: list[str], params: dict[str, Any]) -> str:
    """The index is asked for the rarest piece of each word: each frequent one would make it read a million places."""
    tests = ["s.workspace_id = %(w)s"]
    for i, word in enumerate(words):
        params[f"piece{i}"] = f"%{_escaped(search.rarest(word.lower()))}%"
        params[f"plain{i}"] = word.lower()
        tests.append(f"s.text LIKE %(piece{i})s AND strpos(s.text, %(plain{i})s) > 0")
    return f"SELECT s.contact_id FROM contacts_search s WHERE {' AND '.join(tests)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def catalogue_keys(workspace: Workspace) -> set[str]:
    return set(Property.objects.filter(workspace=workspace).values_list("key", flat=True))


def _looking(chosen: Filter) -> AbstractContextManager[None]:
    """For the statement that looks for text by its index: row-level security keeps LIKE from it (it could tell of rows
    that are hidden), and the condition names the workspace in every part."""
    return as_owner() if chosen.text else nullcontext()


def count_within(workspace: Workspace, chosen: Filter, most: int, seconds: float) -> int | None:
    """How many, up to ``most``; None when that would take longer: the page comes first, the figure follows it."""
    if not is_large(Contact._meta.db_table):
        return count(workspace, chosen, most=most)
    try:
        with within(seconds):
            return count(workspace, chosen, most=most)
    except TooSlow:
        return None


def count(workspace: Workspace, chosen: Filter, *, most: int | None = None) -> int:
    """How many; with ``most`` counting stops there, for a page that only says "more than"."""
    found = where(workspace, chosen)
    query = f"SELECT FROM contacts_contact c WHERE {found.sql}"
    if "mark" in found.params and chosen == Filter(text=chosen.text):
        query = _counted_texts(workspace, chosen, found.params)
    if most is not None:
        query += " LIMIT %(most)s"
    with _looking(chosen):
        return int(value(f"SELECT count(*) FROM ({query}) AS counted", found.params | {"most": most}))


def _counted_texts(workspace: Workspace, chosen: Filter, params: dict[str, Any]) -> str:
    """The same people by the narrow table alone, but for those written since: nobody else's row is read."""
    words = chosen.text.replace("\0", "").split()[:8]
    exact = _words(workspace, words, chosen, params)
    every = " AND ".join(f"s.text LIKE %(word{i})s" for i in range(len(words)))
    return (
        f"{_found(words, params)} AND NOT EXISTS ({_AFTER} AND a.id = s.contact_id)"
        f" UNION ALL SELECT c.id FROM contacts_contact c WHERE c.workspace_id = %(w)s"
        f" AND c.updated_stamp >= %(mark)s::xid8 AND {exact}"
        f" UNION ALL SELECT c.id FROM contacts_contact c JOIN contacts_search s ON s.contact_id = c.id"
        f" WHERE c.id IN ({_NAMED}) AND c.workspace_id = %(w)s AND c.updated_stamp < %(mark)s::xid8 AND NOT ({every})"
    )


def tags(workspace: Workspace, begins: str = "", limit: int = 200) -> list[str]:
    """The tags people of this workspace wear, by name."""
    found = rows(
        "SELECT DISTINCT t FROM contacts_contact c, jsonb_array_elements_text(c.tags) AS x (t)"
        " WHERE c.workspace_id = %s AND c.tags <> '[]' AND starts_with(lower(t), lower(%s)) ORDER BY t LIMIT %s",
        [workspace.id, begins, limit],
    )
    return [tag for (tag,) in found]


# -- pages -------------------------------------------------------------------------------------

SORTS = {
    "-id": ("c.id", "DESC"),
    "id": ("c.id", "ASC"),
    "email": ("c.email_key", "ASC"),
    "-email": ("c.email_key", "DESC"),
}
"""Orders that an index gives, so that a page costs the same however far it lies. ids follow arrival."""


class Page(NamedTuple):
    """``next`` is the id to give as ``after`` for the page that follows; None on the last."""

    contacts: list[Contact]
    next: int | None


def page(workspace: Workspace, chosen: Filter, *, sort: str = "-id", after: int = 0, limit: int = 50) -> Page:
    """One page by keyset: nobody is skipped or shown twice when people arrive in between.

    A place is named by a contact's id, never by her address: places stand in addresses of pages and in logs.
    """
    column, way = SORTS[sort]
    place = "c.workspace_id = %(w)s"
    if after:
        last = "%(after)s"
        if column != "c.id":
            last = f"(SELECT {column} FROM contacts_contact c WHERE c.workspace_id = %(w)s AND c.id = %(after)s)"
        place += f" AND {column} {'>' if way == 'ASC' else '<'} {last}"
    order, more = f"ORDER BY {column} {way}", {"after": after, "limit": limit + 1, "looked": LOOKED}
    ids: list[int] = []
    if chosen != Filter(names_only=chosen.names_only):
        first = f"(SELECT * FROM contacts_contact c WHERE {place} {order} LIMIT %(looked)s)"
        found = where(workspace, chosen, narrowed=False)
        query = f"SELECT c.id FROM {first} c WHERE {found.sql} {order} LIMIT %(limit)s"
        ids = [row_id for (row_id,) in rows(query, found.params | more)]
    if len(ids) <= limit:
        found = where(workspace, chosen)
        query = f"SELECT c.id FROM contacts_contact c WHERE {found.sql} AND {place} {order} LIMIT %(limit)s"
        with _looking(chosen):
            ids = [row_id for (row_id,) in rows(query, found.params | more)]
    known = Contact.objects.in_bulk(ids[:limit])
    people = [known[one] for one in ids[:limit] if one in known]
    return Page(people, ids[limit - 1] if len(ids) > limit else None)
