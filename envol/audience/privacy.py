"""What this room keeps of one person: scores and tiers of a buyer, moves into and out of segments. All go with her."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from envol.audience.columns import store
from envol.consent import registry
from envol.consent.registry import Data
from envol.db import dicts, execute

_OF_PERSON = (
    "audience_score",
    "audience_tier",
    "audience_interest",
    "audience_reason",
    "audience_expected",
    "audience_rhythm",
    "audience_habit",
    "audience_member",
    "audience_move",
    "audience_segment_person",
)


def erase(workspace_id: int, contact_id: int) -> Mapping[str, int]:
    # A look at followed segments is before this or after, never in between: see `following`.
    execute("SELECT pg_advisory_xact_lock_shared(hashtext('envol audience following'), %s)", [workspace_id])
    return {
        table: execute(f"DELETE FROM {table} WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id])
        for table in _OF_PERSON
    }


def export(workspace_id: int, contact_id: int) -> Mapping[str, Any]:
    """With the logic involved (GDPR art. 15(1)(h)): figures without it would tell her nothing."""
    scores = dicts(
        "SELECT s.last_day, s.frequency AS order_days, s.amount AS amount_in_cents, s.lately AS last_year_in_cents,"
        " s.r AS recency_score, s.f AS frequency_score, s.m AS amount_score, s.named AS segment, x.currency,"
        " x.reference AS as_of FROM audience_score s LEFT JOIN audience_scoring x ON x.workspace_id = s.workspace_id"
        " WHERE s.workspace_id = %s AND s.contact_id = %s",
        [workspace_id, contact_id],
    )
    tiers = dicts(
        "SELECT tier, since, until FROM audience_tier WHERE workspace_id = %s AND contact_id = %s ORDER BY since, id",
        [workspace_id, contact_id],
    )
    interests = dicts(
        "SELECT t.label_fr AS topic_fr, t.label_en AS topic_en, i.origin, i.source, i.since, i.until,"
        " i.reads AS articles_of_the_topic, i.of_reads AS of_topical_articles, i.last_on AS last_read"
        " FROM audience_interest i JOIN audience_topic t ON t.id = i.topic_id"
        " WHERE i.workspace_id = %s AND i.contact_id = %s ORDER BY i.since, i.id",
        [workspace_id, contact_id],
    )
    moves = dicts(
        "SELECT s.name AS segment, m.at, CASE WHEN m.entered THEN 'entered' ELSE 'left' END AS what"
        " FROM audience_move m"
        " LEFT JOIN audience_segment s ON s.id = m.segment_id WHERE m.workspace_id = %s AND m.contact_id = %s"
        " ORDER BY m.at, m.id",
        [workspace_id, contact_id],
    )
    hands = dicts(
        "SELECT s.name AS segment, p.inside, p.at FROM audience_segment_person p"
        " JOIN audience_segment s ON s.id = p.segment_id WHERE p.workspace_id = %s AND p.contact_id = %s ORDER BY p.at",
        [workspace_id, contact_id],
    )
    reasons = dicts(
        "SELECT reason, words, source, since, until FROM audience_reason WHERE workspace_id = %s AND contact_id = %s"
        " ORDER BY since, id",
        [workspace_id, contact_id],
    )
    rhythm = dicts(
        "SELECT days AS days_of_silence_that_say_something FROM audience_rhythm"
        " WHERE workspace_id = %s AND contact_id = %s",
        [workspace_id, contact_id],
    )
    habits = dicts(
        "SELECT habit FROM audience_habit WHERE workspace_id = %s AND contact_id = %s ORDER BY habit",
        [workspace_id, contact_id],
    )
    expected = dicts(
        "SELECT purchases::text AS purchases_expected_in_90_days, alive AS percent_likely_to_buy_again"
        " FROM audience_expected WHERE workspace_id = %s AND contact_id = %s",
        [workspace_id, contact_id],
    )
    for row in (*scores, *tiers, *interests, *moves, *hands, *reasons):
        for key, value in row.items():
            if hasattr(value, "isoformat"):
                row[key] = value.isoformat()
    chosen: dict[str, Any] = {"segments": moves} if moves else {}
    if hands:
        chosen["segments_by_hand"] = hands
    if not (scores or tiers or interests or reasons or rhythm or habits):
        return chosen
    return {
        **chosen,
        "purchases": scores[0] if scores else None,
        "tiers": tiers,
        "interests": interests,
        "reasons_for_inactivity": reasons,
        "expected_purchases": expected[0] if expected else None,
        "rhythm": rhythm[0] if rhythm else None,
        "habits": [row["habit"] for row in habits],
        "logic_of_habits": "off_topic: of at least five messages with a topic that were delivered within 180 days, at"
        " most a tenth had a topic she said she likes, was interested in or clicked. seasonal: in both of the last two"
        " years she bought or clicked in the same three months and at no other time.",
        "logic_of_interests": "Declared: what she said. Inferred: five different articles or products of a topic"
        " within 90 days, and three tenths of all topical ones; it fades by half in 60 days."
        " Refused: she wants no more of it.",
        "logic": "Scores from 1 (lowest fifth of all buyers) to 5 (highest) for how recent, how many and how large"
        " the purchases were; the segment follows from the three; the tier from the sum of twelve months.",
    }


def describe() -> list[Data]:
    return [
        Data("audience_score", "scores from orders: how recent, how many, how large; the segment they give"),
        Data("audience_tier", "stays in the tiers premium, gold and bronze"),
        Data("audience_interest", "topics she said she likes or not, or that her reading and buying shows"),
        Data("audience_expected", "purchases to be expected, from how often and when she bought"),
        Data("audience_expectation", "when that was computed, and with which parameters", False),
        Data("audience_reason", "why she reads little, as she answered"),
        Data("audience_habit", "whether she gets other topics than hers, or acts in one season only, as it shows"),
        Data("audience_rhythm", "after how many days of silence she counts as less active"),
        Data("audience_rhythm_setting", "whether stages follow one's own rhythm", False),
        Data("audience_topic", "topics and how their articles are known", False),
        Data("audience_topic_article", "pages that were given a topic", False),
        Data("audience_inference", "when interests were last inferred, and how many", False),
        Data("audience_member", "who is in a followed segment as of the last look"),
        Data("audience_move", "entering and leaving followed segments", True, "400 days"),
        Data("audience_follow", "which segments are followed", False),
        Data("audience_size", "how many people a segment held, day by day", False),
        Data("audience_scoring", "when scores were made, sums and months of first purchases", False),
        Data("audience_privilege", "what each tier is given", False),
        Data("audience_repurchase_delay", "after how long a category is bought again", False),
        Data("audience_segment", "rules of segments", False),
        Data("audience_segment_person", "segments that a member put the person into, or left out of, by hand"),
        Data("audience_shop", "shops: where they are, when they are open", False),
        Data("audience_segment_version", "earlier rules of segments", False),
    ]


def columns_may_hold(workspace_id: int, stamp: int) -> bool:
    """Are there slabs of this workspace from before that transaction? What was erased in it may stand in them."""
    return any(
        watermark is None or watermark <= stamp
        for watermark in store.watermarks(store.folder(settings.ENVOL.data, workspace_id))
    )


def clickhouse_may_hold(workspace_id: int, stamp: int) -> bool:
    """The same for the copy in ClickHouse, if one is named; where it does not answer, it may."""
    if not settings.ENVOL.clickhouse:
        return False
    from envol.audience.clickhouse import upkeep

    return upkeep.may_hold(workspace_id, stamp)


def register() -> None:
    registry.register("audience", erase=erase, export=export, describe=describe)
