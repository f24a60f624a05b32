"""How do we work? Organisation, domains, members, journal; and one's own account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts import sessions
from envol.accounts import undo as undos
from envol.accounts.journal import note
from envol.accounts.models import DPO, JournalEntry, Member, Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.events import request_mail
from envol.outbound import domains as service
from envol.outbound import records
from envol.outbound.models import Domain
from envol.web import journal_words
from envol.web import language as languages
from envol.web.answers import refuse, see
from envol.web.difference import differences
from envol.web.doors import MemberRequest, audience
from envol.web.forms import ROLES, AccountForm, DomainForm, InviteForm, OrganisationForm, RepliesForm
from envol.web.paging import page_of
from envol.web.templatetags.envol import number

# Seconds since a domain was declared → seconds until the open page looks again.
_PAUSES = ((3600, 30), (6 * 3600, 120), (72 * 3600, 900))


def _workspace(request: MemberRequest) -> Workspace:
    return request.workspace


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def account(request: MemberRequest) -> HttpResponse:
    """One's own name, language and zone; password, codes and passkeys are one link away."""
    user = request.user
    form = AccountForm(request.POST or None, instance=user)
    if request.method == "POST" and form.is_valid():
        form.save()
        languages.remember(request, form.cleaned_data["language"])
        return see(request, "account", said=_("Your account is saved."))
    facts = {"form": form, "sessions": sessions.open_for(user, request.session.session_key)}
    return render(request, "settings/account.html", facts, status=form.status)


@require_POST
@audience(Role.VIEWER)
def end_sessions(request: MemberRequest) -> HttpResponse:
    """Sign out everywhere but here: a device was lost, or a browser was left open somewhere."""
    ended = sessions.end_others(request.user, request.session.session_key)
    note(_workspace(request), "member", "sessions.ended", request.member, actor_id=request.member.pk, sessions=ended)
    said = ngettext("%(n)s other session is ended.", "%(n)s other sessions are ended.", ended) % {"n": number(ended)}
    return see(request, "account", said=said if ended else _("You were signed in nowhere else."))


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.OWNER)
def organisation(request: MemberRequest) -> HttpResponse:
    workspace = _workspace(request)
    form = OrganisationForm(request.POST or None, instance=workspace)
    if request.method == "POST" and form.is_valid():
        changed = sorted(form.changed_data)
        form.save()
        if changed:
            note(workspace, "member", "workspace.changed", workspace, actor_id=request.member.pk, fields=changed)
        return see(request, "settings", said=_("The settings are saved."))
    return render(request, "settings/organisation.html", {"form": form}, status=form.status)


# ---- domains


def domain_of(request: MemberRequest, domain_id: int) -> Domain:
    found = Domain.objects.filter(workspace=_workspace(request), id=domain_id).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def domains(request: MemberRequest) -> HttpResponse:
    form = DomainForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = service.add(_workspace(request), form.cleaned_data["name"])
        except ValueError as error:
            form.add_error("name", str(error))
        else:
            return see(request, "domain", made.pk, said=_("The domain is declared. Publish these records, then check."))
    facts = {"domains": service.of(_workspace(request)), "form": form, "local": settings.ENVOL.route == "local"}
    return render(request, "settings/domains.html", facts, status=422 if request.method == "POST" else 200)


def _why(key: str) -> str:
    """What a record is for, in a sentence."""
    return {
        "dkim": _("Signs each message: receivers see that it comes from you and was not changed."),
        "spf": _("Names the machine that may send for the domain."),
        "dmarc": _("Says what receivers do with mail that only pretends to be yours, and where they report."),
        "return_mx": _("Bounces, complaints and reports come home here; your own mailboxes stay as they are."),
        "return_spf": _("The same permission for the address that bounces come home to."),
        "tls_rpt": _("Receivers and senders tell here when a connection could not be encrypted."),
        "mta_sts": _("Mail to your own mailboxes only ever travels encrypted; needs a policy file on a web server."),
        "own_sts": _("Mail that comes home to us only ever travels encrypted; we serve the policy ourselves."),
        "own_sts_host": _("Where senders fetch that policy by https: your proxy needs a certificate for this name."),
        "bimi": _("Shows your logo beside your messages, once DMARC says quarantine or reject."),
        "tracking": _("The host that links of your messages lead to can be found."),
        "reverse": _("The address we send from leads back to our name; large receivers refuse mail otherwise."),
    }.get(key, "")


