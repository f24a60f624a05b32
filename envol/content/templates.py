"""Saving a template: from what an author wrote to what is rendered for each recipient.

The order never changes: validate → rewrite links → mask template tags → MJML → inline what asks for it → unmask →
compile. The source is stored untouched; ``html`` and ``text`` hold what came out.

Links: http and https are tracked by number. mailto:, tel:, anchors and our own personal links stay as they are. A
link with values after its ``?`` is allowed on a fixed host and never tracked: its targets are as many as people, and
a redirect that leads wherever a value says would be an open one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext

from envol.accounts.models import Workspace
from envol.contacts.models import Property
from envol.content import mjml, mjml_schema
from envol.content.language import MAX_OUTPUT, check, needed, scan, variables
from envol.content.markup import (
    BLANK,
    LINK_TAGS,
    MARKER,
    Lines,
    Links,
    Unclosed,
    blank,
    marker,
    rewrite_links,
    tokens,
    too_deep,
)
from envol.content.media import note_uses
from envol.content.models import Attachment, Template, Version
from envol.content.plaintext import plain_addresses, text_from_html
from envol.content.problems import Problem, TemplateProblem
from envol.wire.message import Attachment as WireAttachment
from envol.wire.message import addr_spec

__all__ = ["Compiled", "Problem", "TemplateProblem", "compile_template", "save", "without_fallback"]

MODES = ("mjml", "html", "text")
MAX_ATTACHMENTS = 10 << 20  # octets together; more is refused by many receivers
UTM_KEYS = ("source", "medium", "campaign", "term", "content")

_FOOTER_STYLE = (
    "font-family:Arial,sans-serif;font-size:12px;line-height:18px;color:#595959;text-align:center;padding:16px"
)
_POSTAL = "{{ workspace.title }}{% if workspace.postal_address %}, {{ workspace.postal_address }}{% endif %}"
_LEAVE = '<a href="{{ unsubscribe_url }}">%s</a> &middot; <a href="{{ preferences_url }}">%s</a>'
_SENTENCES = {
    # language: question, words of the two links
    "fr": ("Vous ne souhaitez plus recevoir ces messages ?", "Me désinscrire", "Mes préférences"),
    "en": ("You no longer want these messages?", "Unsubscribe", "My preferences"),
}


class Compiled:
    """What :func:`compile_template` makes of a source; the fields of a Version."""

    __slots__ = ("html", "links", "text", "variables")

    def __init__(self, html: str, text: str, links: list[dict[str, Any]], variables: list[str]) -> None:
        self.html, self.text, self.links, self.variables = html, text, links, variables


def save(
    workspace: Workspace,
    name: str,
    mode: str,
    source: str,
    subject: str,
    *,
    preheader: str = "",
    text: str | None = None,
    reply_to: str = "",
    fallbacks: Mapping[str, str] | None = None,
    utm: Mapping[str, str] | None = None,
    attachments: Iterable[WireAttachment] = (),
    inline_css: bool = False,
    design: Mapping[str, Any] | None = None,
) -> Version:
    """A new version of the template ``name``, made at first use. Versions never change.

    ``text``: the text part as its author wrote it; None: made from the HTML. ``fallbacks``: value → words shown when
    a person has none (``contact.first_name`` or ``first_name``). ``utm``: source, medium, campaign… added to tracked
    links. ``inline_css``: move the style sheet of an HTML source into style attributes (MJML says it by itself, with
    ``<mj-style inline="inline">``). ``design``: the filled model that the source was made from. Raises
    TemplateProblem with all there is to mend.
    """
    known = dict(Property.objects.filter(workspace=workspace).values_list("key", "purposes"))
    problems: list[Problem] = []
    if not name.strip():
        problems.append(Problem(1, gettext("Give the template a name."), part="name"))
    words = _fallbacks(fallbacks or {}, known, problems)
    settings = _utm(utm or {}, problems)
    files = _files(attachments, problems)
    if reply_to:
        try:
            reply_to = addr_spec("Reply-To", reply_to)
        except ValueError:
            said = gettext("The address for answers cannot be used: write one like name@domain.example.")
            problems.append(Problem(1, said, part="reply_to"))
    try:
        made = compile_template(
            mode, source, subject, preheader=preheader, text=text, utm=settings, known=known, inline_css=inline_css
        )
    except TemplateProblem as error:
        raise TemplateProblem([*problems, *error.problems]) from None
    if problems:
        raise TemplateProblem(problems)
    with transaction.atomic():
        template, _ = Template.objects.get_or_create(workspace=workspace, name=name.strip()[:200])
        Template.objects.select_for_update().get(pk=template.pk)  # one number at a time
        last = Version.objects.filter(template=template).aggregate(last=Max("no"))["last"] or 0
        version = Version.objects.create(
            workspace=workspace,
            template=template,
            no=last + 1,
            mode=mode,
            source=source,
            subject=subject,
            preheader=preheader,
            text_source=text,
            reply_to=reply_to,
            fallbacks=words,
            utm=settings,
            html=made.html,
            text=made.text,
            links=made.links,
            variables=made.variables,
            design=dict(design) if design is not None else None,
        )
        note_uses(version)
        for file in files:
            Attachment.objects.create(
                version=version,
                name=file.filename,
                media_type=file.content_type,
                body=file.content,
                content_id=file.content_id or "",
            )
    return version


def compile_template(
    mode: str,
    source: str,
    subject: str,
    *,
    preheader: str = "",
    text: str | None = None,
    utm: Mapping[str, str] | None = None,
    known: Mapping[str, Any] | None = None,
    inline_css: bool = False,
) -> Compiled:
    """The pure part of :func:`save`: nothing is stored. ``known``: keys of contact properties; None: any."""
    if mode not in MODES:
        raise TemplateProblem(
            [
                Problem(
                    1, gettext("A template is mjml, html or text, not “%(mode)s”.") % {"mode": mode[:40]}, part="mode"
                )
            ]
        )
    problems = _check_lines(subject, preheader, known)
    part = "text" if mode == "text" else "html"
    if not source.strip():
        problems.append(Problem(1, gettext("The template is empty."), part=part))
    problems += check(source, known, part)
    if BLANK in source + (text or "") + preheader:
        said = gettext("The template holds U+FDD0, which is no character: remove it.")
        problems.append(Problem(1, said, part=part))
    if text is not None and mode != "text":
        problems += check(text, known, "text")
    if problems:
        raise TemplateProblem(_ordered(problems))
    links = Links(dict(utm or {}), part)
    made = "" if mode == "text" else _compile_html(mode, source, links, inline_css)
    written = source if mode == "text" else text
    words = text_from_html(made) if written is None else _mark_text(written, links)
    if links.problems or len(links.found) >= 2**16:
        most = gettext("A message may have 65,535 links: take some out.")
        many = [] if links.problems else [Problem(1, most, part=part)]
        raise TemplateProblem(_ordered([*links.problems, *many]))
    if made:
        made = with_preheader(_with_footer_html(made), preheader)
    words = _with_footer_text(words)
    if len(made.encode("utf-8", "replace")) > MAX_OUTPUT:
        said = gettext("The message would be larger than 2 MiB: shorten it.")
        raise TemplateProblem([Problem(1, said, part=part)])
    names = {name for each in (subject, made, words) for name in variables(each) if not name.startswith("envol_")}
    found = [{"no": link.no, "url": link.url, "label": link.label, "raw": link.raw} for link in links.found]
    return Compiled(made, words, found, sorted(names))


def without_fallback(version: Version) -> set[str]:
    """Contact properties that must have a value for each person, because nothing else could be shown."""
    found: set[str] = set()
    for source in (version.subject, version.html, version.text):
        found |= needed(source)
    return found - set(version.fallbacks) - {"contact.email", "contact.language"}


def _ordered(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.part, problem.line))


def _check_lines(subject: str, preheader: str, known: Mapping[str, Any] | None) -> list[Problem]:
    problems = []
    for part, value, longest in (("subject", subject, 500), ("preheader", preheader, 1000)):
        problems += check(value, known, part)
        if len(value) > longest:
            said = gettext("Shorten it to %(n)s characters.") % {"n": longest}
            problems.append(Problem(1, said, part=part))
        if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", value):
            said = gettext("It holds a line break or a control character: remove it.")
            problems.append(Problem(1, said, part=part))
    if not subject.strip():
        problems.append(Problem(1, gettext("Write a subject."), part="subject"))
    return problems


def _fallbacks(given: Mapping[str, str], known: Mapping[str, Any], problems: list[Problem]) -> dict[str, str]:
    words = {}
    for name, value in given.items():
        key = name.removeprefix("contact.")
        if key not in known and key != "language":
            said = gettext("There is no property %(name)s to give a fallback for.") % {"name": key[:60]}
            problems.append(Problem(1, said, part="fallbacks"))
        elif not isinstance(value, str) or not value.strip() or len(value) > 1000:
            said = gettext("The fallback of %(name)s needs 1 to 1000 characters.") % {"name": key}
            problems.append(Problem(1, said, part="fallbacks"))
        else:
            words[f"contact.{key}"] = value
    return words


def _utm(given: Mapping[str, str], problems: list[Problem]) -> dict[str, str]:
    settings = {}
    for name, value in given.items():
        key = name.removeprefix("utm_")
        if key not in UTM_KEYS or not isinstance(value, str) or len(value) > 200:
            said = gettext("utm knows %(names)s, each up to 200 characters; not %(name)s.")
            said %= {"names": ", ".join(UTM_KEYS), "name": name[:40]}
            problems.append(Problem(1, said, part="utm"))
        elif value:
            settings[key] = value
    return settings


def _files(given: Iterable[WireAttachment], problems: list[Problem]) -> list[WireAttachment]:
    files = list(given)
    for file in files:
        try:
            file.encode()
        except ValueError:
            said = gettext("The attachment “%(name)s” cannot be used: check its name and its type.")
            problems.append(Problem(1, said % {"name": file.filename[:100]}, part="attachments"))
    if sum(len(file.content) for file in files) > MAX_ATTACHMENTS:
        said = gettext("Attachments may have 10 MB together: link to large files.")
        problems.append(Problem(1, said, part="attachments"))
    return files


def _compile_html(mode: str, source: str, links: Links, inline_css: bool) -> str:
    tags, _ = scan(source)
    if problems := too_deep(source, tags):
        raise TemplateProblem(problems)
    if mode == "mjml":
        problems = mjml.validate(source, tags)
        rewritten, more = rewrite_links(source, tags, links, mjml_schema.LINK_HOLDERS)
    else:
        problems = _check_html(source)
        rewritten, more = rewrite_links(source, tags, links, LINK_TAGS)
    if problems or more:
        raise TemplateProblem(_ordered([*problems, *more]))
    if mode == "mjml":
        return mjml.compile_mjml(rewritten)
    return mjml.inline_template(rewritten) if inline_css else rewritten


def _check_html(source: str) -> list[Problem]:
    """Where escaping would not protect: values inside scripts and style sheets."""
    masked, lines = blank(source, scan(source)[0]), Lines(source)
    inside = ""
    try:
        for token in tokens(masked):
            if token.kind == "text" and inside and BLANK in masked[token.start : token.end]:
                said = gettext("A value may not stand in %(place)s: take it out.") % {"place": f"<{inside}>"}
                return [Problem(lines.at(token.start), said)]
            inside = token.name if token.kind == "open" and token.name in ("script", "style") else ""
            on = next((a for a in token.attributes if a.name.startswith("on") and BLANK in a.value), None)
            if on is not None:
                said = gettext("A value may not stand in %(place)s: take it out.") % {"place": on.name}
                return [Problem(lines.at(token.start), said)]
    except Unclosed:
        pass  # rewrite_links says it
    return []


def _mark_text(source: str, links: Links) -> str:
    """A written text part with its addresses marked; one that the HTML part has, too, is the same link."""
    same = {link.url: link.no for link in links.found}
    pieces, last, lines = [], 0, Lines(source)
    for start, end in plain_addresses(source):
        raw = source[start:end]
        before = len(links.found)
        made = links.take(html.escape(raw, quote=False), raw, lines.at(start))
        if made is None:
            continue
        url = links.found[-1].url
        if url in same:
            made = marker(same[url])
            del links.found[before:]
        else:
            same[url] = links.found[-1].no
        pieces += [source[last:start], made]
        last = end
    return "".join([*pieces, source[last:]])


def with_preheader(made: str, preheader: str) -> str:
    """The line that inboxes show after the subject, hidden in the message itself."""
    if not preheader:
        return made
    pieces, last = [], 0
    for tag in scan(preheader)[0]:
        pieces += [html.escape(preheader[last : tag.start]), preheader[tag.start : tag.end]]
        last = tag.end
    words = "".join([*pieces, html.escape(preheader[last:])])
    style = (
        "display:none;max-height:0;max-width:0;opacity:0;overflow:hidden;font-size:1px;line-height:1px;color:#ffffff"
    )
    hidden = f'<div style="{style}">{words}</div>'
    body = re.search(r"<body\b[^>]*>", blank(made, scan(made)[0]), re.IGNORECASE)
    return made[: body.end()] + hidden + made[body.end() :] if body else hidden + made


def _lacks(made: str) -> tuple[bool, bool]:
    names = variables(made)
    return "unsubscribe_url" not in names, "workspace.postal_address" not in names


def _choice(of: Mapping[str, str]) -> str:
    return f'{{% if language == "fr" %}}{of["fr"]}{{% else %}}{of["en"]}{{% endif %}}'


def _with_footer_html(made: str) -> str:
    """Every commercial message says who writes and how to leave (ePrivacy art. 13(4), CPCE L34-5); added if absent."""
    leave, postal = _lacks(made)
    if not (leave or postal):
        return made
    links = {language: f"{ask} {_LEAVE % (out, own)}" for language, (ask, out, own) in _SENTENCES.items()}
    words = (_choice(links) if leave else "") + ("<br>" if leave and postal else "") + (_POSTAL if postal else "")
    return before_body_end(made, f'<div style="{_FOOTER_STYLE}">{words}</div>')


def before_body_end(made: str, more: str) -> str:
    """``more`` at the end of the body."""
    at = made.lower().rfind("</body>")
    if at < 0:
        at = made.lower().rfind("</html>")
    return made + more if at < 0 else made[:at] + more + made[at:]


def _with_footer_text(made: str) -> str:
    leave, postal = _lacks(made)
    if not (leave or postal):
        return made
    links = {
        language: f"{ask}\n{out}: {{{{ unsubscribe_url }}}}\n{own}: {{{{ preferences_url }}}}"
        for language, (ask, out, own) in _SENTENCES.items()
    }
    words = (_choice(links) if leave else "") + ("\n" if leave and postal else "") + (_POSTAL if postal else "")
    return f"{made.rstrip()}\n\n---\n{words}\n"


def links_of(version: Version) -> dict[int, str]:
    """Where each tracked link of a version leads: number → address, what a redirect looks up."""
    return {int(link["no"]): str(link["url"]) for link in version.links}


def marked(source: str) -> set[int]:
    """Numbers of the tracked links that occur in a compiled template."""
    return {int(found) for found in MARKER.findall(source)}
