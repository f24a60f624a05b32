"""Segments as the pages use them: as a filter of querysets, as a sentence, with counts."""

from __future__ import annotations

import re
from typing import Any

from django.db.models.expressions import RawSQL
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.audience import engine
from envol.audience.catalogue import Catalogue
from envol.audience.language import SegmentProblem
from envol.audience.sentences import describe

_NAMED = re.compile(r"%\((\w+)\)s")


def in_segment(workspace: Workspace, tree: dict[str, Any] | None) -> RawSQL:
    """The people of a rule, for ``filter(id__in=…)``: the engine's own SELECT. Raises SegmentProblem."""
    return as_filter(*engine.ids_sql(workspace, tree))


def as_filter(query: str, params: dict[str, Any]) -> RawSQL:
    """A SELECT of ids that a room made, its named parameters put in the order that the ORM wants."""
    values = [params[name] for name in _NAMED.findall(query)]
    return RawSQL(_NAMED.sub("%s", query), values)  # noqa: S611 - SQL of a room, values bound


def sentence_of(workspace: Workspace | Catalogue, tree: dict[str, Any] | None) -> str:
    """The rule in the reader's language; what is wrong with it when it can no longer be read."""
    try:
        return describe(tree, workspace, get_language() or "en")
    except SegmentProblem as error:
        return _("This rule can no longer be read: %(why)s") % {"why": str(error)}


def count_of(workspace: Workspace | Catalogue, tree: dict[str, Any] | None) -> int | None:
    try:
        return engine.count(workspace, tree)
    except SegmentProblem:
        return None
