"""Mailing lists: who may write to whom by one address, and the messages that wait for a moderator."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role, Workspace
from envol.audience.models import Segment
from envol.collect import by_mail
from envol.consent.models import Purpose
from envol.contacts.models import List
from envol.outbound import archive, list_people, mailing
from envol.outbound.models import Domain, MailingList, Post, PostState
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of
from envol.web.templatetags.envol import label
from envol.wire.message.read import read


class MailingForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("Title"), max_length=100)
    moderators = forms.CharField(
        label=gettext_lazy("Moderators"),
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=5000,
        help_text=gettext_lazy("One address a line. They write to the list and decide on messages, by mail or here."),
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Who may write"),
        choices=[
            ("announcement", gettext_lazy("moderators only (announcements)")),
            ("discussion", gettext_lazy("members too; a moderator lets each message through")),
            ("open", gettext_lazy("members too, at once while the list has 200 members at most")),
        ],
        help_text=gettext_lazy(
            "A message leaves at once only if its signature proves who wrote it; else its author, or a moderator,"
            " confirms it."
        ),
    )
    archive = forms.ChoiceField(
        label=gettext_lazy("Archive"),
        choices=[
            (archive.NONE, gettext_lazy("none: messages are forgotten after 90 days")),
            (archive.MEMBERS, gettext_lazy("its people read it, by the link on their own page")),
            (archive.PUBLIC, gettext_lazy("everybody reads it")),
        ],
        initial=archive.NONE,
        help_text=gettext_lazy(
            "For messages that leave from now on, for two years. Addresses are never shown; authors take theirs out"
            " themselves."
        ),
    )
    max_kib = forms.IntegerField(
        label=gettext_lazy("Largest message, in KiB"), min_value=8, max_value=8192, initial=256
    )
    attachments = forms.BooleanField(label=gettext_lazy("Attachments are allowed (never programs)"), required=False)
    joins = forms.BooleanField(
        label=gettext_lazy("People may join by mail"),
        required=False,
        help_text=gettext_lazy(
            "By a mail to the list’s name with -join; they confirm by a link under the words of the purpose. The"
            " sign-up form of its people has to be open and require nothing but the address."
        ),
    )
    tagged = forms.BooleanField(
        label=gettext_lazy("The title stands before each subject"), required=False, initial=True
    )

    @property
    def rules(self) -> dict[str, Any]:
        found = self.cleaned_data
        return {
            "title": " ".join(found["title"].split()),
            "discussion": found["kind"] != "announcement",
            "open": found["kind"] == "open",
            "max_kib": found["max_kib"],
            "archive": found["archive"],
            "attachments": found["attachments"],
            "prefix": found["tagged"],
            "joins": found["joins"],
        }


def _name(thing: Domain | List | Segment) -> str:
    return thing.name


class NewMailingForm(MailingForm):
    name = forms.CharField(
        label=gettext_lazy("Name before the @"), max_length=40, help_text=gettext_lazy("For example club.")
    )
    domain = forms.ModelChoiceField(Domain.objects.none(), label=gettext_lazy("Domain"), empty_label=None)
    people = forms.ModelChoiceField(
        List.objects.none(),
        label=gettext_lazy("Its people"),
        empty_label=gettext_lazy("no list: a segment chooses them"),
        required=False,
        help_text=gettext_lazy("Those on this list of contacts who allow the purpose below."),
    )
    segment = forms.ModelChoiceField(
        Segment.objects.none(),
        label=gettext_lazy("Or the people of a segment"),
        empty_label=gettext_lazy("no segment"),
        required=False,
        help_text=gettext_lazy("For announcements: each message goes to those whom the segment chooses on that day."),
    )
    purpose = forms.ModelChoiceField(
        Purpose.objects.none(),
        label=gettext_lazy("Purpose"),
        empty_label=None,
        help_text=gettext_lazy("What its people allow, and take back when they leave."),
    )
    field_order = (
        "title",
        "name",
        "domain",
        "people",
        "segment",
        "purpose",
        "moderators",
        "kind",
        "archive",
        "max_kib",
    )

    def __init__(self, *args: Any, workspace: Workspace, **more: Any) -> None:
        super().__init__(*args, **more)
        rows: dict[str, Any] = {
            "domain": Domain.objects.filter(workspace=workspace).order_by("name"),
            "people": List.objects.filter(workspace=workspace).order_by("name"),
            "segment": Segment.objects.filter(workspace=workspace).order_by("name"),
            "purpose": Purpose.objects.filter(workspace=workspace, kind="marketing").order_by("bit"),
        }
        for name, found in rows.items():
            field: Any = self.fields[name]
            field.queryset = found
            field.label_from_instance = label if name == "purpose" else _name
        self.lacking = {name for name, found in rows.items() if not found.exists()}
        if "segment" in self.lacking:
            self.fields["segment"].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        """A list, or a segment: one of them."""
        found = super().clean() or {}
        if bool(found.get("people")) == bool(found.get("segment")):
            self.add_error("people", _("Choose a list or a segment: one of them says who gets the messages."))
        return found


def _joinable(form: MailingForm, people: List | None, purpose_id: int) -> None:
    """Raises `mailing.Invalid` when people shall join by mail and nothing could ask them."""
    if form.cleaned_data["joins"] and (people is None or by_mail.fitting(people, purpose_id) is None):
        raise mailing.Invalid(
            "joins",
            _(
                "Open the sign-up form of its people first (Contacts, Lists): it has to ask for this purpose, and"
                " require nothing but the address."
            ),
        )


def _one(request: MemberRequest, mailing_id: int) -> MailingList:
    found = MailingList.objects.select_related("domain", "workspace", "sending").filter(
        workspace=request.workspace, pk=mailing_id
    )
    if (one := found.first()) is None:
        raise Http404
    return one


@require_safe
@audience(Role.EDITOR)
def mailing_lists(request: MemberRequest) -> HttpResponse:
    rows = list(
        MailingList.objects.filter(workspace=request.workspace, closed_at=None)
        .select_related("domain")
        .order_by("title")
    )
    lines = [
        {
            "list": one,
            "address": mailing.address_of(one),
            "members": None if one.segment_id else list_people.members(one),
            "held": one.posts.filter(state=PostState.HELD).count(),
        }
        for one in rows
    ]
    return render(request, "mailing/list.html", {"lines": lines, "takes": bool(settings.ENVOL.inbound)})


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def new_mailing_list(request: MemberRequest) -> HttpResponse:
    workspace = request.workspace
    form = NewMailingForm(
        request.POST or None, workspace=workspace, initial={"moderators": request.user.email, "tagged": True}
    )
    if request.method == "POST" and form.is_valid():
        facts = form.cleaned_data
        try:
            with transaction.atomic():
                people = facts["people"] or facts["segment"]
                if isinstance(people, List):
                    _joinable(form, people, facts["purpose"].pk)
                made = mailing.create(workspace, facts["domain"], facts["name"], people, facts["purpose"], **form.rules)
                mailing.moderate(made, facts["moderators"].split())
        except mailing.Invalid as error:
            form.add_error(error.field, str(error))
        else:
            return see(request, "mailing_list", made.pk, said=_("The mailing list is made."))
    status = 422 if request.method == "POST" else 200
    return render(request, "mailing/new.html", {"form": form}, status=status)


@require_safe
@audience(Role.EDITOR)
def mailing_list(request: MemberRequest, mailing_id: int) -> HttpResponse:
    return _page(request, _one(request, mailing_id))


def _page(request: MemberRequest, one: MailingList, form: MailingForm | None = None) -> HttpResponse:
    kind = "announcement" if not one.discussion else "open" if one.open else "discussion"
    moderators = "\n".join(one.moderators.order_by("address").values_list("address", flat=True))
    rules = {"title": one.title, "moderators": moderators, "kind": kind, "max_kib": one.max_kib}
    rules |= {"archive": one.archive, "joins": one.joins}
    facts = {
        "one": one,
        "address": mailing.address_of(one),
        "join": mailing.address_of(one, mailing.JOIN) if one.joins and not one.closed_at else "",
        "joinable": by_mail.form_of(one) is not None,
        "members": list_people.members(one),
        "daily": one.daily_readers.count(),
        "people": List.objects.filter(pk=one.list_id or 0).first(),
        "segment": Segment.objects.filter(pk=one.segment_id or 0).first(),
        "purpose": Purpose.objects.filter(pk=one.purpose_id).first(),
        "held": one.posts.filter(state=PostState.HELD).defer("raw").order_by("id"),
        "page": page_of(request, one.posts.exclude(state=PostState.HELD).defer("raw")),
        "form": form or MailingForm(initial={**rules, "attachments": one.attachments, "tagged": one.prefix}),
        "takes": bool(settings.ENVOL.inbound),
        "public": f"{settings.ENVOL.base_url}/l/at/{mailing.address_of(one)}" if one.archive == archive.PUBLIC else "",
        "ask": "ask" in request.GET,
        "many": one.open and list_people.members(one) > mailing.OPEN_MOST,
    }
    return render(request, "mailing/one.html", facts, status=422 if form else 200)


@require_POST
@audience(Role.EDITOR)
def change_mailing_list(request: MemberRequest, mailing_id: int) -> HttpResponse:
    """Its rules and moderators; or closing it, after which its address takes nothing."""
    one = _one(request, mailing_id)
    if request.POST.get("act") == "close":
        MailingList.objects.filter(pk=one.pk).update(closed_at=timezone.now())
        note(one.workspace, "member", "mailing_list.closed", one, actor_id=request.member.pk)
        return see(request, "mailing_lists", said=_("The mailing list is closed: its address takes nothing any more."))
    form = MailingForm(request.POST)
    if not form.is_valid():
        return _page(request, one, form)
    try:
        with transaction.atomic():
            if one.segment_id:
                mailing.suit_segment(form.rules)
            _joinable(form, List.objects.filter(pk=one.list_id or 0).first(), one.purpose_id)
            mailing.moderate(one, form.cleaned_data["moderators"].split())
            MailingList.objects.filter(pk=one.pk).update(**form.rules)
            note(one.workspace, "member", "mailing_list.changed", one, actor_id=request.member.pk)
    except mailing.Invalid as error:
        form.add_error(error.field, str(error))
        return _page(request, one, form)
    return see(request, "mailing_list", one.pk, said=_("The rules are saved."))


def _post(request: MemberRequest, post_id: int) -> Post:
    found = Post.objects.select_related("mailing_list__domain").filter(
        pk=post_id, mailing_list__workspace=request.workspace
    )
    if (post := found.first()) is None:
        raise Http404
    return post


@require_safe
@audience(Role.EDITOR)
def post(request: MemberRequest, post_id: int) -> HttpResponse:
    one = _post(request, post_id)
    message = read(bytes(one.raw))
    facts = {"post": one, "message": message, "text": message.text or one.text, "size": len(bytes(one.raw))}
    return render(request, "mailing/post.html", facts)


@require_POST
@audience(Role.EDITOR)
def decide_post(request: MemberRequest, post_id: int) -> HttpResponse:
    one = _post(request, post_id)
    act = request.POST.get("act")
    if act == "remove" and one.archived:
        archive.remove(one)
        note(one.mailing_list.workspace, "member", "mailing_list.removed", one.mailing_list,
             actor_id=request.member.pk, post=one.pk)  # fmt: skip
        return see(request, "mailing_list", one.mailing_list_id, said=_("The message is out of the archive."))
    if act not in ("accept", "refuse"):
        return refuse(request, "post", one.pk, said=_("There is no such act; nothing was changed."))
    if not mailing.decide(
        one.pk, act == "accept", request.user.email, request.member, said=request.POST.get("said", "")
    ):
        return refuse(request, "mailing_list", one.mailing_list_id, said=_("Somebody decided on this message already."))
    said = _("The message goes to the list now.") if act == "accept" else _("The message is refused; nobody gets it.")
    return see(request, "mailing_list", one.mailing_list_id, said=said)
