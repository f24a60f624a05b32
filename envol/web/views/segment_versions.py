"""What a segment said before: each change in sentences, and the way back to the rule before it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.http import Http404, HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from envol.accounts.models import Role
from envol.audience import segments as service
from envol.audience.catalogue import Catalogue
from envol.audience.changes import Change, changes
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment, SegmentVersion
from envol.web.answers import refuse, see
from envol.web.audiences import sentence_of
from envol.web.doors import MemberRequest, audience
from envol.web.segment_words import MATCHES


def versions_of(segment: Segment, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Newest first: who changed it when, what changed, and what it said before."""
    kept = list(segment.versions.select_related("replaced_by__user").order_by("-pk"))
    language = get_language() or "en"
    states = [(segment.name, segment.tree), *((one.name, one.tree) for one in kept)]
    made = []
    for one, ((name, tree), (old_name, old_tree)) in zip(kept, pairwise(states), strict=True):
        said = [_said(change) for change in changes(old_tree, tree, catalogue, language)]
        if old_name != name:
            said.append((_("Name"), _("from “%(a)s” to “%(b)s”") % {"a": old_name, "b": name}))
        made.append(
            {
                "version": one,
                "who": str(one.replaced_by.user) if one.replaced_by else "",
                "changes": said,
                "sentence": sentence_of(catalogue, old_tree),
                "same": old_tree == segment.tree,
            }
        )
    return made


def _said(change: Change) -> tuple[str, str]:
    if change.kind == "match":
        before, after = (str(MATCHES[word]) for word in (change.before, change.after))
        return _("Together"), _("from “%(a)s” to “%(b)s”") % {"a": before, "b": after}
    if change.kind == "changed":
        return _("Changed"), _("before: %(a)s; now: %(b)s") % {"a": change.before, "b": change.after}
    if change.kind == "added":
        return _("Added"), change.after
    if change.kind == "removed":
        return _("Taken away"), change.before
    if change.kind == "grouping":
        return _("Changed"), _("the order or the groups of the rules")
    return _("Not to be told"), change.after


@require_POST
@audience(Role.EDITOR)
def restore_segment(request: MemberRequest, segment_id: int, segment_version_id: int) -> HttpResponse:
    found = (
        SegmentVersion.objects.filter(
            segment__workspace=request.workspace, segment_id=segment_id, pk=segment_version_id
        )
        .select_related("segment__workspace")
        .first()
    )
    if found is None:
        raise Http404
    try:
        segment = service.restore(found, actor_id=request.member.pk)
    except SegmentProblem as error:
        why = " ".join(problem.sentence for problem in error.problems)
        return refuse(request, "segment", segment_id, said=_("This rule cannot come back: %(why)s") % {"why": why})
    return see(request, "segment", segment_id, said=_("The earlier rule holds again."), undo=service.undo_of(segment))
