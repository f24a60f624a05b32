"""Forms of the settings pages. What they take is listed field by field, never the body wholesale."""

from __future__ import annotations

import functools
from typing import Any

from django import forms
from django.conf import settings
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from envol.accounts.api_keys import MOST_SENDERS, read_senders
from envol.accounts.models import DPO, Role, Scope, User, Workspace
from envol.consent.gates import LEVELS
from envol.consent.models import Purpose
from envol.web.meanwhile import Unchanged
from envol.zones import known_zones

_LEVEL_WORDS = {
    "none": _("not at all"),
    "aggregate": _("as a sum, naming nobody"),
    "last_open_day": _("the day of the last open only"),
    "individual": _("person by person, for those who agreed"),
}


def _levels(*names: str) -> list[tuple[str, object]]:
    return [(name, _LEVEL_WORDS[name]) for name in LEVELS if name in names]


_NEAR = ("Europe/", "Atlantic/", "Africa/")


@functools.cache
def _zones_to_choose() -> tuple[tuple[str, SafeString], ...]:
    """Each zone with the markup of its option, not chosen; those near first."""
    known = sorted(zone for zone in known_zones() if "/" in zone and not zone.startswith("Etc/"))
    near = [zone for zone in known if zone.startswith(_NEAR)]
    far = [zone for zone in known if not zone.startswith(_NEAR)]
    ordered = dict.fromkeys(["Europe/Paris", *near, *far, "UTC"])
    return tuple(
        (zone, format_html('<option value="{}">{}</option>', zone, zone.replace("_", " "))) for zone in ordered
    )


class _Zones(forms.Select):
    """Every time zone, those near first; the names are those of the IANA table.

    Django makes each option by two templates of its own: of six hundred they were most of a page's time.
    """

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        offered = _zones_to_choose()
        if value and value not in dict(offered):  # such as CET: what stands there is kept
            offered = ((str(value), SafeString()), *offered)
        options = [
            format_html('<option value="{}" selected>{}</option>', zone, zone.replace("_", " "))
            if zone == value
            else line
            for zone, line in offered
        ]
        everything = self.build_attrs(self.attrs, {"name": name, **(attrs or {})})
        return format_html(
            "<select{}>{}</select>", flatatt(everything), format_html_join("", "{}", ((one,) for one in options))
        )


class ZoneField(forms.CharField):
    widget = _Zones

    def clean(self, value: object) -> str:
        zone = str(super().clean(value))
        if zone not in known_zones():
            raise forms.ValidationError(_("Write a time zone such as Europe/Paris."))
        return zone


