"""Forms of the organisation's desk: who answers, whom data are entrusted to."""

from __future__ import annotations

from typing import Any

from babel import Locale
from django import forms
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from envol.accounts.models import Workspace
from envol.consent import playbooks, transfers
from envol.consent.models import Desk, Processor
from envol.web.meanwhile import Unchanged

MOST_OCTETS = 5 * 2**20
_NO_COUNTRY = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}


def countries() -> list[tuple[str, str]]:
    """Countries by name in the reader's language, those of the European Economic Area first."""
    names = Locale.parse("fr_FR" if (get_language() or "en").startswith("fr") else "en_GB").territories
    known = {code: name for code, name in names.items() if len(code) == 2 and code.isalpha()}
    inside = sorted((c for c in known if transfers.in_eea(c)), key=lambda c: known[c])
    outside = sorted((c for c in known if not transfers.in_eea(c) and c not in _NO_COUNTRY), key=lambda c: known[c])
    return [(code, known[code]) for code in (*inside, *outside)]


def countries_or_none() -> list[tuple[str, str]]:
    return [("", "–"), *countries()]


def _day(label: Any, help_text: Any = "") -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=help_text,
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


def _past(day: Any) -> Any:
    if day and day > timezone.localdate():
        raise forms.ValidationError(_("This day lies ahead: write the day on which it was done."))
    return day


