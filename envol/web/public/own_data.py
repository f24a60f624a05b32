"""What a person does about her data on her page: by a link to her mailbox, or, where it protects, at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from babel.dates import format_date

from envol.consent import acts, directives, requests, restriction, suppression
from envol.events.writing import request_mail
from envol.web.public.choices import PAUSED, Visitor, paused_until
from envol.web.public.words import Words

BY_LINK = ("access", "portability", "erasure", "review")
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


def profiling(who: Visitor, *, end: bool) -> str:
    """Nothing is worked out of her reading and buying any more; or, if she wants it, again."""
    if who.contact is None:
        return "unchanged"
    place, contact, scope = who.workspace.id, who.contact.id, restriction.PROFILING
    if end:
        changed = restriction.begin(place, contact, f"preference page, {who.cause}", scope=scope)
        return "profile_ended" if changed else "unchanged"
    return "profile_again" if restriction.end(place, contact, scope=scope, actor="person") else "unchanged"


def seldom(who: Visitor, wanted: str) -> bool:
    """How often she wants to hear at most; whether that is a change."""
    if who.contact is None:
        return False
    return restriction.set_frequency(who.workspace.id, who.contact.id, wanted, f"preference page, {who.cause}")


def frequencies(who: Visitor, words: Words) -> list[tuple[str, str, bool]]:
    """What she may choose of: the value, its words, whether it is hers now."""
    now = restriction.frequency(who.workspace.id, who.contact.id) if who.contact is not None else ""
    return [(key, words(f"often_{key or 'any'}"), key == now) for key in ("", *restriction.FREQUENCIES)]


def after(who: Visitor, wish: str, person: str, words: Words) -> str:
    """What shall become of her data when she has died. A message may have been passed on: so a mail tells it to her."""
    if who.contact is None or wish not in ("", *directives.WISHES):
        return "unchanged"
    if wish == directives.HAND and not person.strip():
        return "after_needed"
    if not directives.say(who.workspace.id, who.contact.id, wish, person):
        return "unchanged"
    named = person.strip()[:300] if wish == directives.HAND else ""
    told = words("after_mail", wish=words(f"after_{wish or 'none'}").lower(), person=named)
    request_mail(
        "rights", who.contact.email, {"subject": words("after_mail_subject"), "text": told},
        workspace_id=who.workspace.id, contact_id=who.contact.id, language=words.language,
    )  # fmt: skip
    return "after_saved"


def wishes(who: Visitor, words: Words, typed: dict[str, str]) -> dict[str, object]:
    """What she may choose of, what is hers now or was just typed, and to whom the data are handed."""
    found = directives.of(who.workspace.id, who.contact.id) if who.contact is not None else None
    now = typed.get("wish", found.wish if found else "")
    offered = [(one, words(f"after_{one or 'none'}"), one == now) for one in ("", *directives.WISHES)]
    return {"offered": offered, "person": typed.get("person", found.person if found else "")}


def unprofiled(who: Visitor) -> bool:
    return (
        who.contact is not None and restriction.now(who.workspace.id, who.contact.id, restriction.PROFILING) is not None
    )


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
