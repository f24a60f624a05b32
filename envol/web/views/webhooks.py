"""Which programs are told what happened, and which get mail? With the log of what each was told, and a test."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Role
from envol.api.hooks import endpoints, parse, payloads, runner
from envol.events import outbox
from envol.events.models import Endpoint, EndpointState, Kind
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of

_URL = {"type": "url", "placeholder": "https://", "autocapitalize": "none", "spellcheck": "false"}
FORMS = (
    ("standard", gettext_lazy("Envol’s: one event a call, signed (Standard Webhooks)")),
    ("dialect", gettext_lazy("As programs written for Mailjet expect it")),
)
STATES = (
    ("", gettext_lazy("all")),
    ("waiting", gettext_lazy("waiting")),
    ("told", gettext_lazy("told")),
    ("given_up", gettext_lazy("not taken")),
    ("dropped", gettext_lazy("not told")),
)


class WebhookForm(forms.Form):
    url = forms.CharField(
        label=gettext_lazy("Address of the program"),
        max_length=2000,
        widget=forms.TextInput(attrs=_URL),
        help_text=gettext_lazy(
            "Over https. A user and password may stand before the host: https://user:password@host/path."
        ),
    )
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("What is it told?"),
        error_messages={
            "required": gettext_lazy("Tick at least one event: a program that is told nothing needs no address.")
        },
    )
    form = forms.ChoiceField(label=gettext_lazy("In which form?"), choices=FORMS, widget=forms.RadioSelect)

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        choices = [(str(int(kind)), words) for kind, words in endpoints.STANDARD.values()]
        self.fields["kinds"].choices = choices  # type: ignore[attr-defined]


class RouteForm(forms.Form):
    address = forms.EmailField(
        label=gettext_lazy("Mail for this address"),
        required=False,
        help_text=gettext_lazy("Of one of your domains. Empty: one that nobody guesses is made."),
    )
    url = forms.CharField(
        label=gettext_lazy("goes to this program"), max_length=2000, widget=forms.TextInput(attrs=_URL)
    )

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        if urlsplit(url).path.strip("/") == "":
            raise forms.ValidationError(_("Name a path after the host, such as /mail: a front page takes no mail."))
        return url


def _form(data: Any = None) -> WebhookForm:
    usual = [str(int(k)) for k in (Kind.DELIVERED, Kind.BOUNCED, Kind.COMPLAINED, Kind.UNSUBSCRIBED)]
    return WebhookForm(data, initial={"form": "standard", "kinds": usual}, auto_id="hook_%s")


def what(one: Endpoint) -> str:
    """What an endpoint is told, in words."""
    if one.form == "parse":
        return _("mail for %(address)s") % {"address": one.address}
    words = {int(kind): str(words) for kind, words in endpoints.STANDARD.values()}
    return ", ".join(words[kind] for kind in one.kinds if kind in words)


def _list(request: MemberRequest, form: WebhookForm, route: RouteForm, status: int = 200, **more: Any) -> HttpResponse:
    page = page_of(request, Endpoint.objects.filter(workspace=request.workspace))
    waits = outbox.waiting([one.pk for one in page.rows])
    rows = [
        {"one": one, "host": urlsplit(one.url).hostname, "what": what(one), "waiting": waits.get(one.pk, 0)}
        for one in page.rows
    ]
    facts = {"page": page, "rows": rows, "form": form, "route": route, "takes": bool(settings.ENVOL.inbound), **more}
    return render(request, "settings/webhooks.html", facts, status=status)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.OWNER)
def webhooks(request: MemberRequest) -> HttpResponse:
    routing = request.POST.get("act") == "route"
    posted = request.POST if request.method == "POST" else None
    form, route = _form(None if routing else posted), RouteForm(posted if routing else None, auto_id="route_%s")
    if posted is None:
        return _list(request, form, route)
    given = route if routing else form
    if given.is_valid():
        try:
            made, secret = _route(request, route) if routing else _declare(request, form)
        except endpoints.Refused as refused:
            given.add_error("url", str(refused))
        else:
            if secret:
                # Not a redirect: the secret is shown here, and sealed from then on.
                return _list(request, _form(), RouteForm(auto_id="route_%s"), 201, made=made, secret=secret)
            return see(request, "webhook", made.pk, said=_("Declared: it is told from the next event on. Test it now."))
    return _list(request, form, route, 422)


def _declare(request: MemberRequest, form: WebhookForm) -> tuple[Endpoint, str]:
    given = form.cleaned_data
    kinds = [int(one) for one in given["kinds"]]
    if given["form"] == "standard":
        return endpoints.declare(
            request.workspace, given["url"], form="standard", kinds=kinds, member_id=request.member.pk
        )
    # The dialect has one address for each event.
    made = None
    for event, of in endpoints.DIALECT.items():
        if any(int(kind) in kinds for kind in of):
            there = Endpoint.objects.filter(
                workspace=request.workspace, form="dialect", event=event, backup=False
            ).exists()
            if not there:
                made, _secret = endpoints.declare(
                    request.workspace, given["url"], event=event, member_id=request.member.pk
                )
    if made is None:
        raise endpoints.Taken(_("In this form there is an address for each of these events already: change those."))
    return made, ""


def _route(request: MemberRequest, form: RouteForm) -> tuple[Endpoint, str]:
    address = parse.address_for(request.workspace, form.cleaned_data["address"])
    return endpoints.declare(
        request.workspace, form.cleaned_data["url"], form="parse", address=address, member_id=request.member.pk
    )


def _of(request: MemberRequest, endpoint_id: int) -> Endpoint:
    found = Endpoint.objects.filter(workspace=request.workspace, pk=endpoint_id).select_related("workspace").first()
    if found is None:
        raise Http404
    return found


def _one(request: MemberRequest, one: Endpoint, status: int = 200, **more: Any) -> HttpResponse:
    state = request.GET.get("state", "")
    told = one.outbox.filter(state=state) if state in dict(STATES) and state else one.outbox.all()
    words = {int(kind): words for kind, words in endpoints.STANDARD.values()} | {int(Kind.MAIL_CAME): _("mail")}
    page = page_of(request, told.order_by("-id"))
    for row in page.rows:
        row.words = words.get(row.kind, "")
        row.again = row.state != outbox.WAITING and (row.kind != Kind.MAIL_CAME or row.state == outbox.GIVEN_UP)
    facts = {
        "one": one,
        "host": urlsplit(one.url).hostname,
        "what": what(one),
        "page": page,
        "states": [(word, words) for word, words in STATES],
        "state": state,
        "waiting": outbox.waiting([one.pk]).get(one.pk, 0),
        "given_up": one.outbox.filter(state=outbox.GIVEN_UP).count(),
        "login": endpoints.login(one).partition(":")[0],
        "both_until": endpoints.signing(one)[1],
        "form_words": dict(FORMS).get(one.form, ""),
        "typed": one.url,
        "wrong": "",
        **more,
    }
    return render(request, "settings/webhook.html", facts, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.OWNER)
def webhook(request: MemberRequest, endpoint_id: int) -> HttpResponse:
    """One program: how it does, what it was told, and where it is."""
    one = _of(request, endpoint_id)
    if request.method != "POST":
        return _one(request, one)
    url = request.POST.get("url", "").strip()
    try:
        endpoints.move(one, url, actor="member", actor_id=request.member.pk)
    except endpoints.Refused as refused:
        return _one(request, one, 422, typed=url, wrong=str(refused))
    return see(request, "webhook", one.pk, said=_("Saved: what waits, and all that comes, goes to this address."))


@never_cache
@require_POST
@audience(Role.OWNER)
def test_webhook(request: MemberRequest, endpoint_id: int) -> HttpResponse:
    """Post an invented event now, and show what came back."""
    one = _of(request, endpoint_id)
    answer, why, ms = runner.test(one)
    good = answer is not None and 200 <= answer.status < 300
    sample = parse.sample(one) if one.form == "parse" else payloads.sample(one)
    tested = {"answer": answer, "why": why, "ms": ms, "good": good}
    return _one(request, one, tested=tested | {"sample": json.dumps(sample, ensure_ascii=False, indent=2)})


@never_cache
@require_POST
@audience(Role.OWNER)
def renew_webhook_secret(request: MemberRequest, endpoint_id: int) -> HttpResponse:
    """A new secret, shown on this answer alone; the former one signs for a day more."""
    one = _of(request, endpoint_id)
    if one.form != "standard":
        return refuse(request, "webhook", one.pk, said=_("What goes to this address is not signed: it has no secret."))
    made = endpoints.renew(one, actor="member", actor_id=request.member.pk)
    return _one(request, one, 201, secret=made)


@require_POST
@audience(Role.OWNER)
def switch_webhook(request: MemberRequest, endpoint_id: int) -> HttpResponse:
    one = _of(request, endpoint_id)
    if request.POST.get("to") == "paused":
        endpoints.switch(one, EndpointState.PAUSED, actor="member", actor_id=request.member.pk)
        said = _("Paused: what happens from now on is not told, neither now nor later.")
    else:
        endpoints.switch(one, EndpointState.ALIVE, actor="member", actor_id=request.member.pk)
        said = _("It is told again, and what waited for it is on its way.")
    return see(request, "webhook", one.pk, said=said)


@require_POST
@audience(Role.OWNER)
def tell_webhook_again(request: MemberRequest, endpoint_id: int) -> HttpResponse:
    one = _of(request, endpoint_id)
    raw = request.POST.get("row", "")
    n = outbox.again(one, int(raw) if raw.isdecimal() and len(raw) < 19 else None if not raw else 0)
    if not n:
        return refuse(request, "webhook", one.pk, said=_("There is nothing to tell again: it waits, or it is gone."))
    said = ngettext("%(n)s event is told again.", "%(n)s events are told again.", n) % {"n": n}
    if one.state != EndpointState.ALIVE:
        said += " " + _("They go as soon as the address is awake.")
    return see(request, "webhook", one.pk, said=said, anchor="log")


@require_POST
@audience(Role.OWNER)
def remove_webhook(request: MemberRequest, endpoint_id: int) -> HttpResponse:
    one = _of(request, endpoint_id)
    if request.POST.get("sure") != "yes":
        return refuse(request, "webhook", one.pk, said=_("Tick that it may be lost: this cannot be undone."))
    endpoints.remove(one, actor="member", actor_id=request.member.pk)
    return see(request, "webhooks", said=_("Removed: this program is told nothing any more, and its log is gone."))
