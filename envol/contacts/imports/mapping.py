"""Which column is what: proposed from headers, values and the last import, decided by a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from django.utils.translation import gettext

from envol.contacts.imports.formats import is_address
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.models import Import, List, Property
from envol.letters import ascii_of
from envol.zones import known_zones

POLICIES = ("merge", "keep", "replace")
SINGLE = ("email", "language", "time_zone", "permission_date", "permission_proof")
_KIND = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

# Headers as French and English tools write them, without accents, case and signs.
_SYNONYMS = {
    "email": "email e mail mail courriel adresse email|adresse e mail|adresse mail|adresse courriel|email address|"
    "mail address|e mail address|adresse electronique|subscriber|abonne",
    "language": "langue language lang locale|code langue|preferred language",
    "time_zone": "fuseau timezone|fuseau horaire|time zone|tz",
    "tag": "tags tag etiquettes etiquette labels libelles|mots cles",
    "permission_date": "optin consentement|accord le|date accord|date d accord|date consentement|"
    "date de consentement|date du consentement|date optin|date opt in|date d inscription|date inscription|"
    "inscrit le|optin date|opt in date|opt in time|optin time|confirm time|consent date|consent at|consented at|"
    "subscribed at|signup date|sign up date|subscription date",
    "permission_proof": "preuve proof|preuve accord|preuve de consentement|preuve du consentement|consent proof|"
    "proof of consent|optin ip|opt in ip|confirm ip",
    "identifier:customer": "no client|n client|num client|numero client|numero de client|code client|"
    "customer number|customer no|customer id|id client|client id|client number",
    "identifier:external": "id external_id|external id|identifiant|identifiant externe|contact id|user id|uid",
}
# Names for the same property, so that "Prénom" finds first_name however the catalogue calls it.
_PROPERTIES = (
    "prenom|firstname|first name|given name|fname|first_name|given_name",
    "nom|nom de famille|lastname|last name|surname|family name|lname|name|last_name|family_name",
    "naissance|date de naissance|ne le|ne e le|nee le|birth date|birthdate|date of birth|dob|birthday|anniversaire|"
    "birth_date|date_naissance|date_of_birth",
    "ville|city|town|commune|localite",
    "code postal|cp|zip|zip code|postcode|postal code|code_postal|postal_code",
    "pays|country|code pays|country code",
    "telephone|tel|phone|phone number|mobile|portable",
    "societe|entreprise|company|organisation|organization|raison sociale",
    "civilite|titre|title|salutation|gender|sexe|genre",
    "genre prefere|favorite genre|favourite genre|favorite_genre|genre_prefere",
    "carte|carte de fidelite|fidelite|card|loyalty card|loyalty_card",
)


# What a place holds besides its name, each by a column of its own.
PARTS = {
    "postcode": "code postal|cp|zip|zip code|postcode|postal code|code_postal|postal_code",
    "country": "pays|country|code pays|country code",
}


class Column(NamedTuple):
    """One column of the file: its name, up to three values, what it becomes and why that was proposed."""

    name: str
    samples: list[str]
    target: str
    why: str


def plain(text: str) -> str:
    """A header without accents, case and signs: "N° client" and "n client" are one."""
    return re.sub(r"[^a-z0-9]+", " ", ascii_of(text).lower()).strip()


def table_of(synonyms: Mapping[str, str]) -> dict[str, str]:
    """Plain header → target. Of each text, single words stand before the first bar, sayings of several after it."""
    table = {}
    for target, words in synonyms.items():
        single, *several = words.split("|")
        table |= dict.fromkeys([*map(plain, single.split(" ")), plain(single), *map(plain, several)], target)
    return table


_HEADERS = table_of(_SYNONYMS)
_ALIKE = [{plain(word) for word in words.split("|")} for words in _PROPERTIES]


def header_target(header: str) -> str:
    """What a column with this plain header is in a file of people; "" when its name does not tell."""
    return _HEADERS.get(header, "")


def propose(imp: Import) -> list[Column]:
    """A target for each column, in the file's order, with the reason in one word or two."""
    samples = imp.format.get("samples", [])
    width = max((len(s) for s in samples), default=0)
    return proposal(imp, [[s[i] if i < len(s) else "" for s in samples] for i in range(width)])


