"""What a person would read, made by the very code that sends."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from envol.contacts.models import Contact
from envol.content.compose import Composer, Parts, Person
from envol.content.markup import MARKER
from envol.content.models import Version


def preview(
    version: Version,
    contact: Contact | None = None,
    *,
    sender: Mapping[str, str] | None = None,
    base_url: str = "",
    campaign_name: str = "",
) -> Parts:
    """Subject, html and text for this contact, or for a person of whom nothing is known.

    Nothing is measured, personal links lead to /…/preview. Raises MissingValue where the campaign would be refused.
    """
    sender = sender or {"name": version.workspace.title, "address": "preview@localhost.invalid"}
    composer = Composer(
        None, version, version.workspace, sender, base_url=base_url, campaign_name=campaign_name, attachments=()
    )
    return composer.parts(person_of(contact))


def person_of(contact: Contact | None, no: int | None = None) -> Person:
    """A contact as composing takes it."""
    if contact is None:
        return Person(no or 1, None, "someone@localhost.invalid")
    props: dict[str, Any] = contact.props
    return Person(
        no or contact.id,
        contact.id,
        contact.email,
        "",  # a name is a property like any other: the caller gives it when its purpose is permitted
        contact.language,
        props,
        contact.allowed,
        contact.refused,
    )


_ANCHOR = re.compile(r"(<a\b[^<>]*?" + MARKER.pattern + r"[^<>]*>)(.*?)(</a\s*>)", re.IGNORECASE | re.DOTALL)


def marked(version: Version, marks: Mapping[int, str]) -> Version:
    """The version with a piece of HTML behind each tracked link, by its number; never saved, only shown."""
    shown = copy.copy(version)
    shown.html = _ANCHOR.sub(lambda found: found[0] + marks.get(int(found[2]), ""), version.html or "")
    return shown


def line_of(version: Version, source: str, contact: Contact | None = None) -> str:
    """A subject or preheader as this contact reads it in her list of messages."""
    if not source.strip():
        return ""
    from envol.content.language import variables

    alone = Version(
        workspace=version.workspace,
        mode="text",
        source="",
        subject=source,
        text="",
        html="",
        links=[],
        variables=sorted(variables(source)),
        fallbacks=version.fallbacks,
    )
    return preview(alone, contact).subject


_DARK = "<style>:root{color-scheme:dark}</style>"


def in_the_light(html: str) -> str:
    """The message as a light program shows it, whatever the reader's own screen prefers."""
    return html.replace("(prefers-color-scheme: dark)", "not all").replace("(prefers-color-scheme:dark)", "not all")


def in_the_dark(html: str) -> str:
    """The message as a program shows it that is dark and asks the message how: its own dark rules, taken as met.

    Programs that turn colours round by themselves, each in its way, cannot be shown.
    """
    made = html.replace("(prefers-color-scheme: dark)", "all").replace("(prefers-color-scheme:dark)", "all")
    made = made.replace("(prefers-color-scheme: light)", "not all").replace("(prefers-color-scheme:light)", "not all")
    at = made.lower().find("</head>")
    return made[:at] + _DARK + made[at:] if at >= 0 else _DARK + made
