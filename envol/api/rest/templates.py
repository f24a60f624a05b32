"""template and its detailcontent: what programs keep here to send by its number, and beside it what members wrote in
Envol's editor, which programs read and send (`envol.api.edited`) and do not change."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from envol.accounts.models import Scope
from envol.api import edited
from envol.api.models import StoredTemplate
from envol.api.rest.ground import JSON_UTF8, Answer, Call, Resource, Wrong, envelope, number_of
from envol.api.rest.groupings import Both, falling
from envol.api.rest.values import Field, Invalid, anything, boolean, folded, integer, text, told
from envol.content.mjml import compile_mjml
from envol.content.models import Template, Version
from envol.content.problems import TemplateProblem

MOST = 1 << 20  # octets of one part
OWNERS = ("apikey", "user", "global")
EDITORS = {1: "tool", 2: "html", 3: "section", 4: "mjml"}
_PARTS = {"html-part": "html", "text-part": "text", "mjmlcontent": "mjml"}


def _strings(raw: Any) -> list[str]:
    if isinstance(raw, str):
        raw = [raw]
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        raise Invalid("a list of texts is expected")
    return [one[:100] for one in raw[:100]]


def _owner(raw: Any) -> str:
    word = text(raw).lower()
    if word not in OWNERS:
        raise Invalid(f"it is one of {', '.join(OWNERS)}")
    return word


def _editor(raw: Any) -> int:
    names = {name: number for number, name in EDITORS.items()}
    number = names.get(str(raw).lower()) or integer(raw)
    if number not in EDITORS:
        raise Invalid("it is 1, 2, 3 or 4")
    return number


FIELDS = {
    "Name": Field(text, required=True),
    "Author": Field(text),
    "Categories": Field(_strings),
    "Copyright": Field(text),
    "Description": Field(text),
    "EditMode": Field(_editor),
    "IsStarred": Field(boolean),
    "IsTextPartGenerationEnabled": Field(boolean),
    "Locale": Field(text),
    "OwnerType": Field(_owner),
    "Presets": Field(anything),
    "Purposes": Field(_strings),
}
_DEFAULTS: dict[str, Any] = {
    "Author": "",
    "Categories": [],
    "Copyright": "",
    "Description": "",
    "EditMode": 2,
    "IsStarred": False,
    "IsTextPartGenerationEnabled": False,
    "Locale": "en_US",
    "OwnerType": "apikey",
    "Presets": "",
}


def _mine(call: Call) -> QuerySet[StoredTemplate]:
    return StoredTemplate.objects.filter(workspace=call.workspace)


def find(call: Call, key: str) -> StoredTemplate:
    """By number, or by ``apikey|Name``."""
    number, name = number_of(key), key.partition("|")[2]
    found = _mine(call).filter(pk=number) if number is not None else _mine(call).filter(name=name)
    one = found.first()
    if one is None:
        ours = call.workspace
        one = edited.by_number(ours, number) if number is not None else edited.by_name(ours, name)
    if one is None:
        raise gone()
    return one


def gone() -> Wrong:
    return Wrong(404, "The resource with the specified ID you are trying to reach does not exist.", newer=True)


class _Both(Both):
    """Those that programs made and then the editor's, which are read when their page is asked for."""

    def __init__(self, call: Call, made: QuerySet[StoredTemplate], ours: QuerySet[Template], *, falling: bool) -> None:
        super().__init__(made, ours, falling=falling)
        self._workspace = call.workspace

    def __getitem__(self, place: Any) -> Any:
        rows = super().__getitem__(place)
        if not isinstance(place, slice):
            return rows
        ours = {one.pk: one for one in edited.told(self._workspace, [one for one in rows if isinstance(one, Template)])}
        return [ours[edited.BASE | one.pk] if isinstance(one, Template) else one for one in rows]


def _rows(call: Call) -> _Both:
    return _Both(call, _stored(call), _edited(call), falling=falling(call))


def _edited(call: Call) -> QuerySet[Template]:
    """The editor's own, as far as a filter can speak of them: they are of the key, for marketing, in no category."""
    found, query = edited.mine(call.workspace), call.query
    if "name" in query:
        found = found.filter(name=query["name"])
    if "editmode" in query:
        mode = _editor(query["editmode"])
        newest = Version.objects.filter(template=OuterRef("pk")).order_by("-no")
        found = found.annotate(mode=Subquery(newest.values("mode")[:1]), drawn=Subquery(newest.values("design")[:1]))
        drawn = Q(drawn__isnull=False)
        by_mode = {1: drawn, 2: ~drawn & ~Q(mode="mjml"), 4: ~drawn & Q(mode="mjml")}
        found = found.filter(by_mode[mode]) if mode in by_mode else found.none()
    words, way = _words(call, "purposes")
    fits = set(words) <= {"marketing"} if way == "containsall" else not words or "marketing" in words
    categories, way = _words(call, "categories")
    fits = fits and (not categories or way == "issubset")
    return found if fits and query.get("ownertype", "apikey").lower() == "apikey" else found.none()


