"""Forms of the register of foreign authorities' demands (GDPR art. 48)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from envol.consent import demands, transfers
from envol.web.desk_forms import countries


def country_name(code: str) -> str:
    return dict(countries()).get(code, code)


def _outside() -> list[tuple[str, str]]:
    return [("", "–"), *((code, name) for code, name in countries() if not transfers.in_eea(code))]


def _words(label: Any, help_text: Any = "") -> forms.CharField:
    return forms.CharField(label=label, max_length=4000, widget=forms.Textarea(attrs={"rows": 4}), help_text=help_text)


def _date(label: Any, help_text: Any = "", required: bool = True) -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, help_text=help_text, required=required, widget=widget)


class NewDemandForm(forms.Form):
    authority = forms.CharField(label=_("Who asks?"), max_length=200, help_text=_("The court or authority, by name."))
    country = forms.ChoiceField(
        label=_("Of which country?"), choices=_outside, help_text=_("Outside the European Economic Area.")
    )
    reference = forms.CharField(label=_("Its reference"), max_length=200, required=False)
    what = _words(_("Which data does it want?"), _("Kinds of data, no names: the register outlives an erasure."))
    received_on = _date(_("On which day did it come?"))
    answer_by = _date(_("By which day does it want an answer?"), _("Empty: it set none."), required=False)


class DecisionForm(forms.Form):
    decision = forms.ChoiceField(
        label=_("What is decided?"),
        widget=forms.RadioSelect,
        choices=[
            (demands.REFUSED, _("Refuse: the demand rests on no international agreement, or more is wrong with it")),
            (demands.GIVEN, _("Give: an international agreement in force asks for it")),
        ],
    )
    agreement = forms.CharField(
        label=_("Which agreement?"), max_length=300, required=False,
        help_text=_("Such as a treaty of mutual legal assistance with the Union or your state. Without one nothing is"
                    " given."),
    )  # fmt: skip
    why = _words(
        _("Reasons"),
        _("Of a refusal; or the grounds of articles 6 and 46 to 49, for the agreement alone is not enough."),
    )


class AnswerForm(forms.Form):
    said = _words(_("What was answered?"), _("What was sent, by which way, and to whom."))
    on = _date(_("On which day?"))
