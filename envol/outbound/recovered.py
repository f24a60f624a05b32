"""What a courier that was killed had heard from receivers and could not write any more: written by its heir.

Only under the lease the dead held. If that has passed on to somebody else, or is of another database, nothing is done:
then it is sent again, as delivery at least once allows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

import msgspec

from envol import db
from envol.outbound import lease as leasing
from envol.outbound import shaping
from envol.outbound.lease import Lease, Row
from envol.outbound.models import Message
from envol.outbound.notices import wish_of
from envol.outbound.settle import Result, settle

AT_A_TIME = 500


class Told(msgspec.Struct, array_like=True, frozen=True):
    """A receiver took this message. Names nobody: of its words the address was taken out."""

    lease: uuid.UUID
    sending: int
    no: int
    chunk: int | None
    attempts: int
    code: int | None
    enhanced: str | None
    reply: str
    host: str
    tls: str
    octets: int
    told_on: bool

    @classmethod
    def of(cls, result: Result) -> Told:
        row = result.row
        return cls(
            row.lease.id,
            row.sending.id,
            row.no,
            row.chunk,
            row.attempts,
            result.code,
            result.enhanced,
            result.words,
            result.host,
            result.tls,
            result.octets,
            result.told_on,
        )


def write(told: Sequence[Told]) -> int:
    """Settle what was told, where the lease is still the dead courier's; how many had not been written yet.

    Raises database errors: then it can be asked again as a whole.
    """
    written = 0
    for start in range(0, len(told), AT_A_TIME):
        results = _results(told[start : start + AT_A_TIME])
        written += len(results) - len(settle(results))
    return written


def bury(courier: str) -> int:
    """Give back what a dead courier held, at once instead of when its time runs out; how many leases that were."""
    shaping.leave(courier)
    return leasing.abandon(courier)


def _results(told: Iterable[Told]) -> list[Result]:
    by_key = {(one.sending, one.no): one for one in told}
    known = leasing.sendings({sending for sending, _ in by_key})
    leases: dict[uuid.UUID, Lease] = {}
    found = db.rows(
        "SELECT s.sending_id, s.no, s.contact_id, s.message_id, s.address, s.site"
        " FROM unnest(%s::bigint[], %s::bigint[]) AS k (sending_id, no)"
        " JOIN outbound_send s ON s.sending_id = k.sending_id AND s.no = k.no",
        [[sending for sending, _ in by_key], [no for _, no in by_key]],
    )
    headers = dict(
        Message.objects.filter(id__in=[row[3] for row in found if row[3] is not None]).values_list("id", "header")
    )
    results = []
    for sending_id, no, contact_id, message_id, address, site in found:
        one = by_key[sending_id, no]
        if sending_id not in known:  # erased with its workspace
            continue
        held = leases.setdefault(one.lease, Lease(one.lease, one.chunk is None))
        row = Row(known[sending_id], no, one.chunk, held, one.attempts, contact_id, message_id, address, site)
        if message_id in headers:
            row.notify = wish_of(headers[message_id], address)[1].notify
        results.append(
            Result(
                row,
                "delivered",
                "",
                one.code,
                one.enhanced,
                one.reply or "OK",
                one.host,
                one.tls,
                told_on=one.told_on,
                octets=one.octets,
            )
        )
    return results