def _records(one: Domain) -> list[dict[str, Any]]:
    """What to publish beside what was found, with the difference marked word by word."""
    found = {(f["record"], f["name"]): f for f in one.findings}
    dmarc = next((f for f in one.findings if f["record"] == "DMARC"), None)
    advice = [f for f in one.findings if f.get("level") == records.ADVICE]
    home = records.return_host(one.name)
    shown_records = []
    for record in [*service.expected_records(one), *advice]:
        finding = found.get((record["record"], record["name"])) or (dmarc if record["record"] == "DMARC" else None)
        shown = finding["found"] if finding else ""
        ok = bool(finding and finding["ok"])
        difference = [] if ok or not shown or not record["expected"] else differences(record["expected"], shown)
        unheard = record["key"] == "dmarc" and ok and home in record["expected"] and f"@{home}" not in shown
        shown_records.append(
            {
                **record,
                "found": shown,
                "ok": ok,
                "unknown": bool(finding and finding.get("unknown")),
                "difference": difference,
                "why": _why(record["key"]),
                "unheard": unheard,
                "tag": f"“rua=mailto:dmarc@{home}”",
            }
        )
    return shown_records


def _domain_facts(one: Domain) -> dict[str, Any]:
    """The page looks again by itself: often at first, since DNS changes arrive within minutes, then less and less."""
    waited = (timezone.now() - one.created_at).total_seconds()
    pause = next((pause for until, pause in _PAUSES if waited < until), 0)
    found = _records(one)
    return {
        "domain": one,
        "ready": bool(one.trusted or one.passed_at),
        "records": [r for r in found if r["level"] == records.NEEDED],
        "wanted": [r for r in found if r["level"] == records.WANTED],
        "advice": [r for r in found if r["level"] == records.ADVICE],
        "takes": bool(settings.ENVOL.inbound),
        "home": records.return_host(one.name),
        "zone": service.zone_of(one),
        "local": settings.ENVOL.route == "local",
        "pause": 0 if one.trusted or one.passed_at else pause,
        "next_check": timezone.now() + timedelta(seconds=pause),
    }


@require_safe
@audience(Role.EDITOR)
def domain(request: MemberRequest, domain_id: int) -> HttpResponse:
    one = domain_of(request, domain_id)
    form = RepliesForm(initial={"replies_to": one.replies_to})
    return render(request, "settings/domain.html", {**_domain_facts(one), "form": form})


@require_POST
@audience(Role.EDITOR)
def check_domain(request: MemberRequest, domain_id: int) -> HttpResponse:
    one = service.check(domain_of(request, domain_id))
    if request.headers.get("HX-Request") == "true":
        return render(request, "settings/_domain.html", _domain_facts(one))
    if one.passed_at:
        return see(request, "domain", one.pk, said=_("Every record is right: you can send from this domain."))
    return refuse(
        request,
        "domain",
        one.pk,
        said=_("Some records were not found as expected. DNS changes may take an hour; check again later."),
    )


@require_POST
@audience(Role.OWNER)
def replies(request: MemberRequest, domain_id: int) -> HttpResponse:
    """Where replies to mail of this domain go on to."""
    one = domain_of(request, domain_id)
    form = RepliesForm(request.POST)
    if form.is_valid():
        try:
            service.pass_replies_on(one, form.cleaned_data["replies_to"], actor_id=request.member.pk)
        except ValueError as error:
            form.add_error("replies_to", str(error))
        else:
            said = _("Replies are taken here from now on.") if one.replies_to else _("Replies go to the sender again.")
            return see(request, "domain", one.pk, said=said)
    return render(request, "settings/domain.html", {**_domain_facts(one), "form": form}, status=422)


# ---- members


def _members(workspace: Workspace) -> Any:
    return Member.objects.filter(workspace=workspace).select_related("user").order_by("user__email")


@require_safe
@audience(Role.OWNER)
def team(request: MemberRequest, form: InviteForm | None = None, status: int = 200) -> HttpResponse:
    facts = {"members": _members(_workspace(request)), "form": form or InviteForm(), "roles": ROLES}
    return render(request, "settings/team.html", facts, status=status)


def _role(chosen: str) -> tuple[Role, bool]:
    """Role, and whether it is that of the data-protection officer."""
    return (Role.VIEWER, True) if chosen == DPO else (Role(chosen), False)


