"""Finding people by any part of an address or name, in a base that is written faster than such an index allows.

The texts stand in a narrow table with a trigram index. A job fills it behind the writing, following the stamps of
contacts; whoever was written since is looked at row by row, so an answer is never stale. See docs/decisions/0009.
"""

from __future__ import annotations

from django.db import transaction

from envol.db import execute, rows, sql, value

NAMES = ("first_name", "last_name", "name", "prenom", "nom", "company")
BATCH = 10_000
NEAR = 20_000
"""People not yet written up to which looking at each of them is quicker than reading everybody."""


def follow() -> int:
    """Write whom the table does not know yet; how many contacts were looked at."""
    seen = 0
    while True:
        with transaction.atomic():
            # Whoever is erased now waits, and whoever is just being erased is waited for.
            execute("SELECT pg_advisory_xact_lock(hashtextextended('contacts_search', 0))")
            execute("INSERT INTO contacts_search_mark (stamp) VALUES ('0') ON CONFLICT DO NOTHING")
            until = value("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
            stamp, contact = rows("SELECT stamp::text, contact_id FROM contacts_search_mark")[0]
            facts = {"stamp": stamp, "contact": contact, "until": until, "most": BATCH, "names": list(NAMES)}
            read = int(value(sql("contacts", "search_follow"), facts))
            if read < BATCH:
                execute("UPDATE contacts_search_mark SET stamp = %s::xid8, contact_id = 0", [until])
        seen += read
        if read < BATCH:
            return seen


_FREQUENT = "@.esaitnrulodcmp"  # the most frequent signs of addresses and names in European languages, falling
_PIECE = 6


def rarest(word: str) -> str:
    """The piece of a word that the fewest texts have, by the frequency of letters; the whole of a short one.

    Of an address it is one before the @: domains are shared.
    """
    local = word.partition("@")[0]
    word = local if len(local) >= 3 else word
    pieces = [word[at : at + _PIECE] for at in range(max(0, len(word) - _PIECE), -1, -1)]
    return max(pieces, key=lambda piece: sum(_FREQUENT.find(sign) % (len(_FREQUENT) + 1) for sign in piece))


def mark() -> str | None:
    """The stamp from which contacts are not in the table yet; None while that is more than a few people."""
    stamp = value("SELECT stamp::text FROM contacts_search_mark")
    if stamp is None:
        return None
    behind = value(
        "SELECT count(*) FROM (SELECT FROM contacts_contact WHERE updated_stamp >= %s::xid8 LIMIT %s) AS b",
        [stamp, NEAR + 1],
    )
    return str(stamp) if behind <= NEAR else None
