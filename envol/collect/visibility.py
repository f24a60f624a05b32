"""Who is shown a form, one of its fields, or one of its purposes: everybody, or the people of a segment.

Only whoever comes by a signed link of ours is known; the others are shown what the editor chose for them. What is
hidden looks as if it had never been there, so that nobody learns who is in a segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from envol.accounts.models import Workspace
from envol.audience.models import Segment
from envol.collect.models import SignupForm

WHOLE = "form"


@dataclass(frozen=True, slots=True)
class Shown:
    """To the people of a segment; ``strangers``: and to whoever is not known."""

    segment: int
    strangers: bool = False


def field(key: str) -> str:
    return f"field:{key}"


def purpose(pk: int) -> str:
    return f"purpose:{pk}"


def of(form: SignupForm) -> dict[str, Shown]:
    """By what is shown; what is not named is for everybody."""
    return {what: Shown(int(one["segment"]), bool(one["strangers"])) for what, one in form.visibility.items()}


def kept(form: SignupForm, wanted: Mapping[str, Shown]) -> dict[str, dict[str, Any]]:
    """What a form may keep of it: about its own parts, with segments of its workspace."""
    parts = {WHOLE, *(field(one["key"]) for one in form.fields), *(purpose(pk) for pk in form.purposes)}
    among = {one.segment for one in wanted.values()}
    here = set(Segment.objects.filter(workspace=form.workspace, pk__in=among).values_list("pk", flat=True))
    return {
        what: {"segment": one.segment, "strangers": one.strangers}
        for what, one in sorted(wanted.items())
        if what in parts and one.segment in here
    }


def as_seen(form: SignupForm, contact_id: int | None) -> SignupForm | None:
    """The form with what this person, or a stranger (None), is shown; None when that is nothing."""
    rules = of(form)
    if not rules:
        return form
    inside = _inside(form.workspace, {one.segment for one in rules.values()}, contact_id)

    def shown(what: str) -> bool:
        rule = rules.get(what)
        if rule is None:
            return True
        return rule.strangers if contact_id is None else rule.segment in inside

    purposes = [pk for pk in form.purposes if shown(purpose(pk))]
    if not shown(WHOLE) or (form.purposes and not purposes):
        return None
    seen = copy(form)
    seen.fields = [one for one in form.fields if shown(field(one["key"]))]
    seen.purposes = purposes
    return seen


def _inside(workspace: Workspace, segments: set[int], contact_id: int | None) -> set[int]:
    """In which of these segments she is; in none that is gone or cannot be read any more."""
    if contact_id is None:
        return set()
    from envol.audience import engine  # sqlglot: 30 MB that a courier never needs
    from envol.audience.catalogue import Catalogue
    from envol.audience.language import SegmentProblem

    catalogue, found = Catalogue(workspace), set()
    for segment in Segment.objects.filter(workspace=workspace, pk__in=segments):
        try:
            if engine.postgres.reasons_among(catalogue, segment.whole, None, [contact_id]):
                found.add(segment.pk)
        except SegmentProblem:
            continue
    return found


def used_by(workspace_id: int, segments: list[int]) -> dict[int, list[str]]:
    """Names of the forms that ask for these segments."""
    found: dict[int, list[str]] = {}
    for form in SignupForm.objects.select_related("list").filter(workspace_id=workspace_id).exclude(visibility={}):
        for pk in {one.segment for one in of(form).values()} & set(segments):
            found.setdefault(pk, []).append(form.list.name)
    return found
