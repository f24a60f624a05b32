"""Which programs may come in, and what may each do?"""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django.db.models.functions import Now
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.accounts.journal import note
from envol.accounts.models import ApiKey, Member, Role, Scope, Workspace
from envol.accounts.workspaces import create_api_key, measure_singles, refuse_late
from envol.api import declared
from envol.consent import similar
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.forms import DeclareForm, KeyForm, KeyLimitsForm
from envol.web.paging import page_of

_SHORT = {
    Scope.SMTP.value: "SMTP",
    Scope.READ.value: gettext_lazy("captured mail"),
    Scope.EVENTS.value: gettext_lazy("events"),
    Scope.ORDERS.value: gettext_lazy("orders"),
    Scope.SEGMENTS.value: gettext_lazy("segments"),
    Scope.CONSENT.value: gettext_lazy("permissions"),
    Scope.CONTACTS.value: gettext_lazy("contacts"),
    Scope.CAMPAIGNS.value: gettext_lazy("campaigns"),
    Scope.RESULTS.value: gettext_lazy("results"),
}


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.paused_at is not None:
        return "paused"
    return "ended" if key.expires_at is not None and key.expires_at <= timezone.now() else "active"


def _list(request: MemberRequest, form: KeyForm, status: int = 200, **more: Any) -> HttpResponse:
    page = page_of(request, ApiKey.objects.filter(workspace=request.workspace))
    for row in page.rows:
        row.state = _state(row)
        row.may = ", ".join(str(_SHORT[scope]) for scope in row.scopes if scope in _SHORT)
    return render(request, "settings/keys.html", {"page": page, "form": form, **more}, status=status)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.OWNER)
def keys(request: MemberRequest) -> HttpResponse:
    form = KeyForm(request.POST or None)
    if request.method != "POST":
        return _list(request, form)
    if not form.is_valid():
        return _list(request, form, 422)
    limits = Limits(scopes=form.cleaned_data["scopes"])
    made = create_api_key(request.workspace, form.cleaned_data["name"], limits, by="member", actor_id=request.member.pk)
    # Not a redirect: the secret is shown here and kept nowhere.
    return _list(request, KeyForm(), 201, made=made)


@require_POST
@audience(Role.OWNER)
def late_refusal(request: MemberRequest) -> HttpResponse:
    """When do programs hear that they wrote as somebody they are not, or that a template cannot be filled in?"""
    when = request.POST.get("when")
    if when not in ("at_once", "later"):
        return refuse(request, "keys", said=_("Choose when programs hear of it."))
    changed = refuse_late(request.workspace, when == "later", request.member)
    said = (
        _("Programs hear of it later: such a message is answered as accepted, never leaves, and is told as blocked.")
        if when == "later"
        else _("Programs hear of it at once: such a message is refused.")
    )
    return see(request, "keys", said=said, anchor="late", undo=changed)


@require_POST
@audience(Role.OWNER)
def single_messages(request: MemberRequest) -> HttpResponse:
    """Are they measured where a program does not say?"""
    opens, clicks = "opens" in request.POST, "clicks" in request.POST
    changed = measure_singles(request.workspace, opens, clicks, request.member)
    said = (
        _("Single messages are measured from now on, as far as each recipient allows.")
        if opens or clicks
        else _("Single messages are measured only where their program asks for it.")
    )
    return see(request, "keys", said=said, anchor="singles", undo=changed)


def _key(request: MemberRequest, key_id: int) -> ApiKey:
    key = ApiKey.objects.filter(workspace=request.workspace, id=key_id).first()
    if key is None:
        raise Http404
    return key


def _day(key: ApiKey, workspace: Workspace) -> Any:
    return key.expires_at.astimezone(workspace.zone).date() if key.expires_at else None


def _one(
    request: MemberRequest, one: ApiKey, form: KeyLimitsForm, declaring: DeclareForm, status: int = 200
) -> HttpResponse:
    hour, day = api_keys.sent_lately([one.pk]).get(one.pk, (0, 0))
    declaration = declared.of(one)
    facts = {
        "key": one,
        "state": _state(one),
        "form": form,
        "hour": hour,
        "day": day,
        "brings": Scope.CONTACTS.value in one.scopes,
        "declaration": declaration,
        "given_by": declaration.evidence.facts.get(declared.GIVEN_BY, "") if declaration else "",
        "declared_by": _member(request.workspace, declaration.evidence.member_id) if declaration else "",
        "declaring": declaring,
        **_about(one),
    }
    return render(request, "settings/key.html", facts, status=status)


