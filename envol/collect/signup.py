"""A sign-up form as its owner decides it: made from a model, changed, checked, switched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from envol.accounts import undo
from envol.accounts.journal import note
from envol.accounts.models import Member, Undo, Workspace
from envol.collect import visibility
from envol.collect.models import SignupForm
from envol.consent import partners, policies
from envol.consent import purposes as consent_purposes
from envol.consent.models import Purpose, PurposeText
from envol.contacts import catalogue
from envol.contacts.models import List, Property
from envol.letters import ascii_of

LANGUAGES = ("fr", "en")
PARTS = {"title": 120, "intro": 600, "notice": 800, "thanks": 600}
"""The words of a form and how long each may be."""

MAX_FIELDS = 12


class Problem(ValueError):
    """A form that cannot be kept so: ``at`` names the field, the sentence says what to do."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = dict(problems)


class Changed(Exception):
    """Somebody else saved this form meanwhile."""


@dataclass(frozen=True, slots=True)
class Starter:
    """A model to begin with: which fields and purposes it asks for."""

    key: str
    name: Any
    about: Any
    fields: Sequence[tuple[str, bool]]
    purposes: Sequence[str]


STARTERS = (
    Starter(
        "letter",
        gettext_lazy("Newsletter"),
        gettext_lazy("The address and nothing else: the shortest way in."),
        (),
        ("newsletter",),
    ),
    Starter(
        "first_name",
        gettext_lazy("Newsletter with first name"),
        gettext_lazy("A first name, if people wish, to greet them by it."),
        (("first_name", False),),
        ("newsletter", "offers"),
    ),
    Starter(
        "birthday",
        gettext_lazy("Club with birthday"),
        gettext_lazy("Name, town and birthday for a club that says thank you once a year."),
        (("first_name", False), ("city", False), ("birth_date", False)),
        ("newsletter", "offers", "personalisation"),
    ),
    Starter(
        "measured",
        gettext_lazy("Newsletter and measuring"),
        gettext_lazy("Also asks whether opens and clicks may be measured, in boxes of their own."),
        (("first_name", False),),
        ("newsletter", "measure_opens", "measure_clicks"),
    ),
)

_TITLES = {
    "fr": (
        "Inscrivez-vous : {list}",
        "Laissez votre adresse et cochez ce que vous acceptez de recevoir. Un courriel vous demandera de confirmer.",
        "{workspace} garde votre adresse pour vous envoyer ce que vous avez coché, et rien d’autre. Vous pouvez vous"
        " désinscrire en un clic dans chaque message, et demander vos données, leur correction ou leur effacement.",
        "Votre inscription est confirmée. À bientôt !",
    ),
    "en": (
        "Sign up: {list}",
        "Leave your address and tick what you agree to receive. A mail will ask you to confirm.",
        "{workspace} keeps your address to send you what you ticked, and nothing else. You can unsubscribe with one"
        " click in every message, and ask for your data, its correction or its erasure.",
        "Your subscription is confirmed. See you soon!",
    ),
}


def of_list(workspace: Workspace, list_id: int) -> SignupForm | None:
    return SignupForm.objects.select_related("list", "workspace").filter(workspace=workspace, list_id=list_id).first()


def create(workspace: Workspace, to: List, starter: str = "letter", *, actor_id: int | None = None) -> SignupForm:
    """The form of a list, begun from a model; the one it has when it has one. It stays closed until switched on."""
    if to.workspace.pk != workspace.pk:
        raise ValueError("The list belongs to another workspace.")
    model = next((one for one in STARTERS if one.key == starter), STARTERS[0])
    known = catalogue.of(workspace)
    ids = dict(Purpose.objects.filter(workspace=workspace).values_list("key", "pk"))
    first = "en" if workspace.language.startswith("en") else "fr"
    words = {
        language: {
            part: text.format(list=to.name, workspace=workspace.title)[: PARTS[part]]
            for part, text in zip(PARTS, _TITLES[language], strict=True)
        }
        for language in LANGUAGES
    }
    with transaction.atomic():
        form, new = SignupForm.objects.get_or_create(
            list=to,
            defaults={
                "workspace": workspace,
                "languages": sorted(LANGUAGES, key=lambda code: code != first),
                "words": words,
                "fields": [{"key": key, "required": must} for key, must in model.fields if key in known],
                "purposes": [ids[key] for key in model.purposes if key in ids],
            },
        )
        if new:
            note(workspace, "member", "signup.created", form, actor_id=actor_id, list=to.pk)
    return form


def askable(workspace: Workspace) -> list[Property]:
    """Properties a form may ask for: never sensitive ones (GDPR art. 9) nor those that are guessed."""
    return [p for p in catalogue.of(workspace).values() if not p.sensitive and not p.inferred]


def offered(workspace: Workspace) -> list[Purpose]:
    """Purposes a form may offer: what a contract needs is not chosen by a box."""
    return list(Purpose.objects.filter(workspace=workspace).exclude(kind="transactional").order_by("bit"))


