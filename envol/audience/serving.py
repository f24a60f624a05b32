"""What an audience may be chosen by: a value serves the purposes it was declared for, in a rule as in a message.

`gates.may_use` for rules (GDPR art. 5(1)(b)): of whoever is chosen by a rule that reads a property of hers, it is asked
whether she allowed one of the purposes which that property serves. A property that serves the purpose itself costs
nothing: whoever may be written to allowed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from envol.accounts.models import Workspace
from envol.audience import engine
from envol.audience.catalogue import Catalogue
from envol.audience.language import Group, Rule, parse
from envol.consent import gates
from envol.consent.models import Purpose
from envol.contacts.models import Property
from envol.db import value


class Unserved(NamedTuple):
    """A property that the audience reads and that does not serve the purpose."""

    key: str
    purposes: int
    label_fr: str
    label_en: str


def unserved(whose: Workspace | Catalogue, tree: Mapping[str, Any], purpose: Purpose) -> list[Unserved]:
    """Properties whose use must be asked of each person. Raises SegmentProblem where the tree cannot be read."""
    catalogue = Catalogue.of(whose)
    keys = {rule.field.inner for rule in _rules(parse(dict(tree), catalogue)) if rule.field.key.startswith("prop.")}
    if not keys:
        return []
    read = Property.objects.filter(workspace=catalogue.workspace, key__in=keys, personal=True).order_by("key")
    return [
        Unserved(one.key, one.purposes, one.label_fr, one.label_en)
        for one in read
        if not gates.may_use(1 << purpose.bit, one.purposes)
    ]


def barred_sql(alias: str, found: list[Unserved]) -> str:
    """SQL over a contact alias: was she chosen by something of hers that she allowed no use of?"""
    if not found:
        return "false"
    tests = []
    for one in found:
        quoted = one.key.replace("'", "''").replace("%", "%%")
        has = f"coalesce({alias}.props -> '{quoted}', 'null') NOT IN ('null', '\"\"', '[]', '{{}}')"
        tests.append(f"({has} AND NOT {gates.may_use_sql(alias, one.purposes)})")
    return f"({' OR '.join(tests)})"


def barred(whose: Workspace | Catalogue, tree: Mapping[str, Any], purpose: Purpose, found: list[Unserved]) -> int:
    """How many of those who may be written to are chosen by something that they allowed no use of."""
    if not found:
        return 0
    query, params = engine.ids_sql(Catalogue.of(whose), dict(tree))
    gate = gates.refusal_sql("c", bit=purpose.bit, transactional=purpose.kind == "transactional")
    counted = (
        f"SELECT count(*) FROM ({query}) s JOIN contacts_contact c ON c.id = s.id"
        f" WHERE {gate} IS NULL AND {barred_sql('c', found)}"
    )
    return int(value(counted, params))


def _rules(node: Group | Rule) -> Iterator[Rule]:
    if isinstance(node, Rule):
        yield node
        if node.inner is not None:
            yield from _rules(node.inner)
    else:
        for one in node.rules:
            yield from _rules(one)