class DeskForm(Unchanged, forms.ModelForm):
    legal_name = forms.CharField(
        label=_("Name of the controller"),
        max_length=200,
        help_text=_("As it stands in the register of companies: who decides what the data are for (art. 4(7))."),
    )
    contact = forms.CharField(
        label=_("How to reach it"), max_length=300, required=False, help_text=_("Address, telephone, or both.")
    )
    dpo_name = forms.CharField(
        label=_("Who looks after data protection"),
        max_length=200,
        required=False,
        help_text=_("A data protection officer (art. 37), or somebody in charge. Notices name this person."),
    )
    dpo_contact = forms.CharField(label=_("How people reach that person"), max_length=300, required=False)
    authority = forms.CharField(
        label=_("Supervisory authority"), max_length=200, required=False, help_text=_("In France: the CNIL.")
    )
    hosted_in = forms.ChoiceField(label=_("Country of the server that Envol runs on"), choices=countries)
    representative = forms.CharField(
        label=_("Representative in the Union"),
        max_length=300,
        required=False,
        help_text=_("Only of organisations outside the Union (art. 27)."),
    )
    joint = forms.CharField(
        label=_("Joint controller"), max_length=300, required=False,
        help_text=_("Who decides with you, and which of you answers for what: the notice says it (art. 26)."),
    )  # fmt: skip
    security = forms.CharField(
        label=_("Security measures"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Empty: the record lists what Envol does by itself."),
    )
    serves = forms.CharField(
        label=_("Other controllers you work for"),
        required=False,
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One a line; after a semicolon, what you do for it. The record of art. 30(2) is made of them."),
    )
    breach_hours = forms.IntegerField(
        label=_("Hours to notify a breach"),
        min_value=1,
        max_value=720,
        help_text=_("72 by art. 33(1), from the moment you are aware of it."),
    )
    trained_on = _day(_("Last training of the team"))
    rights_reviewed_on = _day(_("Last review of who may do what"))

    class Meta:
        model = Desk
        fields = (
            "legal_name", "contact", "dpo_name", "dpo_contact", "authority", "hosted_in", "representative", "joint",
            "security", "serves", "breach_hours", "trained_on", "rights_reviewed_on",
        )  # fmt: skip

    def clean_trained_on(self) -> Any:
        return _past(self.cleaned_data["trained_on"])

    def clean_rights_reviewed_on(self) -> Any:
        return _past(self.cleaned_data["rights_reviewed_on"])


class ProcessorForm(Unchanged, forms.ModelForm):
    name = forms.CharField(label=_("Name"), max_length=200)
    role = forms.ChoiceField(label=_("Role"), choices=lambda: list(transfers.ROLES.items()))
    kind = forms.ChoiceField(label=_("What leads there"), choices=lambda: list(transfers.KINDS.items()))
    host = forms.CharField(
        label=_("Host name"),
        max_length=253,
        required=False,
        help_text=_("Such as relay.example.net: a relay or webhook on it, or below it, is judged by these lines."),
    )
    service = forms.CharField(label=_("What it does for you"), max_length=300, required=False)
    what = forms.CharField(label=_("Which data it gets"), max_length=300, required=False)
    country = forms.ChoiceField(label=_("Country where the data lie"), choices=countries)
    parent_country = forms.ChoiceField(
        label=_("Country of the company that owns it"), choices=countries_or_none, required=False,
        help_text=_("Its state can demand data from it, wherever they lie (art. 48)."),
    )  # fmt: skip
    access_country = forms.ChoiceField(
        label=_("Country from which its people reach the data"), choices=countries_or_none, required=False,
        help_text=_("Support from afar is a transfer too."),
    )  # fmt: skip
    tool = forms.ChoiceField(
        label=_("What covers the transfer"), choices=lambda: list(transfers.TOOLS.items()), required=False
    )
    tool_ref = forms.CharField(
        label=_("Reference"),
        max_length=200,
        required=False,
        help_text=_("Module of the clauses, number of an approval."),
    )
    listed_on = _day(_("Last found on the list of the framework"), _("Look it up once a month."))
    assessed_on = _day(_("Day of the transfer impact assessment"))
    measures = forms.CharField(
        label=_("What protects the data there"), max_length=300, required=False,
        help_text=_("Beyond the clauses: encryption whose keys stay with you, no names."),
    )  # fmt: skip
    reads_clear = forms.BooleanField(
        label=_("It must read the data, and the law of its country lets the state read along"), required=False
    )
    dpa_on = _day(_("Day of the contract (art. 28)"))
    file = forms.FileField(
        label=_("The contract as PDF"), required=False, help_text=_("At most 5 MB. It goes into the evidence pack."),
        widget=forms.FileInput(attrs={"accept": "application/pdf"}),
    )  # fmt: skip
    sub_processors = forms.CharField(
        label=_("Its own sub-processors"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )
    contact = forms.CharField(label=_("Contact"), max_length=300, required=False)
    since = _day(_("Since"))

    class Meta:
        model = Processor
        fields = (
            "name", "role", "kind", "host", "service", "what", "country", "parent_country", "access_country", "tool",
            "tool_ref", "listed_on", "assessed_on", "measures", "reads_clear", "dpa_on", "sub_processors", "contact",
            "since",
        )  # fmt: skip

    field_order = (
        "name", "role", "kind", "host", "service", "what", "country", "parent_country", "access_country", "tool",
        "tool_ref", "listed_on", "assessed_on", "measures", "reads_clear", "dpa_on", "file", "sub_processors",
        "contact", "since",
    )  # fmt: skip

    def clean_host(self) -> str:
        host = str(self.cleaned_data["host"]).strip().lower().rstrip(".")
        if host and ("/" in host or ":" in host or " " in host or "." not in host):
            raise forms.ValidationError(_("Write the host name alone, such as relay.example.net."))
        return host

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file is None or file is False:
            return None
        if file.size > MOST_OCTETS:
            raise forms.ValidationError(_("The file is larger than 5 MB."))
        if not file.read(5).startswith(b"%PDF-"):
            raise forms.ValidationError(_("This is no PDF."))
        file.seek(0)
        return file

    def clean_listed_on(self) -> Any:
        return _past(self.cleaned_data["listed_on"])

    def clean_assessed_on(self) -> Any:
        return _past(self.cleaned_data["assessed_on"])

    def clean_dpa_on(self) -> Any:
        return _past(self.cleaned_data["dpa_on"])

    def written(self) -> dict[str, Any]:
        """What is kept: the fields, and the contract when one came."""
        found = {name: self.cleaned_data[name] for name in self.Meta.fields}
        if file := self.cleaned_data.get("file"):
            found |= {"dpa": file.read(), "dpa_name": str(file.name)[:200]}
        return found


class _Moment(forms.DateTimeField):
    """A moment on the member's own clock."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def __init__(self, **more: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], **more)

    def to_python(self, value: Any) -> Any:
        found = super().to_python(value)
        return found.replace(tzinfo=None) if found is not None else None


class NewBreachForm(forms.Form):
    title = forms.CharField(
        label=_("What happened, in a few words"), max_length=200, help_text=_("A newsletter went to the wrong list.")
    )
    playbook = forms.ChoiceField(
        label=_("What kind it is"), required=False, choices=playbooks.choices,
        help_text=_("You get first steps and a draft of what the authority asks; all of it can be changed."),
    )  # fmt: skip
    aware_at = _Moment(label=_("When you became aware of it"), help_text=_("The clock runs from then on."))
    scope = forms.ChoiceField(label=_("Whose data it concerns"), required=False)
    drill = forms.BooleanField(label=_("This is a drill: nobody outside is told"), required=False)

    def __init__(self, workspace: Workspace, data: Any = None, **more: Any) -> None:
        from envol.web.views.breaches import scopes

        super().__init__(data, **more)
        self.fields["scope"].choices = scopes(workspace)  # type: ignore[attr-defined]


def _text(label: Any, help_text: Any = "", *, rows: int = 3, required: bool = True) -> forms.CharField:
    return forms.CharField(
        label=label, help_text=help_text, required=required, max_length=8000,
        widget=forms.Textarea(attrs={"rows": rows}),
    )  # fmt: skip


_YES_NO = (("yes", _("yes")), ("no", _("no")))


class FactsForm(forms.Form):
    nature = _text(_("Nature of the breach"), _("What happened: read, changed or lost by whom (art. 33(3)(a))."))
    categories = _text(_("Categories of data"), rows=2)
    persons = forms.IntegerField(label=_("Persons concerned, about"), min_value=0, max_value=2**31 - 1, required=False)
    records = forms.IntegerField(label=_("Records concerned, about"), min_value=0, max_value=2**31 - 1, required=False)
    contact = forms.CharField(label=_("Contact for more information"), max_length=300, required=False)
    consequences = _text(_("Likely consequences"), _("For the people, not for you (art. 33(3)(c))."))
    measures = _text(_("Measures taken or proposed"))


class AuthorityForm(forms.Form):
    notify = forms.ChoiceField(label=_("Is the authority to be notified?"), choices=_YES_NO)
    why = _text(_("Why"), _("“No” only where a risk for people is unlikely; the register keeps your reason."))


class NotifiedForm(forms.Form):
    at = _Moment(label=_("When it was notified"))
    reference = forms.CharField(label=_("Reference given by the authority"), max_length=200, required=False)
    late = _text(_("If after the time limit: why"), rows=2, required=False)


class PersonsForm(forms.Form):
    tell = forms.ChoiceField(label=_("Are the people concerned to be told?"), choices=_YES_NO)
    why = _text(
        _("Why"), _("Yes where the risk is high; no where the data were unreadable or it is gone (art. 34(3)).")
    )


class TellForm(forms.Form):
    subject = forms.CharField(label=_("Subject"), max_length=200)
    text = _text(_("Message"), rows=12)
