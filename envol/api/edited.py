"""Templates of Envol's own editor, as programs read and send them: the words and values of the newest version, in tags
that the dialect has without its language (``[[data:first_name:"you"]]``).

What has no such tag (a condition, a loop, a list of products) keeps our own; such a template is shown, and refused
where a program would send it. Programs do not write here: the document of the editor is its author's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from envol.accounts.models import Workspace
from envol.api.models import Draft, StoredTemplate
from envol.content.mjml import compile_mjml
from envol.content.models import Template, Version
from envol.content.plaintext import text_from_html
from envol.content.templates import with_preheader

BASE = 1 << 48
"""Their numbers lie beyond those of templates that programs made, within what every client reads exactly."""
_EDIT_MODES = {"mjml": 4, "html": 2, "text": 2}
_VALUE = re.compile(
    r"""\{\{-?\s*\(?\s*(?P<name>[a-z_]+(?:\.[a-z0-9_]+)?)\s*
        (?:\|\s*default\(\s*(?P<quote>["'])(?P<words>[^"'\[\]\\{}]{0,500})(?P=quote)\s*\))?\s*\)?\s*-?\}\}""",
    re.VERBOSE,
)
_LINKS = {"unsubscribe_url": "[[UNSUB_LINK_%s]]", "web_version_url": "[[PERMALINK]]"}
_OURS = re.compile(r"\{\{|\{%|\{#")


def is_ours(number: int | None) -> bool:
    return number is not None and BASE <= number < BASE << 1


def mine(workspace: Workspace) -> QuerySet[Template]:
    """Those that members wrote; the words of a program's own drafts are none of them."""
    drafts = Draft.objects.filter(workspace=workspace, campaign__template_id__isnull=False)
    return Template.objects.filter(workspace=workspace, versions__isnull=False).exclude(
        pk__in=drafts.values("campaign__template_id")
    ).distinct()  # fmt: skip


def by_number(workspace: Workspace, number: int) -> StoredTemplate | None:
    found = told(workspace, mine(workspace).filter(pk=number ^ BASE)) if is_ours(number) else []
    return found[0] if found else None


def by_name(workspace: Workspace, name: str) -> StoredTemplate | None:
    found = told(workspace, mine(workspace).filter(name=name))
    return found[0] if found else None


def told(workspace: Workspace, found: QuerySet[Template] | Sequence[Template]) -> list[StoredTemplate]:
    """The newest version of each, in the form of a template that a program made; none of them is ever saved."""
    some = list(found)
    versions = Version.objects.filter(template_id__in=[one.pk for one in some])
    newest = {one.template_id: one for one in versions.order_by("template_id", "-no").distinct("template_id")}
    return [_told(workspace, one, newest[one.pk]) for one in some if one.pk in newest]


def _told(workspace: Workspace, one: Template, version: Version) -> StoredTemplate:
    mjml = _in_tags(workspace, version, version.source) if version.mode == "mjml" else None
    html = compile_mjml(version.source) if version.mode == "mjml" else version.source
    if version.mode == "text":
        html, text = "", version.source
    else:
        text = version.text_source if version.text_source is not None else text_from_html(html)
        html = with_preheader(html, version.preheader)
    headers = {"Subject": _in_tags(workspace, version, version.subject)}
    if version.reply_to:
        headers["Reply-To"] = version.reply_to
    locale = {"fr": "fr_FR"}.get(workspace.language, "en_US")
    return StoredTemplate(
        pk=BASE | one.pk,
        workspace=workspace,
        name=one.name,
        facts={"EditMode": 1 if version.design else _EDIT_MODES[version.mode], "Locale": locale},
        purposes=["marketing"],
        html=_in_tags(workspace, version, html) or None,
        text=_in_tags(workspace, version, text) or None,
        mjml=mjml,
        headers=headers,
        created_at=one.created_at,
        updated_at=version.created_at,
    )


def _in_tags(workspace: Workspace, version: Version, source: str) -> str:
    constants = {"workspace.title": workspace.title, "workspace.postal_address": workspace.postal_address}
    fallbacks: Mapping[str, Any] = version.fallbacks

    def put(found: re.Match[str]) -> str:
        name, words = found["name"], found["words"]
        if name in constants and not re.search(r"[<>&\[\]{}]", constants[name]):
            return constants[name]
        if name in _LINKS:
            tag = _LINKS[name]
            return tag % workspace.language.upper() if "%s" in tag else tag
        if name == "contact.email":
            return "[[EMAIL_TO]]"
        space, _, key = name.partition(".")
        if words is None:
            words = str(fallbacks.get(name, fallbacks.get(key, "")))
        if space != "contact" or not key or re.search(r'["\[\]]', words):
            return found[0]
        return f'[[data:{key}:"{words}"]]'

    return _VALUE.sub(put, source)


def lacks(one: StoredTemplate) -> str:
    """Why a program cannot send this one; empty where it can."""
    parts = (one.html, one.text, one.headers.get("Subject"))
    if is_ours(one.pk) and any(_OURS.search(part or "") for part in parts):
        return f'Template "{one.name}" was written in Envol\'s editor with what only a campaign of Envol fills in.'
    return ""
