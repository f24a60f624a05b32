"""The captured mail of the ``local`` route, and mail that people wrote to us, as pages and as JSON.

Open to owners and API keys and to nobody else, because password mails land here too.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db.models.functions import Substr
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_http_methods, require_safe

from envol.accounts.models import Role, Scope
from envol.outbound import captured
from envol.outbound.models import Captured, CapturedKind
from envol.web.answers import see
from envol.web.doors import MemberRequest, api_key_or, audience
from envol.web.paging import page_of
from envol.web.safety import PREVIEW_POLICY
from envol.web.templatetags.envol import number
from envol.wire.dkim_verify import Reason
from envol.wire.message import read
from envol.wire.message.read import ReadMessage

MOST = 1000  # messages of one answer
MANY = 1000  # messages, above which emptying the inbox asks for the number
VIEWS = ("html", "text", "headers", "source", "files")
HEAD = 16_384  # octets of a message in which its header fields stand
EMBEDDED = 2 << 20  # octets of a picture that is shown where the message names it
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_PIXEL = re.compile(r"https?://[^\s\"'<>]*/o/[A-Za-z0-9_-]{20,}")


def as_dict(row: Captured) -> dict[str, Any]:
    raw = bytes(row.raw)
    message = read(raw)
    return {
        "id": row.id,
        "received_at": row.received_at.isoformat(),
        "envelope_from": row.envelope_from,
        "envelope_to": row.envelope_to,
        "subject": message.subject,
        "headers": [list(pair) for pair in message.headers],
        "text": message.text,
        "html": message.html,
        "raw": raw.decode("utf-8", "replace"),
    }


@require_safe
@api_key_or(Role.OWNER, Scope.READ)
def inbox_json(request: HttpRequest) -> JsonResponse:
    """A list, newest last: the latest 1,000, or with ``?after=ID`` those that came later, ``?limit=N`` at a time.

    When more may follow, the header Link names where (RFC 8288, ``rel="next"``).
    """
    try:
        after = int(request.GET.get("after", 0))
        limit = min(max(int(request.GET.get("limit", MOST)), 1), MOST)
    except ValueError:
        return JsonResponse({"error": "after and limit are whole numbers."}, status=400)
    rows = captured.of(request.workspace, kind=CapturedKind.CAPTURED)  # type: ignore[attr-defined]
    if "after" in request.GET:
        page = list(rows.filter(id__gt=after).order_by("id")[:limit])
    else:
        page = list(reversed(rows.order_by("-id")[:limit]))
    answer = JsonResponse([as_dict(row) for row in page], safe=False)
    if len(page) == limit:
        answer["Link"] = f'</inbox.json?after={page[-1].id}&limit={limit}>; rel="next"'
    return answer


@require_safe
@audience(Role.OWNER)
def inbox(request: MemberRequest) -> HttpResponse:
    """Newest first, 50 a page; ``?before=ID`` goes back, ``?q=`` looks in subject, sender and recipient, ``?kind=``
    chooses what was captured, replies, or mail for the people of a domain."""
    query = request.GET.get("q", "").strip()[:200]
    there = captured.kinds(request.workspace)
    kind = _kind(request.GET.get("kind", ""), there)
    rows = captured.of(request.workspace, query, kind)
    page = page_of(request, rows.defer("raw").annotate(head=Substr("raw", 1, HEAD)))
    for row in page.rows:
        row.sender = read(bytes(row.head)).get("From") or row.envelope_from
    facts = {
        "page": page,
        "query": query,
        "total": rows.count(),
        "newest": page.rows[0].id if page.rows else 0,
        "many": MANY,
        "ask": "ask" in request.GET,
        "local": settings.ENVOL.route == "local",
        "kind": kind,
        "kinds": [(one, _kind_word(one), there.get(one, 0)) for one in _shown(there)],
    }
    return render(request, "inbox/list.html", facts)


def _shown(there: Mapping[str, int]) -> list[str]:
    """The kinds this installation can have, or has."""
    local, takes = settings.ENVOL.route == "local", bool(settings.ENVOL.inbound)
    possible = {CapturedKind.CAPTURED: local, CapturedKind.REPLY: takes, CapturedKind.PEOPLE: takes}
    return [str(one) for one, can in possible.items() if can or there.get(one)]


def _kind(wanted: str, there: Mapping[str, int]) -> str:
    shown = _shown(there) or [str(CapturedKind.CAPTURED)]
    return wanted if wanted in shown else shown[0]


def _kind_word(kind: str) -> str:
    return {
        CapturedKind.CAPTURED: _("Captured"),
        CapturedKind.REPLY: _("Replies"),
        CapturedKind.PEOPLE: _("Postmaster and abuse"),
    }[CapturedKind(kind)]


@require_http_methods(["POST"])
@audience(Role.OWNER)
def empty(request: MemberRequest) -> HttpResponse:
    """Delete what the page showed; above a thousand messages their number is typed."""
    up_to = request.POST.get("up_to", "")
    if not (up_to.isascii() and up_to.isdigit() and len(up_to) < 19):
        raise Http404
    kind = request.POST.get("kind", CapturedKind.CAPTURED)
    if kind not in CapturedKind.values:
        raise Http404
    there = captured.of(request.workspace, kind=kind).filter(id__lte=int(up_to)).count()
    if there > MANY and "".join(c for c in request.POST.get("typed", "") if c.isdigit()) != str(there):
        said = _("Nothing was deleted: type the number of messages, %(n)s, to confirm.") % {"n": number(there)}
        return see(request, "inbox", said=said)
    gone = captured.throw_away(request.workspace, int(up_to), request.member, kind)
    said = ngettext("%(n)s message is deleted.", "%(n)s messages are deleted.", gone) % {"n": number(gone)}
    return see(request, "inbox", said=said)


def _one(request: MemberRequest, message_id: int) -> Captured:
    row = captured.of(request.workspace).filter(id=message_id).first()
    if row is None:
        raise Http404
    return row


def _said(reason: Reason) -> str:
    return {
        Reason.OK: _("signature good"),
        Reason.SYNTAX: _("the signature cannot be read"),
        Reason.ALGORITHM: _("an algorithm that receivers do not accept"),
        Reason.FROM_OPEN: _("the sender’s address is not signed"),
        Reason.BODY_OPEN: _("the end of the message is not signed"),
        Reason.EXPIRED: _("the signature had expired"),
        Reason.NO_KEY: _("no key of ours has this name"),
        Reason.REVOKED: _("the key was revoked"),
        Reason.BAD_KEY: _("the key’s record cannot be used"),
        Reason.BODY: _("the body was changed after signing"),
        Reason.SIGNATURE: _("a header was changed after signing, or another key signed"),
    }[reason]


@require_safe
@audience(Role.OWNER)
def message(request: MemberRequest, message_id: int) -> HttpResponse:
    """One message; ``?view=`` chooses what of it, ``?width=phone`` how wide its HTML is shown."""
    row = _one(request, message_id)
    found = read(bytes(row.raw))
    there = [view for view in VIEWS if _has(found, view)]
    wanted = request.GET.get("view", "")
    newer, older = captured.neighbours(row)
    view = wanted if wanted in there else there[0]
    facts = {
        "row": row,
        "message": found,
        "view": view,
        "tabs": [(one, _tab(one, found), f"?{urlencode({'view': one})}") for one in there],
        "phone": request.GET.get("width") == "phone",
        "kind": row.kind,
        "kind_word": _kind_word(row.kind),
        "ours": row.kind == CapturedKind.CAPTURED,
        "verdicts": [{"v": verdict, "said": _said(verdict.reason)} for verdict in captured.verdicts(row)],
        "unsubscribe": _unsubscribe(found),
        "one_click": "one-click" in (found.get("List-Unsubscribe-Post") or "").lower(),
        "source": bytes(row.raw).decode("utf-8", "replace") if view == "source" else "",
        "size": len(bytes(row.raw)),
        "newer": newer,
        "older": older,
    }
    return render(request, "inbox/message.html", facts)


def _has(found: ReadMessage, view: str) -> bool:
    return {"html": bool(found.html), "text": bool(found.text), "files": bool(found.attachments)}.get(view, True)


def _tab(view: str, found: ReadMessage) -> str:
    return {
        "html": _("HTML"),
        "text": _("Text"),
        "headers": _("Headers"),
        "source": _("Source"),
        "files": _("Attachments (%(n)s)") % {"n": len(found.attachments)},
    }[view]


def _unsubscribe(found: ReadMessage) -> str:
    """The web address of List-Unsubscribe (RFC 2369 §3.2), or nothing."""
    address = re.search(r"<(https?://[^<>\s]+)>", found.get("List-Unsubscribe") or "")
    return address[1] if address else ""


@require_safe
@audience(Role.OWNER)
def file(request: MemberRequest, message_id: int, no: int) -> HttpResponse:
    """An attachment, always to be saved and never to be shown: it came from anywhere."""
    parts = read(bytes(_one(request, message_id).raw)).attachments
    if not 1 <= no <= len(parts):
        raise Http404
    part = parts[no - 1]
    answer = HttpResponse(part.content, content_type="application/octet-stream")
    name = quote(part.filename or f"part-{no}", safe="")
    answer["Content-Disposition"] = f"attachment; filename*=utf-8''{name}"  # RFC 6266 §4.1
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox; frame-ancestors 'none'"
    return answer


@require_safe
@xframe_options_exempt
@audience(Role.OWNER)
def html(request: MemberRequest, message_id: int) -> HttpResponse:
    """The message's HTML alone, for a frame without scripts; no picture is fetched from elsewhere.

    An owner who looks is not the reader: the pixel is taken out, and links open nothing (they would
    need a new window, which the frame's sandbox refuses), so nothing is counted.
    """
    message = read(bytes(_one(request, message_id).raw))
    shown = _PIXEL.sub("data:,", message.html or "")
    for part in message.attachments:
        if part.content_id and part.content_type in _PICTURES and len(part.content) <= EMBEDDED:
            data = f"data:{part.content_type};base64,{b64encode(part.content).decode('ascii')}"
            shown = shown.replace(f"cid:{part.content_id}", data)
    answer = HttpResponse('<base target="_blank">' + shown)
    answer["Content-Security-Policy"] = PREVIEW_POLICY
    return answer