def texts_of(form: SignupForm, language: str) -> list[PurposeText]:
    """The words in force of each purpose of the form, in its order."""
    unnamed = {one.pk for one in _unnamed(form)}  # the last partner may have gone since the form opened
    known = {
        p.pk: p
        for p in Purpose.objects.filter(workspace_id=form.workspace.pk, pk__in=form.purposes)
        if p.pk not in unnamed
    }
    return [consent_purposes.text(known[pk], language) for pk in form.purposes if pk in known]


def _unnamed(form: SignupForm) -> list[Purpose]:
    """Purposes of the form that pass data on to partners and name none: nobody can agree to that (GDPR art. 4(11))."""
    asked = Purpose.objects.filter(workspace_id=form.workspace.pk, pk__in=form.purposes, key=consent_purposes.PARTNERS)
    return [one for one in asked if not partners.named(one)]


def save(
    form: SignupForm,
    *,
    words: Mapping[str, Mapping[str, str]],
    languages: Sequence[str],
    fields: Sequence[tuple[str, bool]],
    purposes: Sequence[int],
    notice_url: str = "",
    redirect_url: str = "",
    per_hour: int = 200,
    asks_age: bool = False,
    shown_to: Mapping[str, visibility.Shown] | None = None,
    revision: int | None = None,
    actor_id: int | None = None,
) -> SignupForm:
    """Keep what an editor wrote; `Problem` names everything that is wrong, `Changed` says that it is not hers alone."""
    drafted = draft(
        form,
        words=words,
        languages=languages,
        fields=fields,
        purposes=purposes,
        notice_url=notice_url,
        redirect_url=redirect_url,
        per_hour=per_hour,
        asks_age=asks_age,
        shown_to=shown_to,
    )
    if wrong := problems(drafted):
        raise Problem(wrong)
    names = (
        "words",
        "languages",
        "fields",
        "purposes",
        "notice_url",
        "redirect_url",
        "per_hour",
        "asks_age",
        "visibility",
    )
    with transaction.atomic():
        kept = SignupForm.objects.filter(pk=form.pk)
        if revision is not None:
            kept = kept.filter(revision=revision)
        changes: dict[str, Any] = {name: getattr(drafted, name) for name in names}
        if not kept.update(**changes, revision=F("revision") + 1, updated_at=Now()):
            raise Changed
        note(form.workspace.pk, "member", "signup.changed", form, actor_id=actor_id)
    form.refresh_from_db()
    return form


def draft(
    form: SignupForm,
    *,
    words: Mapping[str, Mapping[str, str]],
    languages: Sequence[str],
    fields: Sequence[tuple[str, bool]],
    purposes: Sequence[int],
    notice_url: str = "",
    redirect_url: str = "",
    per_hour: int = 200,
    asks_age: bool = False,
    shown_to: Mapping[str, visibility.Shown] | None = None,
) -> SignupForm:
    """The form as it would be, not kept: for the preview, and for `save`. Foreign keys and ids drop out."""
    known = {p.key for p in askable(form.workspace)}
    ids = {p.pk for p in offered(form.workspace)}
    made = SignupForm(pk=form.pk, workspace=form.workspace, list=form.list, token=form.token, active=form.active)
    made.languages = [code for code in dict.fromkeys(languages) if code in LANGUAGES]
    made.words = {
        code: {part: str(words.get(code, {}).get(part, "")).strip().replace("\0", "") for part in PARTS}
        for code in LANGUAGES
    }
    wanted = dict(fields)
    made.fields = [{"key": key, "required": bool(must)} for key, must in wanted.items() if key in known][:MAX_FIELDS]
    made.purposes = [pk for pk in dict.fromkeys(purposes) if pk in ids]
    made.notice_url, made.redirect_url = notice_url.strip(), redirect_url.strip()
    made.per_hour = per_hour
    made.asks_age = asks_age
    made.min_seconds = form.min_seconds
    made.visibility = visibility.kept(made, visibility.of(form) if shown_to is None else shown_to)
    return made


def problems(form: SignupForm) -> dict[str, str]:
    """What keeps this form from being shown, by field; each says what to do."""
    wrong: dict[str, str] = {}
    if not form.languages:
        wrong["languages"] = _("Choose at least one language.")
    for code in form.languages:
        for part, most in PARTS.items():
            text = form.words.get(code, {}).get(part, "")
            if not text and part != "intro":
                wrong[f"{part}_{code}"] = _("Write it in each language that you chose.")
            elif len(text) > most:
                wrong[f"{part}_{code}"] = _("Write at most %(most)s characters.") % {"most": most}
    known = catalogue.of(form.workspace)
    for field in form.fields:
        if field["required"] and field["key"] in catalogue.FREE and field["key"] in known:
            name = label_of(known[field["key"]], (get_language() or "en")[:2])
            wrong["fields"] = _("“%(field)s” cannot be required: people say it freely or not at all.") % {"field": name}
    kinds = set(Purpose.objects.filter(pk__in=form.purposes).values_list("kind", flat=True))
    if "marketing" not in kinds:
        wrong["purposes"] = _("Offer at least one purpose of messages: without it nobody could be written to.")
    for purpose in _unnamed(form):
        name = purpose.label_fr if get_language() == "fr" else purpose.label_en
        wrong["purposes"] = _("“%(name)s” names no partner yet: name one on its page, under Consent.") % {"name": name}
    for name in ("notice_url", "redirect_url"):
        url = getattr(form, name)
        if url and not _https(url):
            wrong[name] = _("Write a whole address that begins with https://.")
    if not 1 <= form.per_hour <= 100_000:
        wrong["per_hour"] = _("Write a number from 1 to 100,000.")
    return wrong