def _about(one: ApiKey) -> dict[str, Any]:
    """Asked of whoever drafts campaigns, when existing customers are among the people."""
    if Scope.CAMPAIGNS.value not in one.scopes:
        return {}
    asked = similar.some(one.workspace_id)
    bought = similar.known(one.workspace_id) if asked else []
    return {
        "drafts": asked or one.product_family or one.seller,
        "bought": bought,
        "families": sorted({family for family, _seller, _n in bought if family}),
        "sellers": sorted({seller for _family, seller, _n in bought if seller}),
    }


def _member(workspace: Workspace, member_id: int | None) -> str:
    found = Member.objects.filter(workspace=workspace, pk=member_id or 0).select_related("user").first()
    return str(found.user) if found else _("somebody who left")


def _limits(one: ApiKey, workspace: Workspace) -> dict[str, Any]:
    return {
        "scopes": one.scopes,
        "senders": "\n".join(one.senders),
        "per_hour": one.per_hour,
        "per_day": one.per_day,
        "most_recipients": one.most_recipients,
        "ends_on": _day(one, workspace),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.OWNER)
def key(request: MemberRequest, key_id: int) -> HttpResponse:
    """One program: what it may do, what it did lately, and how to stop it."""
    one, workspace = _key(request, key_id), request.workspace
    form = KeyLimitsForm(request.POST or None, initial=_limits(one, workspace))
    if request.method == "POST" and form.is_valid():
        if one.revoked_at is not None:
            return refuse(request, "key", one.pk, said=_("The key is revoked: it opens nothing any more."))
        given = dict(form.cleaned_data)
        ends_on = given.pop("ends_on")
        ends = datetime.combine(ends_on, time(23, 59, 59), workspace.zone) if ends_on else None
        api_keys.limit(one, Limits(**given, expires_at=ends), by="member", actor_id=request.member.pk)
        return see(request, "key", one.pk, said=_("Saved: the key may do this from its next message on."))
    return _one(request, one, form, DeclareForm(workspace), 422 if request.method == "POST" else 200)


@require_POST
@audience(Role.OWNER)
def declare_key(request: MemberRequest, key_id: int) -> HttpResponse:
    """Where the people agreed whom this program adds, in the words of the member who says so; or that nothing is said
    any more."""
    one = _key(request, key_id)
    if request.POST.get("act") == "end":
        declared.end(one, request.member)
        said = _("Nothing is declared any more: people it adds from now on are kept and not written to.")
        return see(request, "key", one.pk, said=said, anchor="declared")
    form = DeclareForm(request.workspace, request.POST)
    if not form.is_valid():
        return _one(request, one, KeyLimitsForm(initial=_limits(one, request.workspace)), form, 422)
    given = form.cleaned_data
    declared.declare(
        one, given["purpose"], given["source"], given["statement"], request.member, given_by=given["given_by"]
    )
    said = _("Declared: people whom this program adds to a list from now on may be written to for this purpose.")
    return see(request, "key", one.pk, said=said, anchor="declared")


@require_POST
@audience(Role.OWNER)
def key_about(request: MemberRequest, key_id: int) -> HttpResponse:
    one = _key(request, key_id)
    if one.revoked_at is not None:
        return refuse(request, "key", one.pk, said=_("The key is revoked: it opens nothing any more."))
    family, seller = (request.POST.get(name, "") for name in ("product_family", "seller"))
    api_keys.is_about(one, family, seller, by="member", actor_id=request.member.pk)
    return see(
        request, "key", one.pk, said=_("Saved: campaigns that it drafts from now on are about this."), anchor="about"
    )


@require_POST
@audience(Role.OWNER)
def pause_key(request: MemberRequest, key_id: int) -> HttpResponse:
    one = _key(request, key_id)
    reason = request.POST.get("reason", "").strip()
    if not reason:
        return refuse(request, "key", one.pk, said=_("Say why it is paused: the program and your colleagues read it."))
    api_keys.pause(one, reason, by="member", actor_id=request.member.pk)
    return see(request, "key", one.pk, said=_("The key is paused: it opens nothing until somebody resumes it."))


@require_POST
@audience(Role.OWNER)
def resume_key(request: MemberRequest, key_id: int) -> HttpResponse:
    one = _key(request, key_id)
    api_keys.resume(one, by="member", actor_id=request.member.pk)
    return see(request, "key", one.pk, said=_("The key opens again what it may."))


@require_POST
@audience(Role.OWNER)
def revoke_key(request: MemberRequest, key_id: int) -> HttpResponse:
    one = _key(request, key_id)
    if ApiKey.objects.filter(id=one.pk, revoked_at__isnull=True).update(revoked_at=Now()):
        note(request.workspace, "member", "api_key.revoked", one, actor_id=request.member.pk)
    return see(request, "keys", said=_("The key is revoked: it opens nothing any more."))