@never_cache
@require_POST
@audience(Role.OWNER)
def invite(request: MemberRequest) -> HttpResponse:
    """An account that exists joins at once; a new one gets a link to choose its password, shown once."""
    workspace = _workspace(request)
    form = InviteForm(request.POST)
    facts: dict[str, Any] = {"members": _members(workspace), "form": form, "roles": ROLES}
    if not form.is_valid():
        return render(request, "settings/team.html", facts, status=422)
    email, role = form.cleaned_data["email"], form.cleaned_data["role"]
    if Member.objects.filter(workspace=workspace, user__email=email).exists():
        form.add_error("email", _("This person is a member already; change her role in the table."))
        return render(request, "settings/team.html", facts, status=422)
    with transaction.atomic():
        user, made = User.objects.get_or_create(
            email=email, defaults={"language": workspace.language, "time_zone": workspace.time_zone}
        )
        if made:
            user.set_unusable_password()
            user.save(update_fields=["password"])
            EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
        member = add_member(workspace, user, *_role(role))
        note(workspace, "member", "member.invited", member, actor_id=request.member.pk, role=role)
    if not made:
        return see(request, "team", said=_("The new member signs in with the account she has already."))
    # Not a redirect: the link is shown here and kept nowhere.
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"}).replace("UID-KEY", key)
    link = settings.ENVOL.base_url + path
    _mail_invitation(workspace, request.member, user, link)
    facts.update(form=InviteForm(), link=link, invited=user)
    return render(request, "settings/team.html", facts, status=201)


def _mail_invitation(workspace: Workspace, by: Member, user: User, link: str) -> None:
    """Ask the transactional road to carry the link too; in the language the new account starts with."""
    with translation.override(user.language):
        subject = _("%(who)s invites you to %(workspace)s") % {"who": by.user, "workspace": workspace.title}
        text = _(
            "Hello,\n\n%(who)s invites you to work on the e-mails of %(workspace)s.\n\n"
            "Choose your password here within three days:\n\n%(link)s\n\n"
            "If you did not expect this, leave it alone: without a password nobody enters."
        ) % {"who": by.user, "workspace": workspace.title, "link": link}
    request_mail(
        "invitation", user.email, {"subject": subject, "text": text}, workspace_id=workspace.pk, language=user.language
    )


@require_POST
@audience(Role.OWNER)
def change_member(request: MemberRequest, member_id: int) -> HttpResponse:
    """Another role, or out. The last owner stays one: nobody else could let people in."""
    workspace = _workspace(request)
    with transaction.atomic():
        list(Member.objects.select_for_update().filter(workspace=workspace, role=Role.OWNER))
        member = Member.objects.filter(workspace=workspace, id=member_id).first()
        if member is None:
            raise Http404
        role = request.POST.get("role", "")
        if role not in (*Role.values, DPO, "remove"):
            return refuse(request, "team", said=_("Choose one of the roles; nothing was changed."))
        others = Member.objects.filter(workspace=workspace, role=Role.OWNER).exclude(id=member.pk)
        if member.role == Role.OWNER and role != Role.OWNER and not others.exists():
            return refuse(request, "team", said=_("A workspace needs an owner: make somebody else owner first."))
        if role == "remove":
            note(workspace, "member", "member.removed", member, actor_id=request.member.pk, role=member.title)
            member.delete()
            return see(request, "team", said=_("The member is removed; her work stays."))
        note(workspace, "member", "member.changed", member, actor_id=request.member.pk, before=member.title, role=role)
        member.role, member.dpo = _role(role)
        member.save(update_fields=["role", "dpo"])
    return see(request, "team", said=_("The role is changed."))


# ---- journal


@require_safe
@audience(Role.OWNER)
def journal(request: MemberRequest) -> HttpResponse:
    workspace = _workspace(request)
    page = page_of(request, JournalEntry.objects.filter(workspace=workspace))
    ids = {row.actor_id for row in page.rows if row.actor_kind == "member" and row.actor_id}
    members = {m.pk: str(m.user) for m in Member.objects.filter(workspace=workspace, id__in=ids).select_related("user")}
    open_undos = undos.open_for([row.pk for row in page.rows])
    acts = request.member.role != Role.VIEWER  # the data-protection officer reads
    for row in page.rows:
        named = members.get(row.actor_id, "") if row.actor_kind == "member" else ""
        row.who = named or journal_words.ACTORS.get(row.actor_kind, row.actor_kind)
        row.did = journal_words.said(row.action)
        row.seen_at = journal_words.seen_at(row.object_kind, row.object_id)
        row.undoable = open_undos.get(row.pk) if acts else None
    return render(request, "settings/journal.html", {"page": page})