def proposal(imp: Import, sample: list[list[str]]) -> list[Column]:
    """`propose` over rows of the file instead of the three values kept of each column."""
    names: list[str] = imp.format["columns"]
    shown = imp.format.get("samples", [[] for _ in names])
    properties = list(Property.objects.filter(workspace_id=imp.workspace_id))
    by_name: dict[str, str] = {}
    for p in properties:
        for word in (p.key, p.label_fr, p.label_en):
            by_name.setdefault(plain(word), f"property:{p.key}")
    alike = {}
    for group in _ALIKE:
        found = next((by_name[word] for word in sorted(group) if word in by_name), None)
        if found:
            alike |= dict.fromkeys(group, found)
    last = (
        Import.objects.filter(workspace_id=imp.workspace_id, what="people", state__in=["done", "running", "checked"])
        .order_by("-id")
        .values_list("mapping", flat=True)
        .first()
    ) or {}
    taken: set[str] = set()
    result = []
    keys = {f"property:{p.key}" for p in properties}
    places_ = [p.key for p in properties if p.type == "place"]
    keys |= {f"part:{key}.{part}" for key in places_ for part in PARTS}
    if places_:
        # Beside a column with the town: its postcode and country belong to the same place.
        alike = {
            word: f"part:{places_[0]}.{part}" for part, words in PARTS.items() for word in map(plain, words.split("|"))
        } | alike
    for i, name in enumerate(names):
        header, values = plain(name), [row[i].strip() for row in sample if i < len(row) and row[i].strip()]
        candidates = [
            (last.get(name, ""), "last import"),
            (by_name.get(header, ""), "catalogue"),
            (_HEADERS.get(header, ""), "header"),
            (alike.get(header, ""), "header"),
            (_by_values(values), "values"),
        ]
        target, why = next(
            (
                (target, why)
                for target, why in candidates
                if target
                and target not in taken
                and not (target.startswith(("property:", "part:")) and target not in keys)
                and not (target == "email" and values and not any(map(is_address, values[:100])))
            ),
            ("skip", "unknown"),
        )
        if target not in ("tag", "skip"):
            taken.add(target)
        result.append(Column(name, shown[i] if i < len(shown) else [], target, why))
    return result


def _mostly_addresses(values: list[str]) -> bool:
    some = values[:100]
    return sum(map(is_address, some)) * 2 >= len(some)


def _by_values(values: list[str]) -> str:
    if not values:
        return ""
    if _mostly_addresses(values):
        return "email"
    if all(value in known_zones() for value in values[:20]) and any("/" in value for value in values[:20]):
        return "time_zone"
    return ""


def set_mapping(imp: Import, mapping: Mapping[str, str], list_id: int | None = None, policy: str = "merge") -> Import:
    """Decide what each column becomes; columns left out are skipped.

    ``policy`` for people already known: "merge" (the file wins, its empty cells change nothing), "keep"
    (what is known wins, the file fills gaps), "replace" (as merge, and an empty cell empties). Properties must
    stand in the catalogue. A dry run made before is void. Raises ImportProblem.
    """
    must_be_open(imp)
    names = set(imp.format["columns"])
    if unknown := [name for name in mapping if name not in names]:
        raise ImportProblem(
            gettext("The file has no column “%(name)s”; it has: %(names)s.")
            % {"name": unknown[0][:60], "names": ", ".join(sorted(names))[:400]}
        )
    if policy not in POLICIES:
        raise ImportProblem(gettext("Choose what happens to people who are known already."))
    if list_id is not None and not List.objects.filter(id=list_id, workspace_id=imp.workspace_id).exists():
        raise ImportProblem(gettext("This list does not exist in the workspace: choose another or create it."))
    types = dict(Property.objects.filter(workspace_id=imp.workspace_id).values_list("key", "type"))
    seen: set[str] = set()
    for name, target in mapping.items():
        kind, _, rest = target.partition(":")
        known = target in (*SINGLE, "tag", "skip") or (kind in ("property", "identifier", "part") and rest)
        if not known:
            raise ImportProblem(gettext("“%(name)s” is nothing a column can become.") % {"name": target[:60]})
        place, _, part = rest.partition(".")
        if kind == "part" and (types.get(place) != "place" or part not in PARTS):
            raise ImportProblem(gettext("“%(name)s” is nothing a column can become.") % {"name": target[:60]})
        if kind == "property" and rest not in types:
            raise ImportProblem(
                gettext("There is no property “%(name)s” in the catalogue: declare it first.") % {"name": rest}
            )
        if kind == "identifier" and not _KIND.fullmatch(rest):
            raise ImportProblem(
                gettext("“%(name)s” is no name for an identifier: use small letters, digits and _.")
                % {"name": rest[:40]}
            )
        if target in seen and target not in ("tag", "skip"):
            raise ImportProblem(
                gettext("Two columns cannot both become %(target)s: skip one (“%(name)s”, for instance).")
                % {"target": target, "name": name}
            )
        seen.add(target)
    if "email" not in seen:
        raise ImportProblem(gettext("No column is the e-mail address: choose which one is."))
    imp.mapping = {name: mapping.get(name, "skip") for name in imp.format["columns"]}
    imp.list_id, imp.policy, imp.state, imp.counts = list_id, policy, "mapped", {}
    imp.save(update_fields=["mapping", "list_id", "policy", "state", "counts"])
    return imp


def must_be_open(imp: Import) -> None:
    """ImportProblem once it has begun to write."""
    if imp.state in ("running", "done", "undone"):
        raise ImportProblem(gettext("This import has begun already: start another with the same file."))


def properties_of(targets: Iterable[str]) -> list[str]:
    """The keys of the properties that these targets fill, whole or in parts."""
    kinds = (target.partition(":") for target in targets)
    return sorted({rest.partition(".")[0] for kind, _, rest in kinds if kind in ("property", "part")})
