"""Outgoing control: every message is looked at before it is promised to anybody.

What is looked at, and how much each sign weighs, is `envol.wire.fraud`; here stand the facts that it cannot know: which
domains are the workspace's own, and which hosts the operator has blocked. No network, and no question to the database
but once in half a minute.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envol import db
from envol.accounts.models import Workspace
from envol.content.markup import MARKER
from envol.content.models import Version
from envol.outbound import fraud_words, habits
from envol.outbound.models import BlockedHost, Domain
from envol.wire.address import AddressError, normalise
from envol.wire.fraud import Letter, Verdict, judge, letter_of
from envol.wire.fraud.names import parents, registrable

if TYPE_CHECKING:
    from envol.outbound.accept import Outgoing

_KEEP_SECONDS = 30.0


class TakesLong(Exception):
    """Something is attached, which may have to be unpacked: not while others wait."""


def examine(message: Outgoing) -> Verdict:
    """The verdict over a single message."""
    key = message.facts.get("key")
    if message.raw is not None:
        return examine_raw(message.workspace_id, message.sender, message.subject, message.raw, key=key)
    answer_to = message.reply_to[0][1] if message.reply_to else ""
    name, address = message.sender
    letter = Letter(name, address, message.subject, message.text, message.html, answer_to)
    letter.own, letter.ours, letter.known = own_domains(message.workspace_id), _ours(), names_of(message.workspace_id)
    return _judged(letter, key)


def examine_raw(
    workspace_id: int, sender: tuple[str, str], subject: str, raw: bytes, *, key: int | None, at_once: bool = False
) -> Verdict:
    """The verdict over a message that is relayed. at_once: raises :class:`TakesLong` rather than to look into
    attachments."""
    name, address = sender
    facts = {"own": own_domains(workspace_id), "ours": _ours(), "known": names_of(workspace_id)}
    letter = letter_of(raw, name=name, address=address, subject=subject, **facts)
    if at_once and letter.files:
        raise TakesLong
    return _judged(letter, key)


def _judged(letter: Letter, key: int | None) -> Verdict:
    """A key that is used strangely makes suspicion graver where there is some: habits alone pause a key, and do not
    judge what it says."""
    verdict = judge(letter, blocked)
    strange = habits.signs(key) if key else []
    return verdict.and_also(strange) if strange and verdict.reasons else verdict


def examine_version(workspace_id: int, sender: tuple[str, str], reply_to: str, version: Version) -> Verdict:
    """The verdict over what a campaign says to everybody: once is enough, because templates fill in words and no hosts
    (a value may stand only behind the ``?`` of a link)."""
    addresses = {int(link["no"]): str(link["url"]) for link in version.links}

    def target(found: re.Match[str]) -> str:
        return escape(addresses.get(int(found[1]), ""))

    name, address = sender
    letter = Letter(
        name,
        address,
        version.subject,
        MARKER.sub(target, version.text),
        MARKER.sub(target, version.html),
        reply_to or version.reply_to,
        [(one.name, bytes(one.body)) for one in version.attachments.all()],
        own_domains(workspace_id),
        _ours(),
        names_of(workspace_id),
    )
    return judge(letter, blocked)


def refusal(verdict: Verdict) -> str:
    """The sentence for the program that handed it in: English and ASCII, as SMTP replies are (RFC 5321 §4.2)."""
    with translation.override("en"):
        why = "; ".join(fraud_words.said(reason.rule, reason.what) for reason in verdict.reasons[:3])
        said = _("This message looks like fraud and is not sent: %(why)s.") % {"why": why}
    return re.sub(r"[^ -~]", "?", said.replace("›", ">").replace("→", "->"))[:400]


# ---- the workspace's own domains

_own: dict[int, tuple[float, frozenset[str]]] = {}


def own_domains(workspace_id: int) -> frozenset[str]:
    """Registrable domains that are checked or trusted. Known for half a minute."""
    known = _own.get(workspace_id)
    if known is None or time.monotonic() - known[0] >= _KEEP_SECONDS:
        rows = Domain.objects.filter(workspace_id=workspace_id).values_list("name", "trusted", "passed_at")
        names = {registrable(name) for name, trusted, passed in rows if trusted or passed}
        known = _own[workspace_id] = (time.monotonic(), frozenset(names))
    return known[1]


_names: dict[int, tuple[float, frozenset[str]]] = {}


def names_of(workspace_id: int) -> frozenset[str]:
    """Names under which the organisation is known here: mail under them comes from no stranger. For half a minute."""
    known = _names.get(workspace_id)
    if known is None or time.monotonic() - known[0] >= _KEEP_SECONDS:
        found = Workspace.objects.filter(id=workspace_id).values_list("name", "title").first() or ()
        known = _names[workspace_id] = (time.monotonic(), frozenset(filter(None, found)))
    return known[1]


def _ours() -> frozenset[str]:
    """The host of this platform's own pages, to which letters link to be left or looked at."""
    host = urlsplit(settings.ENVOL.base_url).hostname
    return frozenset({host}) if host else frozenset()


# ---- blocked hosts

_blocked: tuple[float, tuple[int, object], frozenset[str]] = (float("-inf"), (0, None), frozenset())


def blocked(host: str) -> str:
    """The entry that covers this host, or nothing. What was changed is known half a minute later."""
    listed = _listed()
    return next((parent for parent in parents(host) if parent in listed), "") if listed else ""


def _listed() -> frozenset[str]:
    global _blocked  # one list for the process, replaced whole
    read_at, mark, listed = _blocked
    now = time.monotonic()
    if now - read_at >= _KEEP_SECONDS:
        there = db.rows("SELECT count(*), max(added_at) FROM outbound_blocked_host")[0]
        if there != mark:
            listed = frozenset(BlockedHost.objects.values_list("host", flat=True))
        _blocked = (now, there, listed)
    return listed


def _forget() -> None:
    global _blocked
    _blocked = (float("-inf"), (0, None), frozenset())
    _own.clear()


def host_in(line: str) -> str:
    """The host of a line of a list: a name, an address of the web, or a line of a hosts file. Raises ValueError."""
    text = line.split("#", 1)[0].strip()
    text = re.sub(r"^(?:0\.0\.0\.0|127\.0\.0\.1)\s+", "", text).removeprefix("||").rstrip("^")
    if "://" in text:
        text = urlsplit(text).hostname or ""
    text = text.removeprefix("*.").removeprefix(".").rstrip(".").lower()
    try:
        return normalise(f"postmaster@{text}").domain
    except AddressError:
        raise ValueError(_("%(text)s is not the name of a host.") % {"text": line.strip()[:80] or "–"}) from None


def block(hosts: Iterable[str], source: str = "", *, replace: bool = False) -> int:
    """Put hosts on the list; how many are new. `replace`: what this source listed before and does not now goes."""
    names = sorted(set(hosts))
    with transaction.atomic():
        if replace:
            db.execute("DELETE FROM outbound_blocked_host WHERE source = %s AND host <> ALL (%s)", [source, names])
        new = db.execute(
            "INSERT INTO outbound_blocked_host (host, source, added_at)"
            " SELECT unnest(%s::text[]), %s, clock_timestamp() ON CONFLICT DO NOTHING",
            [names, source[:100]],
        )
    _forget()
    return new


def unblock(hosts: Iterable[str]) -> int:
    """Take hosts off the list; how many were there."""
    gone, _what = BlockedHost.objects.filter(host__in=list(hosts)).delete()
    _forget()
    return gone