class OrganisationForm(Unchanged, forms.ModelForm):
    title = forms.CharField(label=_("Name of the organisation"), max_length=200)
    postal_address = forms.CharField(
        label=_("Postal address"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=500,
        help_text=_("It stands at the end of every commercial message, as the law asks."),
    )
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = ZoneField(label=_("Time zone"), help_text=_("Sendings and days in segments follow it."))
    take_back_seconds = forms.IntegerField(
        label=_("Seconds to take a sending back"), min_value=0, max_value=3600, help_text=_("0 sends at once.")
    )
    opens_mode = forms.ChoiceField(
        label=_("Opens of those who agreed are measured"),
        choices=_levels("none", "aggregate", "last_open_day", "individual"),
    )
    clicks_mode = forms.ChoiceField(
        label=_("Clicks of those who agreed are measured"), choices=_levels("none", "aggregate", "individual")
    )
    opens_unknown = forms.ChoiceField(
        label=_("Opens of those who said nothing are measured"), choices=_levels("none", "aggregate", "last_open_day")
    )
    clicks_unknown = forms.ChoiceField(
        label=_("Clicks of those who said nothing are measured"), choices=_levels("none", "aggregate")
    )

    class Meta:
        model = Workspace
        fields = (
            "title",
            "postal_address",
            "language",
            "time_zone",
            "take_back_seconds",
            "opens_mode",
            "clicks_mode",
            "opens_unknown",
            "clicks_unknown",
        )


class FirstForm(forms.Form):
    """Everything that the first minute asks, on one page."""

    name = forms.CharField(label=_("Your name"), max_length=200)
    email = forms.EmailField(
        label=_("Your e-mail address"),
        max_length=254,
        help_text=_("You sign in with it, and codes to recover your password go there."),
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = forms.CharField(
        label=_("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=True),
        help_text=_("At least ten characters; four ordinary words do well. A passkey can replace it afterwards."),
    )
    title = forms.CharField(
        label=_("Name of the organisation"), max_length=200, help_text=_("People read it in every message.")
    )
    postal_address = forms.CharField(
        label=_("Postal address"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Shown at the end of every commercial message, as the law asks. It can wait."),
    )
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = ZoneField(label=_("Time zone"))


class AccountForm(Unchanged, forms.ModelForm):
    name = forms.CharField(label=_("Your name"), max_length=200, required=False)
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = ZoneField(label=_("Time zone"))

    class Meta:
        model = User
        fields = ("name", "language", "time_zone")


class RepliesForm(forms.Form):
    replies_to = forms.EmailField(
        label=_("Pass replies on to"),
        required=False,
        max_length=254,
        help_text=_(
            "People’s replies are kept in the inbox for 90 days and go on to this address; absence notices do not."
            " Leave it empty, and replies go to the sender’s address as before."
        ),
    )


ROLES = [
    (Role.VIEWER.value, _("viewer: reads results, never a whole address")),
    (Role.EDITOR.value, _("editor: contacts, segments, campaigns")),
    (Role.OWNER.value, _("owner: everything, with settings and members")),
    (DPO, _("data-protection officer: keeps consent and its proofs, reads the journal, sends nothing")),
]


class InviteForm(forms.Form):
    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    role = forms.ChoiceField(label=_("Role"), choices=ROLES, initial=Role.VIEWER.value)

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()


SCOPES = [
    (Scope.SMTP.value, _("Hand in mail, by SMTP or by the send API")),
    (Scope.READ.value, _("Read the captured mail")),
    (Scope.EVENTS.value, _("Tell what people did (events)")),
    (Scope.ORDERS.value, _("Tell orders")),
    (Scope.SEGMENTS.value, _("Read segments and the people in them")),
    (Scope.CONSENT.value, _("Ask who may be written to and why, pass on withdrawals and requests about data")),
    (Scope.CONTACTS.value, _("Read and change contacts, their properties and lists")),
    (Scope.CAMPAIGNS.value, _("Write templates and campaigns, and send them")),
    (Scope.RESULTS.value, _("Read what became of messages, and figures")),
]


class ScopesField(forms.MultipleChoiceField):
    """Drawn as one group of boxes by ``settings/_scopes.html``."""

    def __init__(self) -> None:
        super().__init__(
            label=_("What may it do?"),
            choices=SCOPES,
            initial=[value for value, _label in SCOPES],
            error_messages={"required": _("Tick at least one: a key that may do nothing opens nothing.")},
        )


class KeyForm(forms.Form):
    name = forms.CharField(label=_("What is it for?"), max_length=100)
    scopes = ScopesField()


class KeyLimitsForm(forms.Form):
    """What a key may do; empty fields limit nothing."""

    scopes = ScopesField()
    senders = forms.CharField(
        label=_("Who may it write as?"),
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=_("One domain or address a line, such as shop.example. Empty: every domain that is ready."),
    )
    per_hour = forms.IntegerField(label=_("Messages an hour"), required=False, min_value=1, max_value=2**31 - 1)
    per_day = forms.IntegerField(
        label=_("Messages a day"),
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text=_("A message to three people counts three. Beyond it the program is told to come back later."),
    )
    most_recipients = forms.IntegerField(
        label=_("Recipients of one message"), required=False, min_value=1, max_value=1000
    )
    ends_on = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("After it the key opens nothing. Empty: it does not end."),
    )

    def clean_senders(self) -> list[str]:
        found: dict[str, None] = {}
        for line in self.cleaned_data["senders"].split():
            try:
                found.update(dict.fromkeys(read_senders([line])))
            except ValueError:
                said = _("“%(line)s” is neither a domain nor an address.") % {"line": line}
                raise forms.ValidationError(said) from None
        if len(found) > MOST_SENDERS:
            raise forms.ValidationError(_("At most %(n)s senders; leave it empty for all.") % {"n": MOST_SENDERS})
        return list(found)


class _PurposeField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.label_fr if (get_language() or "en").startswith("fr") else obj.label_en)


class DeclareForm(forms.Form):
    """Where the people agreed whom a program adds. It becomes the evidence of their permissions."""

    purpose = _PurposeField(
        label=_("They agreed to"), queryset=Purpose.objects.none(), empty_label=_("choose a purpose")
    )
    source = forms.CharField(
        label=_("Where did they agree?"),
        max_length=200,
        help_text=_("For example: the form in the footer of our shop."),
    )
    statement = forms.CharField(
        label=_("How did they agree?"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("What they read and ticked, in your words. It bears your name in every proof."),
    )
    given_by = forms.CharField(
        label=_("Who gave you their data, if not they themselves?"),
        max_length=200,
        required=False,
        help_text=_("They are then told so in the first message, within a month (GDPR, article 14)."),
    )

    def __init__(self, workspace: Workspace, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "declare_%s"
        purposes = Purpose.objects.filter(workspace=workspace, kind="marketing").order_by("bit")
        self.fields["purpose"].queryset = purposes  # type: ignore[attr-defined]


class DomainForm(forms.Form):
    name = forms.CharField(label=_("Domain"), max_length=253, help_text=_("For example lettre.librairie.example"))
