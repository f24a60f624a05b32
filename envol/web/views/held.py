"""What is held back because it looks like fraud, and may it leave?"""

from __future__ import annotations

import re

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import ApiKey, Role
from envol.campaigns.models import Campaign
from envol.content.markup import MARKER
from envol.content.models import Version
from envol.outbound import fraud_words, held
from envol.outbound.models import Held, Message
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of
from envol.web.safety import PREVIEW_POLICY
from envol.wire.fraud import files
from envol.wire.message import read
from envol.wire.message.read import ReadMessage

_FETCHED = re.compile(r"(?i)\b(?:src|srcset|background|poster)\s*=\s*([\"']?)(?!data:)[^\"'\s>]*\1")

_NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # one clear pixel


@require_safe
@audience(Role.EDITOR)
def held_list(request: MemberRequest) -> HttpResponse:
    """What waits, newest first; below it what was decided lately."""
    page = page_of(request, held.waiting(request.workspace), field="pk")
    first = "before" not in request.GET
    facts = {
        "page": page,
        "rows": [{"one": one, "why": fraud_words.all_said(one.held.reasons)} for one in held.look(page.rows)],
        "decided": held.look(list(held.decided(request.workspace)[:10])) if first else [],
    }
    return render(request, "held/list.html", facts)


def _row(request: MemberRequest, held_id: int) -> Held:
    row = Held.objects.filter(workspace=request.workspace, pk=held_id).select_related("sending").first()
    if row is None:
        raise Http404
    return row


def _message(row: Held) -> ReadMessage:
    message = Message.objects.filter(id=row.message_id or 0).first()
    if message is None:
        version = Version.objects.filter(workspace_id=row.workspace_id, id=row.sending.version_id or 0).first()
        if version is None:
            return ReadMessage()
        return ReadMessage(text=MARKER.sub("…", version.text) or None, html=MARKER.sub("#", version.html) or None)
    if message.raw is not None:
        return read(bytes(message.raw))
    return ReadMessage(text=message.text or None, html=message.html or None)


@require_safe
@audience(Role.EDITOR)
def held_message(request: MemberRequest, held_id: int) -> HttpResponse:
    """Why it waits, what it is, and the two ways out."""
    row = _row(request, held_id)
    (one,) = held.look([row])
    message = _message(row)
    facts = {
        "row": row,
        "one": one,
        "waits": row.decided_at is None and row.sending.state == "held",
        "why": fraud_words.all_said(row.reasons),
        "was": held.said_of(row) if row.decided_at else "",
        "campaign": Campaign.objects.filter(pk=row.sending.campaign_id or 0).first(),
        "key": ApiKey.objects.filter(workspace=request.workspace, pk=row.key_id or 0).first(),
        "message": message,
        "files": [
            {
                "name": part.filename or "–",
                "size": len(part.content),
                "bad": bool(files.look(part.filename, part.content)),
            }
            for part in message.attachments
        ],
        "ask": request.GET.get("ask", ""),
        "more": max(len(one.to) - 5, 0),
        "to": one.to[:5],
        "wait": request.workspace.take_back_seconds,
    }
    return render(request, "held/message.html", facts)


@require_safe
@xframe_options_exempt
@audience(Role.EDITOR)
def held_html(request: MemberRequest, held_id: int) -> HttpResponse:
    """Its HTML for a frame without scripts: nothing is fetched, not even from us, and links open nothing."""
    shown = _FETCHED.sub(f'src="{_NOTHING}"', _message(_row(request, held_id)).html or "")
    answer = HttpResponse('<base target="_blank">' + shown)
    answer["Content-Security-Policy"] = PREVIEW_POLICY.replace("img-src 'self' data:", "img-src data:")
    return answer


@require_POST
@audience(Role.EDITOR)
def decide_held(request: MemberRequest, held_id: int) -> HttpResponse:
    """Let it go, or refuse it for good; once, whoever is first."""
    row = _row(request, held_id)
    act = request.POST.get("act", "")
    if act not in ("release", "refuse"):
        raise Http404
    people = held.look([row])[0].people
    try:
        if act == "refuse":
            held.refuse(row, request.member)
            said = ngettext("Refused: %(n)s person gets nothing.", "Refused: %(n)s people get nothing.", people) % {
                "n": people
            }
            return see(request, "held", said=said)
        wait = request.workspace.take_back_seconds
        offered = held.release(row, request.member, wait=wait)
    except held.Decided as error:
        return refuse(request, "held", said=str(error))
    return see(request, "held", said=_("It leaves in %(n)s seconds.") % {"n": wait}, undo=offered)
