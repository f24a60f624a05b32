"""What happened to this message? The log of single messages, one of them in full, and sending it again."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol import db
from envol.accounts.models import ApiKey, Role
from envol.campaigns.models import Campaign
from envol.outbound import accept, dialogues, grounds, mail_log
from envol.outbound import resend as service
from envol.outbound.mail_log import Entry, Query
from envol.outbound.states import FINAL, STATES
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.masking import sees_addresses
from envol.web.paging import Page

KEYS = ("q", "state", "key", "since", "until")
STEPS = {
    "accepted": ("inbox", "calm", gettext_lazy("Accepted by us")),
    "deferred": ("clock", "warn", gettext_lazy("Put off")),
    "delivered": ("check", "ok", gettext_lazy("Taken by their server")),
    "bounced": ("cross", "bad", gettext_lazy("Refused")),
    "expired": ("cross", "bad", gettext_lazy("Given up: tried for too long")),
    "cancelled": ("stop", "warn", gettext_lazy("Cancelled")),
    "suppressed": ("stop", "warn", gettext_lazy("Not sent: a rule of ours said no")),
    "returned": ("undo", "bad", gettext_lazy("Came back later")),
    "complained": ("alert", "bad", gettext_lazy("Reported as unwanted")),
    "opened": ("eye", "calm", gettext_lazy("Opened")),
    "clicked": ("check", "calm", gettext_lazy("Clicked a link")),
    "unsubscribed": ("cross", "warn", gettext_lazy("Unsubscribed")),
}
KINDS = {
    "transactional": gettext_lazy("single message"),
    "system": gettext_lazy("mail of Envol itself"),
    "test": gettext_lazy("test of a campaign"),
    "campaign": gettext_lazy("campaign"),
    "resend": gettext_lazy("campaign, sent again to who did not click"),
    "again": gettext_lazy("campaign, sent again to one person"),
    "list": gettext_lazy("post to a mailing list"),
    "stored": gettext_lazy("mail for a server that was away"),
}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def query_of(request: MemberRequest) -> Query:
    """What the form asks for; days are those of the member's own calendar, the last one included."""
    given = request.GET
    since, until = _day(given.get("since", "")), _day(given.get("until", ""))
    key = given.get("key", "")
    return Query(
        words=given.get("q", "").strip()[:300],
        state=given.get("state", "") if given.get("state") in STATES else "",
        key_id=int(key) if key.isascii() and key.isdigit() and len(key) < 10 else None,
        since=_midnight(since) if since else None,
        until=_midnight(until + timedelta(days=1)) if until else None,
        addresses=sees_addresses(request),
    )


def key_names(request: MemberRequest) -> dict[int, str]:
    return dict(ApiKey.objects.filter(workspace=request.workspace).order_by("name").values_list("pk", "name"))


@require_safe
@audience(Role.VIEWER)
def mail(request: MemberRequest) -> HttpResponse:
    """Newest first; ``?q=`` is an address, an id or words of the subject."""
    query, names, slow = query_of(request), key_names(request), False
    try:
        found = mail_log.search(request.workspace.pk, query, request.GET.get("before", ""))
    except mail_log.BadCursor:
        raise Http404 from None
    except db.TooSlow:
        found, slow = mail_log.Page([], ""), True
    kept = [(key, request.GET[key]) for key in KEYS if request.GET.get(key)]
    older = "?" + urlencode([*kept, ("before", found.next)]) if found.next else ""
    first = ("?" + urlencode(kept)) if "before" in request.GET else ""
    facts = {
        "page": Page([_line(one, names) for one in found.entries], older, first),
        "slow": slow,
        "narrowed": bool(kept),
        "more": any(key != "q" for key, _value in kept),
        "states": STATES,
        "keys": names.items(),
        "by_address": sees_addresses(request),
    }
    return render(request, "mail/list.html", facts)


def _line(one: Entry, names: dict[int, str]) -> dict[str, Any]:
    return {"e": one, "kind": KINDS.get(one.kind, one.kind), "key": names.get(one.key_id or 0, "")}


def found(request: MemberRequest, sending_id: int, recipient_no: int) -> Entry:
    one = mail_log.entry(request.workspace.pk, sending_id, recipient_no)
    if one is None:
        raise Http404
    return one


@require_safe
@audience(Role.VIEWER)
def sent_message(request: MemberRequest, sending_id: int, recipient_no: int) -> HttpResponse:
    one = found(request, sending_id, recipient_no)
    steps = mail_log.history(one)
    said = dialogues.found(one.sending_id, one.no, [step["at"] for step in steps if step["attempt"]])
    campaign = Campaign.objects.filter(workspace=request.workspace, pk=one.campaign_id or 0).first()
    facts = {
        "campaign": campaign,
        "ground": grounds.of(request.workspace.pk, one.sending_id, one.no),
        "ours": mail_log.message_id_of(one) if sees_addresses(request) else "",
        "steps": [{**_step(step), "dialogue": said.get(step["at"], "")} for step in steps],
        "days": settings.ENVOL.dialogue_days,
        "may_cancel": request.member.role != Role.VIEWER and one.state in ("queued", "deferred"),
        "may_resend": request.member.role != Role.VIEWER and one.state in FINAL and one.kind in service.KINDS,
        **_line(one, key_names(request)),
    }
    return render(request, "mail/one.html", facts)


def _step(step: dict[str, Any]) -> dict[str, Any]:
    icon, tone, words = STEPS[step["what"]]
    said = " ".join(str(part) for part in (step["code"], step["enhanced"], step["reply"]) if part)
    return {**step, "icon": icon, "tone": tone, "words": words, "said": said}


@require_POST
@audience(Role.EDITOR)
def resend_message(request: MemberRequest, sending_id: int, recipient_no: int) -> HttpResponse:
    """A new sending to the same person; every gate is asked anew."""
    one = found(request, sending_id, recipient_no)
    try:
        made = service.resend(
            request.workspace.pk, one, actor="member", actor_id=request.member.pk, language=get_language() or "en"
        )
    except accept.Refused as error:
        return refuse(request, "sent_message", sending_id, recipient_no, said=str(error))
    said = _("It is sent again, as a new message: this is its page.")
    return see(request, "sent_message", *made, said=said)
