"""Who gets nothing more: the whole list, one address of it, adding by hand, lifting with a reason."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role
from envol.consent import suppression
from envol.contacts.models import Contact
from envol.db import rows
from envol.outbound import mail_log
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience, may
from envol.web.paging import PAGE, Page
from envol.web.tables import line
from envol.web.views.consent import REASONS, SCOPES, found_entries
from envol.wire.address import AddressError, normalise

MOST = 100_000  # lines of a file
PEOPLE = 20_000
"""People on the list, the newest contacts first, whose digests are computed to name them: a thirtieth of a second."""
PART = 2_000  # of them, after which it may be that nobody is left to name
LENGTHS = {
    "": gettext_lazy("for ever"),
    "30": gettext_lazy("for 30 days"),
    "90": gettext_lazy("for 90 days"),
    "365": gettext_lazy("for a year"),
}
_LEDGER = re.compile(r"(?:outcome|report on) (\d{1,15})/(\d{1,15})")


def _lines(request: MemberRequest, entries: list[suppression.Entry]) -> list[dict[str, Any]]:
    """The list holds digests: whom a line means is told by the mail that led to it, or by who is still a contact."""
    workspace = request.workspace.pk
    keys = {entry.digest: key for entry in entries if (key := _ledger_key(entry.cause))}
    addresses = mail_log.addresses(workspace, list(set(keys.values())))
    known = _contacts_of(workspace, {entry.digest for entry in entries})
    found = []
    for entry in entries:
        contact, email = known.get(entry.digest, (None, ""))
        key = keys.get(entry.digest)
        found.append(
            {
                "entry": entry,
                "scope": SCOPES.get(entry.scope, entry.scope),
                "reason": REASONS.get(entry.reason, entry.reason),
                "contact": contact,
                "address": email or (addresses.get(key, "") if key else ""),
                "message": key if key in addresses else None,
            }
        )
    return found


def _contacts_of(workspace: int, wanted: set[bytes]) -> dict[bytes, tuple[int, str]]:
    """Id and address of those behind these digests who are still contacts; the newest are looked at first."""
    flagged = "SELECT email_key, id FROM contacts_contact WHERE workspace_id = %s AND (suppressed OR objected)"
    ids: dict[bytes, int] = {}
    below = 1 << 62
    for _part in range(PEOPLE // PART):
        people = rows(f"{flagged} AND id < %s ORDER BY id DESC LIMIT {PART}", [workspace, below])
        digests = suppression.digest_many(workspace, [key for key, _id in people])
        ids |= {digest: pk for digest, (_key, pk) in zip(digests, people, strict=True) if digest in wanted}
        if len(people) < PART or len(ids) == len(wanted):
            break
        below = people[-1][1]
    emails = dict(Contact.objects.filter(pk__in=ids.values()).values_list("pk", "email"))
    return {digest: (pk, emails[pk]) for digest, pk in ids.items() if pk in emails}


def _ledger_key(cause: str) -> tuple[int, int] | None:
    found = _LEDGER.match(cause)
    return (int(found[1]), int(found[2])) if found else None


def _place(text: str) -> tuple[datetime, bytes] | None:
    found = re.fullmatch(r"(\d{1,16})\.([0-9a-f]{64})", text, re.ASCII)
    if found is None:
        return None
    micros = int(found[1])
    try:
        at = datetime.fromtimestamp(micros // 1_000_000, UTC) + timedelta(microseconds=micros % 1_000_000)
    except (ValueError, OverflowError, OSError):
        return None
    return at, bytes.fromhex(found[2])


def _page(request: MemberRequest, status: int = 200, **more: Any) -> HttpResponse:
    workspace = request.workspace.pk
    reasons = suppression.reasons(workspace)
    scope, reason = request.GET.get("scope", ""), request.GET.get("reason", "")
    before = _place(request.GET.get("before", ""))
    entries = suppression.newest(workspace, PAGE + 1, scope=scope, reason=reason, before=before)
    kept = [(name, value) for name, value in (("scope", scope), ("reason", reason)) if value]
    older = ""
    if len(entries) > PAGE:
        last = entries[PAGE - 1]
        older = "?" + urlencode([*kept, ("before", f"{int(last.at.timestamp() * 1_000_000)}.{last.digest.hex()}")])
    facts = {
        "page": Page(_lines(request, entries[:PAGE]), older, ("?" + urlencode(kept)) if before else ""),
        "total": suppression.count(workspace),
        "kinds": [
            {
                "scope": scope_,
                "reason": reason_,
                "words": REASONS.get(reason_, reason_),
                "effect": SCOPES.get(scope_, scope_),
                "count": count,
                "here": (scope_, reason_) == (scope, reason),
            }
            for scope_, reason_, count in reasons
        ],
        "narrowed": bool(kept),
        "lengths": LENGTHS.items(),
        "is_owner": may(request, Role.OWNER),
        **more,
    }
    return render(request, "consent/suppressions.html", facts, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def suppressions(request: MemberRequest) -> HttpResponse:
    """The list; by POST what it says of one address (which belongs into no address of ours), and lifting that."""
    if request.method != "POST":
        return _page(request)
    if not may(request, Role.OWNER):
        return render(request, "errors/forbidden.html", {"least": Role.OWNER}, status=403)
    typed = request.POST.get("address", "").strip()
    try:
        key = normalise(typed).key
    except AddressError:
        wrong = {"address": _("Write one whole address, such as name@domain.org.")}
        return _page(request, 422, wrong=wrong, searched=typed)
    if request.POST.get("act") != "lift":
        return _page(request, **found_entries(request, typed, key))
    why = " ".join(request.POST.get("why", "").split())[:100]
    if not why or "@" in why:
        wrong = {"why": _("Say why the mailbox may be written to again, without the address.")}
        return _page(request, 422, wrong=wrong, why=why, **found_entries(request, typed, key))
    try:
        gone = suppression.lift_for(request.workspace.pk, key, "all", why, actor_id=request.member.pk)
    except PermissionError:
        wrong = {
            "why": _(
                "This was the person's own act: only she can take it back, by a form of yours or her preference page."
            )
        }
        return _page(request, 422, wrong=wrong, **found_entries(request, typed, key))
    if not gone:
        return refuse(request, "suppressions", said=_("Nothing was lifted: this address is no longer on the list."))
    return see(request, "suppressions", said=_("Lifted, and written into the journal with its cause."))


@require_POST
@audience(Role.OWNER)
def add_suppression(request: MemberRequest) -> HttpResponse:
    """By hand: nothing more at all, for a time or for ever; or what the person said, which only she takes back."""
    new = {name: " ".join(request.POST.get(name, "").split()) for name in ("address", "what", "why", "days")}
    wrong: dict[str, str] = {}
    key = ""
    try:
        key = normalise(new["address"]).key
    except AddressError:
        wrong["new_address"] = _("Write one whole address, such as name@domain.org.")
    if new["what"] not in ("all", "objection"):
        wrong["what"] = _("Choose one of the two.")
    if not new["why"] or "@" in new["why"]:
        wrong["new_why"] = _("Say why, without the address: it goes into the journal.")
    if new["days"] not in LENGTHS:
        wrong["days"] = _("Choose one of the lengths.")
    if wrong:
        return _page(request, 422, wrong=wrong, new=new)
    hers = new["what"] == "objection"
    until = timezone.now() + timedelta(days=int(new["days"])) if new["days"] and not hers else None
    scope, reason = ("marketing", "objection") if hers else ("all", "by_hand")
    fresh = suppression.add(request.workspace.pk, key, scope, reason, new["why"][:100], until=until)
    if not fresh:
        return refuse(request, "suppressions", said=_("This address is on the list already; the first reason stands."))
    note(
        request.workspace, "member", "suppression.added", actor_id=request.member.pk, scope=scope, reason=reason,
        cause=new["why"][:100], until=until.isoformat() if until else None,
    )  # fmt: skip
    return see(request, "suppressions", said=_("On the list: from now on the couriers leave this address out."))


@require_safe
@audience(Role.OWNER)
def suppressions_csv(request: MemberRequest) -> HttpResponse:
    """The list as a file: addresses where they are still known."""
    entries = suppression.newest(
        request.workspace.pk, MOST, scope=request.GET.get("scope", ""), reason=request.GET.get("reason", "")
    )
    out = ["\ufeff", line(["address", "scope", "reason", "cause", "since", "until"])]
    for one in _lines(request, entries):
        entry = one["entry"]
        until = entry.until.isoformat() if entry.until else ""
        out.append(line([one["address"], entry.scope, entry.reason, entry.cause, entry.at.isoformat(), until]))
    note(request.workspace, "member", "suppression.exported", actor_id=request.member.pk, lines=len(entries))
    answer = HttpResponse("".join(out), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="suppressed.csv"'
    return answer
