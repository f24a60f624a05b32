"""Mail that waits here for a domain's own server (RFC 1985): which domains, how much waits, and starting it by hand."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Role
from envol.outbound import domains, stored
from envol.outbound.models import StoredDomain
from envol.outbound.route import our_name
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of

MOST_BOXES = 2000


class StoredForm(forms.Form):
    domain = forms.ChoiceField(label=gettext_lazy("Domain"))
    host = forms.CharField(
        label=gettext_lazy("Its own server"),
        max_length=253,
        help_text=gettext_lazy("A host name, such as mail.example.org; mail goes to its port 25."),
    )
    recipients = forms.CharField(
        label=gettext_lazy("Mailboxes"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocapitalize": "none", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "What stands before the @, one on a line. Empty: everything is taken, and its server may refuse some later."
        ),
    )
    scheduled = forms.BooleanField(
        label=gettext_lazy("Also try by itself, not only when that server asks"), required=False
    )

    def __init__(self, *given: Any, choices: list[tuple[str, str]]) -> None:
        super().__init__(*given)
        self.fields["domain"].choices = choices  # type: ignore[attr-defined]

    def clean_recipients(self) -> list[str]:
        boxes = [one for one in re.split(r"[\s,;]+", self.cleaned_data["recipients"]) if one]
        if len(boxes) > MOST_BOXES:
            raise forms.ValidationError(_("At most %(most)s mailboxes.") % {"most": MOST_BOXES})
        return boxes


def _form(request: MemberRequest) -> StoredForm:
    """Declared domains that may send, and are not listed yet."""
    listed = set(request.workspace.stored_domains.values_list("name", flat=True))
    names = [one.name for one in domains.of(request.workspace) if one.trusted or one.passed_at]
    return StoredForm(request.POST or None, choices=[(name, name) for name in names if name not in listed])


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def stored_domains(request: MemberRequest) -> HttpResponse:
    """Which domains' mail waits here; owners list another."""
    if request.method == "POST" and request.member.role != Role.OWNER:
        return render(request, "errors/forbidden.html", {"least": Role.OWNER}, status=403)
    form = _form(request)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made = stored.add(
                request.workspace,
                given["domain"],
                given["host"],
                recipients=given["recipients"],
                scheduled=given["scheduled"],
                actor="member",
                actor_id=request.member.pk,
            )
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            said = _("Mail for %(domain)s is kept here from now on, once its MX leads here.") % {"domain": made.name}
            return see(request, "stored", said=said)
    page = page_of(request, StoredDomain.objects.filter(workspace=request.workspace))
    facts = {
        "page": page,
        "rows": [{"one": one, "waiting": stored.waiting(one)} for one in page.rows],
        "form": form,
        "is_owner": request.member.role == Role.OWNER,
        "takes": bool(settings.ENVOL.inbound),
        "relays": settings.ENVOL.route == "smart_host",
        "asks": bool(settings.ENVOL.submission),
        "us": our_name(settings.ENVOL),
    }
    return render(request, "settings/stored.html", facts, status=422 if form.errors else 200)


def _of(request: MemberRequest, stored_id: int) -> StoredDomain:
    found = StoredDomain.objects.filter(workspace=request.workspace, pk=stored_id).first()
    if found is None:
        raise Http404
    return found


@require_POST
@audience(Role.EDITOR)
def start_stored(request: MemberRequest, stored_id: int) -> HttpResponse:
    """What waits goes to the domain's server now, as that server may ask by ETRN."""
    one = _of(request, stored_id)
    code, _enhanced, _text = stored.start(request.workspace.pk, one.name, actor="member", actor_id=request.member.pk)
    if code == 253:
        said = _("Started: what waits for %(domain)s is on its way to %(host)s.")
        return see(request, "stored", said=said % {"domain": one.name, "host": one.host})
    said = {
        251: _("Nothing waits for %(domain)s."),
        252: _("What waits for %(domain)s was started less than five minutes ago; it is being tried."),
    }.get(code, _("The mail of %(domain)s could not be started; try again."))
    return refuse(request, "stored", said=said % {"domain": one.name})


@require_POST
@audience(Role.OWNER)
def remove_stored(request: MemberRequest, stored_id: int) -> HttpResponse:
    """Off the list; what waits is cancelled, so the form says how much and asks for it to be written."""
    one = _of(request, stored_id)
    if stored.waiting(one) and request.POST.get("lose") != "yes":
        said = _("Mail waits for %(domain)s: start it first, or tick that it may be lost.") % {"domain": one.name}
        return refuse(request, "stored", said=said)
    lost = stored.remove(one, actor="member", actor_id=request.member.pk)
    said = _("Mail for %(domain)s is kept no more.") % {"domain": one.name}
    if lost:
        said += " " + ngettext(
            "%(n)s message that waited was cancelled.", "%(n)s messages that waited were cancelled.", lost
        ) % {"n": lost}
    return see(request, "stored", said=said)