def _stored(call: Call) -> QuerySet[StoredTemplate]:
    found, query = _mine(call), call.query
    if "name" in query:
        found = found.filter(name=query["name"])
    if "ownertype" in query and query["ownertype"].lower() != "apikey":
        found = found.filter(facts__OwnerType=query["ownertype"].lower())
    if "editmode" in query:
        mode = _editor(query["editmode"])
        told = Q(facts__EditMode=mode)
        found = found.filter(told | ~Q(facts__has_key="EditMode") if mode == _DEFAULTS["EditMode"] else told)
    for name, column in (("purposes", "purposes"), ("categories", "facts__Categories")):
        words, way = _words(call, name)
        if words and way == "issubset":
            within = Q(**{f"{column}__contained_by": words})
            found = found.filter(within if name == "purposes" else within | ~Q(facts__has_key="Categories"))
        elif words:
            has = [Q(**{f"{column}__contains": [word]}) for word in words]
            found = found.filter(reduce(or_ if way == "containsany" else and_, has))
    return found


def _words(call: Call, name: str) -> tuple[list[str], str]:
    """The words of a filter by Purposes or Categories, and how they choose."""
    way = call.query.get(f"{name}selectionmethod", "containsall").lower()
    if way not in ("containsany", "containsall", "issubset"):
        raise Wrong(400, f"Filter {name}selectionmethod is invalid: it is containsany, containsall or issubset.")
    return [word.strip() for word in call.query.get(name, "").split(",") if word.strip()], way


def _show(call: Call, found: Sequence[StoredTemplate]) -> list[dict[str, Any]]:
    return [
        {
            **_DEFAULTS,
            **one.facts,
            "CreatedAt": told(one.created_at),
            "ID": one.pk,
            "LastUpdatedAt": told(one.updated_at),
            "Name": one.name,
            "OwnerId": call.key.pk,
            "Previews": "",
            "Purposes": one.purposes,
        }
        for one in found
    ]


def _taken(name: str) -> Invalid:
    return Invalid(f'MJ18 A Template resource with value "apikey|{name}" for OwnerType|Name already exists.')


def _create(call: Call, given: dict[str, Any]) -> StoredTemplate:
    name, kept = given.pop("Name")[:200], given.pop("Purposes", [])
    try:
        with transaction.atomic():
            made = StoredTemplate.objects.create(workspace=call.workspace, name=name, facts=given, purposes=kept)
    except IntegrityError:
        raise _taken(name) from None
    made.refresh_from_db()
    return made


def _ours_stays(one: StoredTemplate, *, newer: bool = False) -> None:
    if edited.is_ours(one.pk):
        said = "This template is written in Envol's editor: change it there, or make one of your own (POST)."
        raise Wrong(400, said, newer=newer)


def _change(call: Call, one: StoredTemplate, given: dict[str, Any]) -> bool:
    _ours_stays(one)
    before = (one.name, one.purposes, one.facts)
    one.name, one.purposes = given.pop("Name", one.name)[:200], given.pop("Purposes", one.purposes)
    one.facts = one.facts | given
    if (one.name, one.purposes, one.facts) == before:
        return False
    one.updated_at = Now()
    try:
        with transaction.atomic():
            one.save()
    except IntegrityError:
        raise _taken(one.name) from None
    one.refresh_from_db()
    return True


def _content(one: StoredTemplate) -> Answer:
    row = {"Headers": one.headers, "Html-part": one.html, "MJMLContent": one.mjml, "Text-part": one.text}
    made = envelope([row])
    return Answer(200, made.body, JSON_UTF8)


def _read(call: Call, one: StoredTemplate, behind: str) -> Answer:
    return _content(one)


def write_parts(call: Call, *, replace: bool) -> dict[str, Any]:
    """The parts of a body: with ``replace`` what is not given becomes empty."""
    found: dict[str, Any] = dict.fromkeys(_PARTS.values()) | {"headers": {}} if replace else {}
    for name, column in _PARTS.items():
        raw = call.body.get(name)
        if raw is None:
            continue
        if not isinstance(raw, str) or len(raw.encode("utf-8", "replace")) > MOST:
            raise Wrong(400, f"The part {name} is a text of at most 1 MiB.", newer=True)
        found[column] = raw
    headers = call.body.get("headers")
    if headers is not None:
        if not isinstance(headers, dict):
            raise Wrong(400, "Headers is an object.", newer=True)
        found["headers"] = {str(key)[:100]: value for key, value in headers.items()}
    if "mjmlcontent" in call.body and call.body.get("mjmlcontent") and not call.body.get("html-part"):
        try:
            found["html"] = compile_mjml(found["mjml"])
        except (TemplateProblem, ValueError) as error:
            raise Wrong(400, f"MJMLContent: {error}", newer=True) from None
    return found


def _write(call: Call, one: StoredTemplate, behind: str) -> Answer:
    _ours_stays(one, newer=True)
    parts = write_parts(call, replace=call.method == "POST")
    if call.method == "PUT" and "headers" in parts:
        low = folded(parts["headers"])
        kept = {key: value for key, value in one.headers.items() if key.lower() not in low}
        parts["headers"] = kept | parts["headers"]
    for name, value in parts.items():
        setattr(one, name, value)
    one.updated_at = Now()
    one.save()
    return _content(one)


def _remove(call: Call, one: StoredTemplate) -> None:
    _ours_stays(one)
    one.delete()


TEMPLATE = Resource(
    "template", _rows, find, _show, Scope.CAMPAIGNS, FIELDS,
    sorts={"id": ("pk", True)}, create=_create, change=_change, remove=_remove,
    acts={"detailcontent": {"GET": _read, "POST": _write, "PUT": _write}},
)  # fmt: skip
