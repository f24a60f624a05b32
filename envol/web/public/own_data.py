"""What a person does about her data on her page: by a link to her mailbox, or, where it protects, at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from babel.dates import format_date

from envol.consent import acts, requests, restriction, suppression
from envol.web.public.choices import PAUSED, Visitor, paused_until
from envol.web.public.words import Words

BY_LINK = ("access", "portability", "erasure")
AT_ONCE = ("restriction", "objection")
"""They show nothing to whom a message was passed on, and can be taken back: no proof of identity is needed."""
PAUSE = timedelta(days=30)


def ask(who: Visitor, kind: str, words: str, language: str) -> str:
    """The name of the sentence that says what happened."""
    if who.contact is None or kind not in requests.KINDS:
        return "unchanged"
    if kind == "restriction":
        made = restriction.begin(who.workspace.id, who.contact.id, f"preference page, {who.cause}")
        return "rights_restricted" if made else "unchanged"
    if kind == "objection":
        acts.object_to_marketing(who.workspace.id, who.contact.id, who.contact.email_key, who.cause)
        return "rights_objected"
    if kind == "rectification" and not words.strip():
        return "rights_words_needed"
    requests.receive(who.workspace, kind, who.contact.email, channel="preferences", language=language, words=words)
    return "rights_sent"


def pause(who: Visitor, *, end: bool) -> str:
    """No marketing for 30 days, then all as before; or all as before now."""
    if who.contact is None or who.email_key is None:
        return "unchanged"
    until = paused_until(who)
    if end:
        if until is None:
            return "unchanged"
        suppression.lift(who.workspace.id, who.email_key, "marketing", f"she ended her pause, {who.cause}")
        return "pause_over"
    suppression.add(who.workspace.id, who.email_key, "marketing", PAUSED, who.cause, until=datetime.now(UTC) + PAUSE)
    return ""


def paused(who: Visitor, words: Words) -> str:
    until = paused_until(who)
    if until is None:
        return ""
    return words("paused", until=format_date(until, "long", locale="fr_FR" if words.language == "fr" else "en_GB"))
