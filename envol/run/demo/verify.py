"""The check: every figure of the campaign against what the demonstration knows by itself.

What should have happened is computed from the invented people and the readers' journal, in plain
Python; what did happen is read from the ledger, the inbox and the report. Sets are compared, not totals.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from envol import db
from envol.campaigns.models import Campaign
from envol.insight.report import Report, report
from envol.run.demo.prepare import Shop
from envol.run.demo.readers import Journal, mailbox


class Wrong(Exception):
    """A figure is not what it must be."""


def must(true: bool, sentence: str) -> None:
    if not true:
        raise Wrong(sentence)


def same(what: str, found: set[Any], wanted: set[Any]) -> None:
    """Two sets are equal, else the sentence shows what is too much and what lacks."""
    if found != wanted:
        more, less = sorted(map(str, found - wanted))[:3], sorted(map(str, wanted - found))[:3]
        raise Wrong(f"{what}: {len(found - wanted)} too many {more}, {len(wanted - found)} missing {less}")


def verify(
    shop: Shop,
    campaign: Campaign,
    sending_id: int,
    journal: Journal,
    base: str,
    move: Callable[..., None],
) -> str:
    """Raises :class:`Wrong`; else one sentence with the figures."""
    from envol.outbound import states

    # -- who should have got it, from the invented people alone
    bought = shop.bought_within(365)
    chosen = {p.email for p in shop.people.values() if shop.in_segment(p, bought)}
    agreed = {p.email for p in shop.people.values() if p.newsletter and not p.withdrawn}
    wanted = chosen & agreed
    unknown = {a for a in wanted if a.startswith("bounce+")}
    late = {a for a in wanted if a.startswith("greylist.")}

    # -- the ledger adds up
    counts = states.counts(sending_id)
    ends = ("delivered", "bounced", "expired", "cancelled", "suppressed", "deferred", "queued", "leased")
    must(counts["accepted"] == sum(counts[s] for s in ends), f"accepted is not the sum of its parts: {counts}")
    problems = states.invariants()
    must(not problems, " ".join(problems))
    must(counts["accepted"] == len(wanted), f"{counts['accepted']} were accepted, {len(wanted)} should be")
    ledger = db.rows(
        "SELECT s.address, o.state FROM outbound_send s LEFT JOIN outbound_outcome o USING (sending_id, no)"
        " WHERE s.sending_id = %s",
        [sending_id],
    )
    same("who was queued", {a for a, _ in ledger}, wanted)
    same("who bounced", {a for a, state in ledger if state == "bounced"}, unknown)
    delivered = {a for a, state in ledger if state == "delivered"}
    same("who is neither delivered nor bounced", {a for a, s in ledger if s is None}, late - delivered)
    left_out = {
        a for (a,) in db.rows(
            "SELECT c.email FROM outbound_excluded e JOIN contacts_contact c ON c.id = e.contact_id"
            " WHERE e.sending_id = %s", [sending_id]
        )
    }  # fmt: skip
    same("who was left out by the gate", left_out, chosen - agreed)

    # -- the inbox: nobody without permission, nobody twice, every signature
    seen: Counter[str] = Counter()
    keys = _published_keys(campaign)
    signatures = 0
    with ProcessPoolExecutor(2, initializer=_use_keys, initargs=(keys,)) as pool:
        raws = []
        for message in mailbox(base, shop.key, shop.secret):
            must(len(message["envelope_to"]) == 1, "a message has more than one recipient")  # type: ignore[arg-type]
            seen[str(message["envelope_to"][0])] += 1  # type: ignore[index]
            raws.append(str(message["raw"]).encode("ascii"))
        for done, (good, said) in enumerate(pool.map(_verified, raws, chunksize=64), 1):
            must(good == 2, f"a DKIM signature does not verify: {said}")
            signatures += good
            move(done, len(raws))
    same("who has mail without permission", set(seen) - agreed, set())
    # Greylisted people may get theirs at this very moment, so they are compared by themselves.
    same("who has the message in the inbox", set(seen) - late, delivered - late)
    same("who has it without having been sent it", set(seen) - wanted, set())
    must(max(seen.values(), default=1) == 1, f"{sum(n > 1 for n in seen.values())} people got it twice")

    # -- the report against the readers' journal, people by people
    made = report(campaign.workspace, [sending_id])
    measured = {p.email for p in shop.people.values() if p.measured}
    _compare(made, journal, measured)
    total = len(shop.people)
    readers = {a for a, _ in journal.clicked}
    return (
        f"OK: of {total:,} people {len(chosen):,} were chosen and {len(wanted):,} allowed; accepted "
        f"{counts['accepted']:,} = delivered {counts['delivered']:,} + bounced {counts['bounced']:,} + to be tried "
        f"again {counts['deferred']:,}; nobody without permission, nobody twice, {signatures:,} DKIM signatures valid; "
        f"{len(journal.opened):,} openers, {journal.clicks:,} clicks by {len(readers):,} readers "
        f"and {len(journal.unsubscribed):,} unsubscriptions equal the readers' own journal, set by set."
    )


def _compare(made: Report, journal: Journal, measured: set[str]) -> None:
    """The report equals what the readers wrote down themselves, where they agreed to be told apart."""
    must(made.balanced, f"the report does not add up: {made.outcome}")

    def people(figure: str) -> set[str]:
        ids = made.people(figure).ids()
        return {a for (a,) in db.rows("SELECT email FROM contacts_contact WHERE id = ANY(%s)", [ids])}

    def plain(url: str) -> str:
        return url.partition("?")[0]  # the campaign's parameters come behind it

    clickers = {a for a, _ in journal.clicked}
    same("who opened", people("opened"), journal.opened)
    same("who opened without having agreed", journal.opened - measured, set())
    same("who clicked", people("clicked"), clickers & measured)
    same("who unsubscribed", people("unsubscribed"), journal.unsubscribed)
    same("whose mail a machine read", people("clicked:machine"), journal.scanned & measured)
    must(made.clicked.events == journal.clicks, f"{made.clicked.events} clicks reported, {journal.clicks} were made")
    must(
        made.clicked.nameless == sum(a not in measured for a, _ in journal.clicked),
        "clicks of those who did not agree are not all counted in sum, or some by name",
    )
    same(
        "links that were followed",
        {plain(k.url) for k in made.links if k.events},
        {plain(t) for _, t in journal.clicked},
    )
    for link in made.links:
        followers = [a for a, target in journal.clicked if plain(target) == plain(link.url)]
        must(link.events == len(followers), f"{link.events} clicks reported on {link.url}, {len(followers)} were made")
        same(f"who clicked {link.url}", people(link.figure), set(followers) & measured)


# ---- DKIM, by an independent verifier (dkimpy)

_KEYS: dict[str, bytes] = {}


def _published_keys(campaign: Campaign) -> dict[str, bytes]:
    """The TXT records that the domain would publish, by name."""
    from envol.outbound import domains

    found = {}
    for domain in domains.of(campaign.workspace):
        for record in domains.expected_records(domain):
            if record["record"] == "DKIM":
                found[record["name"].rstrip(".")] = record["expected"].encode()
    return found


def _use_keys(keys: dict[str, bytes]) -> None:
    _KEYS.update(keys)


def _verified(raw: bytes) -> tuple[int, str]:
    """How many signatures of a message verify, and the trouble with the first that does not."""
    import dkim

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return _KEYS.get(name.decode().rstrip("."), b"")

    message = re.sub(rb"(?<!\r)\n", b"\r\n", raw)
    good = 0
    for index in (0, 1):
        try:
            if dkim.DKIM(message).verify(idx=index, dnsfunc=txt):
                good += 1
            else:
                return good, f"signature {index} does not match"
        except Exception as error:
            return good, str(error)
    return good, ""
