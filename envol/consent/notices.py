"""A notice in two layers, made of the purposes, the retention and the processors as they are (GDPR art. 13, 14)."""

from __future__ import annotations

from django.utils import translation
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import desk, record, transfers
from envol.consent.models import Purpose

LANGUAGES = ("fr", "en")


def draft(workspace: Workspace) -> tuple[dict[str, str], dict[str, str]]:
    """(whole text, short text) by language."""
    whole, short = {}, {}
    for code in LANGUAGES:
        with translation.override(code):
            whole[code], short[code] = _whole(workspace), _short(workspace)
    return whole, short


def _short(workspace: Workspace) -> str:
    found = desk.of(workspace)
    said = _(
        "%(name)s keeps your address to send you what you ticked, and nothing else. You can unsubscribe in every"
        " message, and ask for your data, their correction or erasure: %(contact)s"
    )
    name = found.legal_name or workspace.title
    contact = found.dpo_contact or found.contact or _("by answering any message.")
    return said % {"name": name, "contact": contact}


def _whole(workspace: Workspace) -> str:
    names, out = record.recipients(transfers.known(workspace))
    authority = desk.of(workspace).authority or _("that of your country")
    parts = [
        (_("Who is responsible"), "\n".join(f"{one.label}: {one.text}" for one in record.head(workspace)[:-1])),
        (_("What for, on what ground, and for how long"), _purposes(workspace)),
        (_("Who receives the data"), f"{names}\n{_('Transfers outside the EEA')}: {out}"),
        (
            _("Must I give them?"),
            _(
                "Only the address is needed, to write to you. Everything else is free, and leaving it out costs you"
                " nothing."
            ),
        ),
        (
            _("Your right to object"),
            _(
                "You can object at any time to messages that promote something, and to any profiling for them, without"
                " a reason: one click in each message does it (art. 21)."
            ),
        ),
        (
            _("Your other rights"),
            _(
                "You can ask for a copy of your data, their correction, erasure or restriction, take them along, and"
                " take back each agreement at any time; what was done before stays lawful. No decision about you is"
                " made by a machine alone. Scores from reading and purchases only choose what you are shown."
            ),
        ),
        (_("To complain"), _("You can complain to the supervisory authority: %(name)s") % {"name": authority}),
        (
            _("If you did not give us your data yourself"),
            _("They come from the file or the program named in the record; ask us and we say which."),
        ),
    ]
    return "\n\n".join(f"{title}\n{text}" for title, text in parts)


def _purposes(workspace: Workspace) -> str:
    """What is done with the data, by purpose: ground, data, retention."""
    chosen = Purpose.objects.filter(workspace=workspace).exclude(kind="transactional")
    labels = {one.label_fr if record.language() == "fr" else one.label_en for one in chosen}
    labels.add(_("Who gets nothing more"))
    return "\n".join(
        f"- {line.title}: {line.purpose}. {line.basis}. {line.data}. {_('Kept')}: {line.kept}."
        for line in record.activities(workspace)
        if line.title in labels
    )
