"""Why somebody has gone quiet: what she answered when she was asked, else what can be told from what happened.

The detectable reasons are trees of ordinary rules, as stages are, so every engine answers them and each answer can be
explained. They are told in order: the first that fits is the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from envol import db
from envol.accounts.models import Workspace

QUIET = ("inactive", "dormant", "never")
"""Stages of activity of whom the reason is asked."""

ANSWERS = {
    "content": ("le contenu ne l’intéresse pas", "the content is not relevant"),
    "moment": ("pas au bon moment de son achat", "not right for the stage of the purchase"),
    "not_opening": ("n’ouvre pas les messages", "does not open them"),
    "too_many": ("trop de messages", "too many e-mails"),
    "competitor": ("un concurrent est passé avant", "a competitor was first"),
    "money": ("moins d’argent à dépenser", "less money to spend"),
    "other": ("autre raison", "another reason"),
}
"""The answers of the survey: French, English."""

LABELS = ANSWERS | {
    "unreached": ("nos messages n’arrivent plus", "our messages no longer arrive"),
    "seasonal": ("n’agit qu’à une saison de l’année", "acts in one season of the year only"),
}
OFF_TOPIC, SEASONAL = "off_topic", "seasonal"
HABITS = {
    OFF_TOPIC: ("reçoit d’autres sujets que les siens", "gets other topics than their own"),
    SEASONAL: ("n’agit qu’à une saison", "acts in one season only"),
}
"""What shows in somebody's reading and buying (`audience.habits`): French, English."""
SOURCES = ("survey", "unsubscribed")
MOST_WORDS = 500


def _rule(field: str, op: str, value: Any = None, **where: Any) -> dict[str, Any]:
    made = {"field": field, "op": op} | ({} if value is None else {"value": value})
    return made | ({"where": where} if where else {})


# In the order in which they are looked for.
_DETECTED: dict[str, tuple[dict[str, Any], ...]] = {
    "unreached": (
        _rule("mail.sent", "at_least", 3, within_days=90),
        _rule("mail.delivered", "never", None, within_days=90),
    ),
    "too_many": (_rule("mail.delivered", "at_least", 12, within_days=30),),
    "content": (_rule("activity.habit", "in", [OFF_TOPIC]),),
    "not_opening": (
        _rule("measured", "is", "opens"),
        _rule("mail.delivered", "at_least", 8, within_days=180),
        _rule("mail.opened", "never", None, within_days=180),
    ),
    "seasonal": (_rule("activity.habit", "in", [SEASONAL]),),
    "moment": (_rule("orders.last", "in_last", 365),),
}
DETECTED = tuple(_DETECTED)


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"match": "all", "rules": list(rules)}


def detected(reason: str) -> dict[str, Any]:
    """The tree of a detectable reason, none of the earlier ones being one."""
    at = DETECTED.index(reason)
    earlier = [_all(*_DETECTED[one]) for one in DETECTED[:at]]
    return _all(*_DETECTED[reason], *([{"match": "none", "rules": earlier}] if earlier else []))


def meant(chosen: Sequence[str], origin: str = "") -> dict[str, Any]:
    """The tree of "is quiet for one of these reasons"; ``origin``: only what was answered, or only what is detected."""
    known = _rule("inactivity.answer", "known")
    answered = [one for one in chosen if one in ANSWERS]
    told = [one for one in chosen if one in _DETECTED]
    ways: list[dict[str, Any]] = []
    if answered and origin != "inferred":
        ways.append(_rule("inactivity.answer", "in", answered))
    if told and origin != "declared":
        found = {"match": "any", "rules": [detected(one) for one in told]}
        ways.append(_all({"match": "none", "rules": [known]}, found))
    nobody = {"match": "none", "rules": [_rule("random", "share", 100)]}
    quiet = _rule("activity.stage", "in", list(QUIET))
    return {"v": 1, **_all(quiet, {"match": "any", "rules": ways} if ways else nobody)}


def answer(workspace: Workspace, contact_id: int, reason: str, words: str = "", source: str = "survey") -> bool:
    """What she says is why; the answer before it ends. Whether that changes anything."""
    assert reason in ANSWERS and source in SOURCES
    words = " ".join(words.replace("\0", "").split())[:MOST_WORDS] if reason == "other" else ""
    with transaction.atomic():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('audience.reasons'), %s)", [workspace.pk])
        if present(workspace, contact_id) == (reason, words):
            return False
        db.execute(
            "UPDATE audience_reason SET until = greatest(now(), since)"
            " WHERE workspace_id = %s AND contact_id = %s AND until IS NULL",
            [workspace.pk, contact_id],
        )
        db.execute(
            "INSERT INTO audience_reason (workspace_id, contact_id, reason, words, source)"
            " SELECT c.workspace_id, c.id, %s, %s, %s FROM contacts_contact c WHERE c.workspace_id = %s AND c.id = %s",
            [reason, words, source, workspace.pk, contact_id],
        )
    return True


def present(workspace: Workspace, contact_id: int) -> tuple[str, str] | None:
    """The answer in force and its words; None when she gave none."""
    found = db.rows(
        "SELECT reason, words FROM audience_reason WHERE workspace_id = %s AND contact_id = %s AND until IS NULL",
        [workspace.pk, contact_id],
    )
    return found[0] if found else None


def counts(workspace: Workspace) -> dict[str, int]:
    """People by the answer in force."""
    return dict(
        db.rows(
            "SELECT reason, count(*) FROM audience_reason WHERE workspace_id = %s AND until IS NULL GROUP BY 1",
            [workspace.pk],
        )
    )


def words(workspace: Workspace, limit: int = 20) -> list[tuple[str, Any]]:
    """The newest free words with their moment, without who said them."""
    return db.rows(
        "SELECT words, since FROM audience_reason WHERE workspace_id = %s AND until IS NULL AND words <> ''"
        " ORDER BY since DESC LIMIT %s",
        [workspace.pk, limit],
    )


def sweep(months: int) -> int:
    """Forget what ended longer ago than events are kept, and what was said by people whose import was undone."""
    return db.execute(
        "DELETE FROM audience_reason i WHERE i.until < now() - make_interval(months => %s)"
        " OR NOT EXISTS (SELECT FROM contacts_contact c WHERE c.id = i.contact_id)",
        [months],
    )
