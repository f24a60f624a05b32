"""What was written to a mailing list, read by its members with the link of their own page, or by everybody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

from babel.dates import format_date
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from envol import db_role
from envol.content.links import Kind
from envol.outbound import archive, digests, mailing
from envol.outbound.models import MailingList, Post
from envol.web.doors import anybody
from envol.web.paging import page_of
from envol.web.public import choices
from envol.web.public.choices import Visitor
from envol.web.public.page import nowhere, page, spoken, switches
from envol.web.public.views import posted
from envol.web.public.words import Words


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads which archive. ``base``: the path of its first page; ``who``: a member, or None for everybody."""

    one: MailingList
    base: str
    who: Visitor | None

    @property
    def language(self) -> str:
        if self.who is not None:
            return self.who.language
        return "en" if self.one.workspace.language.startswith("en") else "fr"


def _member(token: str, list_id: int) -> Reading | None:
    who = choices.visitor(token, Kind.PREFERENCES, Kind.UNSUBSCRIBE, Kind.PERSON)
    if who is None or who.contact is None:
        return None
    mine = digests.lists_of(who.workspace.id, who.contact.id)
    one = next((found for found, _daily in mine if found.pk == list_id and found.archive != archive.NONE), None)
    return Reading(one, f"/l/{token}/{list_id}", who) if one is not None else None


_ADDRESS = re.compile(r"[A-Za-z0-9.-]{1,40}@[A-Za-z0-9.-]{1,253}")


def _everybody(address: str) -> Reading | None:
    if not _ADDRESS.fullmatch(address):
        return None
    with db_role.as_owner():  # the address says whose list it is
        one = mailing.found_by(address)
    if one is None or one.archive != archive.PUBLIC:
        return None
    db_role.enter(one.workspace_id)
    return Reading(one, f"/l/at/{address}", None)


def _all(request: HttpRequest, reading: Reading | None) -> HttpResponse:
    if reading is None:
        return nowhere(request)
    language, query = (
        spoken(request, reading.language),
        " ".join(request.GET.get("q", "").split())[:100],
    )
    found = page_of(request, archive.shown(reading.one, member=reading.who is not None, query=query))
    facts = {
        **_facts(request, reading, language),
        "query": query,
        "lines": [
            {"post": post, "at": f"{reading.base}/{post.pk}", "day": _day(post, reading, language)}
            for post in found.rows
        ],
        "older": found.older,
        "first": found.first,
    }
    return page("archive", language, facts)


def _one(request: HttpRequest, reading: Reading | None, post_id: int) -> HttpResponse:
    found = archive.shown(reading.one, member=reading.who is not None).filter(pk=post_id) if reading else None
    post = found.first() if found is not None else None
    if reading is None or post is None:
        return nowhere(request)
    language = spoken(request, reading.language)
    facts = _facts(request, reading, language)
    mine = reading.who is not None and reading.who.contact is not None and post.contact_id == reading.who.contact.pk
    if mine and request.method == "POST" and posted(request).get("act") == "remove":
        archive.remove(post)
        return page("archive_gone", language, facts)
    facts |= {"post": post, "day": _day(post, reading, language), "parts": _parts(post.text), "mine": mine}
    return page("archive_post", language, facts)


def _parts(text: str) -> list[tuple[bool, str]]:
    """The text in order: what is quoted, without its marks (RFC 3676 §4.5), and what is not."""
    parts = []
    for quoted, lines in groupby(text.split("\n"), lambda line: line.startswith(">")):
        part = "\n".join(line.lstrip("> ") if quoted else line for line in lines).strip("\n")
        if part.strip():
            parts.append((quoted, part))
    return parts


def _facts(request: HttpRequest, reading: Reading, language: str) -> dict[str, object]:
    return {
        "words": Words(language, list=reading.one.title),
        "workspace": reading.one.workspace,
        "languages": switches(request, language),
        "here": request.path,
        "base": reading.base,
        "list": reading.one,
    }


def _day(post: Post, reading: Reading, language: str) -> str:
    there = post.received_at.astimezone(reading.one.workspace.zone)
    return format_date(there, "long", locale="fr_FR" if language == "fr" else "en_GB")


@require_safe
@anybody
def members_archive(request: HttpRequest, token: str, list_id: int) -> HttpResponse:
    """Newest first, searched by words; the token in the address is the key, and leaving the list ends it."""
    return _all(request, _member(token, list_id))


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # no session is involved: the token in the address is the only key
@anybody
def members_post(request: HttpRequest, token: str, list_id: int, post_id: int) -> HttpResponse:
    """One message; whoever wrote it takes it out by a button."""
    return _one(request, _member(token, list_id), post_id)


@require_safe
@anybody
def archive_of(request: HttpRequest, address: str) -> HttpResponse:
    """The same of a list whose archive everybody may read."""
    return _all(request, _everybody(address))


@require_safe
@anybody
def post_of(request: HttpRequest, address: str, post_id: int) -> HttpResponse:
    return _one(request, _everybody(address), post_id)