def _https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    plain = not re.search(r"[\s\x00-\x1f\"'<>\\;,]", url)
    return parts.scheme == "https" and "." in host and not parts.username and plain and port != 0 and len(url) <= 500


def advice(form: SignupForm) -> list[str]:
    """What the law or good sense would rather not have asked (GDPR art. 5(1)(c)); nothing that stops the form."""
    known = catalogue.of(form.workspace)
    language = (get_language() or "en")[:2]
    said = []
    for field in form.fields:
        prop = known.get(field["key"])
        if prop is None:
            continue
        delicate = prop.type == "date" or re.search(r"gender|sex|civil|genre|phone|tel|birth|naiss", prop.key)
        if field["required"] and asks_title(prop):
            said.append(
                _(
                    "“%(field)s” is required, and nobody needs a title or gender to write to people (Court of Justice,"
                    " C-394/23): let them leave it empty, and greet by name."
                )
                % {"field": label_of(prop, language)}
            )
        elif field["required"] and delicate:
            said.append(
                _("“%(field)s” is required: ask for it only if you cannot do without, or let people leave it empty.")
                % {"field": label_of(prop, language)}
            )
        if not prop.purposes:
            said.append(
                _("“%(field)s” serves no purpose in the catalogue: say there what it is for, or do not ask.")
                % {"field": label_of(prop, language)}
            )
    if len(form.fields) > 3:
        said.append(_("Each question loses people: ask later what you do not need at once."))
    return said


def must(field: Mapping[str, Any]) -> bool:
    """Has this question to be answered? Never one that people answer freely or not at all, whatever is kept of it."""
    return bool(field["required"]) and field["key"] not in catalogue.FREE


_TITLE = re.compile(r"\b(civilite|civility|gender|geschlecht|sexe?|salutation|anrede)\b")
_ADDRESSED = {
    "madame", "mme", "monsieur", "m", "mr", "mrs", "ms", "miss", "mademoiselle", "mlle", "herr", "frau", "femme",
    "homme", "woman", "man", "female", "male", "feminin", "masculin",
}  # fmt: skip


def asks_title(prop: Property) -> bool:
    """Does this field ask how somebody is addressed, or for the gender, whatever it is called?"""
    choices = {_plain(choice[part]) for choice in prop.choices for part in ("value", "label_fr", "label_en")}
    named = " ".join(_plain(text) for text in (prop.key, prop.label_fr, prop.label_en))
    return prop.key == "gender" or _TITLE.search(named) is not None or len(choices & _ADDRESSED) > 1


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", ascii_of(text).lower()).strip()


def label_of(prop: Property, language: str) -> str:
    return prop.label_fr if language == "fr" else prop.label_en


SWITCHED = "signup.switched"


def switch(form: SignupForm, on: bool, *, actor_id: int | None = None) -> Undo:
    """Open or close the form. `Problem` when it cannot be opened as it is."""
    if on and (wrong := problems(form)):
        raise Problem(wrong)
    with transaction.atomic():
        if on:  # no form opens without a notice (GDPR art. 13)
            policies.ensure_notice(form.workspace, member_id=actor_id)
        SignupForm.objects.filter(pk=form.pk).update(active=on, updated_at=Now())
        action = "signup.opened" if on else "signup.closed"
        entry = note(form.workspace.pk, "member", action, form, actor_id=actor_id)
        offered_back = undo.offer(entry, SWITCHED, {"form": form.pk, "on": on})
    form.active = on
    return offered_back


def switch_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str | None:
    """The undo of `switch`."""
    form = SignupForm.objects.select_related("workspace", "list").filter(workspace=workspace, pk=facts["form"]).first()
    if form is None:
        raise undo.CannotUndo(_("The form no longer exists."))
    if form.active != facts["on"]:
        raise undo.CannotUndo(_("Somebody has switched the form since."))
    if not facts["on"] and problems(form):
        raise undo.CannotUndo(_("The form is no longer complete: look at it before you open it."))
    SignupForm.objects.filter(pk=form.pk).update(active=not facts["on"], updated_at=Now())
    return _("The form is closed again.") if facts["on"] else _("The form is open again.")
