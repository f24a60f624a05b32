"""Before sending: who would get a message with a hole in it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from envol.consent.gates import may_use_sql
from envol.contacts.models import Property
from envol.content.models import Version
from envol.content.templates import without_fallback
from envol.db import rows


class Missing(NamedTuple):
    """How many people have no value that may be shown, and the ids of the first of them."""

    people: int
    sample: list[int]


class Replaced(NamedTuple):
    """Who reads the fallback of a variable: of some nothing is known, others did not allow the use of what is."""

    unknown: int
    not_allowed: int
    sample: list[int]

    @property
    def people(self) -> int:
        return self.unknown + self.not_allowed


def people_with_fallback(
    version: Version, ids_sql: str, params: Mapping[str, Any], *, allowed: int = 0, sample: int = 20
) -> dict[str, Replaced]:
    """For each variable with a fallback that some of ``ids_sql`` read for want of their leave: who, and why.

    The gate is `may_use`, as when the message is made: a value whose purposes she did not allow is not shown to her.
    ``allowed``: bits of purposes that all of ``ids_sql`` have allowed (the one they are written to for). A property
    that serves one of them is barred to nobody, and nobody is read for it.
    """
    read = {name for name in version.variables if name.startswith("contact.") and name.count(".") == 1}
    names = sorted(read - without_fallback(version) - {"contact.email", "contact.language"})
    masks = dict(
        Property.objects.filter(
            workspace_id=version.workspace.pk, key__in=[name.split(".")[1] for name in names]
        ).values_list("key", "purposes")
    )
    names = [name for name in names if not masks.get(name.split(".")[1], 0) & allowed]
    if not names:
        return {}
    keys = [name.split(".")[1] for name in names]
    values: dict[str, Any] = {}
    columns = []
    for number, key in enumerate(keys):
        values[f"envol_key_{number}"] = key
        has = f"coalesce(c.props -> %(envol_key_{number})s::text, 'null') NOT IN ('null', '\"\"', '[]', '{{}}')"
        barred = f"{has} AND NOT {may_use_sql('c', masks.get(key, 0))}"
        columns += [f"NOT ({has}) AS unknown_{number}", f"{barred} AS no_{number}"]
    counted = ", ".join(
        f"count(*) FILTER (WHERE unknown_{number}), count(*) FILTER (WHERE no_{number}),"
        f" (array_agg(id ORDER BY id) FILTER (WHERE no_{number}))[1:{int(sample)}]"
        for number in range(len(keys))
    )
    query = (
        f"WITH chosen AS ({ids_sql}), people AS (SELECT c.id, {', '.join(columns)} FROM contacts_contact c"
        f" JOIN chosen USING (id) WHERE c.workspace_id = %(envol_workspace)s) SELECT {counted} FROM people"
    )
    found = rows(query, {**dict(params), **values, "envol_workspace": version.workspace.pk})[0]
    told = {
        name: Replaced(found[3 * at], found[3 * at + 1], list(found[3 * at + 2] or ())) for at, name in enumerate(names)
    }
    return {name: replaced for name, replaced in told.items() if replaced.not_allowed}


def people_without_value(
    version: Version,
    ids_sql: str,
    params: Sequence[Any] | Mapping[str, Any] = (),
    *,
    allowed: int = 0,
    sample: int = 20,
) -> dict[str, Missing]:
    """For each variable without fallback (``contact.key``): the people of ``ids_sql`` who would see nothing.

    ``ids_sql`` gives a column ``id`` of contacts; ``allowed`` as above. Who has a value whose purposes she did not
    permit counts too, because it is not shown to her. One statement for all variables; an empty answer means that
    everybody can be written to.
    """
    names = sorted(without_fallback(version))
    if not names:
        return {}
    paths = [name.split(".")[1:] for name in names]
    keys = [path[0] for path in paths]
    masks = dict(
        Property.objects.filter(workspace_id=version.workspace.pk, key__in=keys).values_list("key", "purposes")
    )
    values: dict[str, Any] | list[Any] = dict(params) if isinstance(params, Mapping) else list(params)

    def bind(name: str, value: Any) -> str:
        if isinstance(values, dict):
            values[name] = value
            return f"%({name})s"
        values.append(value)
        return "%s"

    columns = []
    for number, (key, path) in enumerate(zip(keys, paths, strict=True)):
        place = bind(f"envol_path_{number}", path)
        # coalesce: a key that is absent gives NULL, which must count as having no value.
        has = f"coalesce(c.props #> {place}::text[], 'null') NOT IN ('null', '\"\"', '[]', '{{}}')"
        mask = masks.get(key, 0)
        shown = has if mask & allowed else f"{has} AND {may_use_sql('c', mask)}"
        columns.append(f"NOT ({shown}) AS lacks_{number}")
    counted = ", ".join(
        f"count(*) FILTER (WHERE lacks_{number}), "
        f"(array_agg(id ORDER BY id) FILTER (WHERE lacks_{number}))[1:{int(sample)}]"
        for number in range(len(keys))
    )
    chosen = f"WITH chosen AS ({ids_sql})"
    people = f"SELECT c.id, {', '.join(columns)} FROM contacts_contact c JOIN chosen USING (id) WHERE c.workspace_id = "
    query = (
        f"{chosen}, people AS ({people}{bind('envol_workspace', version.workspace.pk)}) SELECT {counted} FROM people"
    )
    found = rows(query, values)[0]
    answers = {name: Missing(found[2 * at], list(found[2 * at + 1] or ())) for at, name in enumerate(names)}
    return {name: missing for name, missing in answers.items() if missing.people}
