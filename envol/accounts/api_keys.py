"""What a key may do: its scopes, the senders it may write as, its rate, its end, and whether it is paused.

Sentences here are for programs and those who look after them; pages say the same in the language of the reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from envol import db
from envol.accounts.journal import note
from envol.accounts.models import ApiKey, Scope, every_scope
from envol.wire.address import AddressError, domain_of, normalise

MOST_SENDERS = 50
KEPT = "25 hours"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a new key may do; by default everything that its workspace may.

    senders: domains (`shop.example`) and addresses (`orders@shop.example`). per_hour, per_day: copies of messages, one
    for each recipient.
    """

    scopes: Sequence[str] = ()
    senders: Sequence[str] = ()
    per_hour: int | None = None
    per_day: int | None = None
    most_recipients: int | None = None
    expires_at: datetime | None = None

    def columns(self) -> dict[str, Any]:
        """As they are kept. Raises ValueError with a sentence."""
        known = every_scope()
        if unknown := [scope for scope in self.scopes if scope not in known]:
            raise ValueError(f"There is no scope {unknown[0]!r}; there are: {', '.join(known)}.")
        for number in (self.per_hour, self.per_day, self.most_recipients):
            if number is not None and not 0 < number < 2**31:
                raise ValueError("A limit is a whole number above 0; leave it out for none.")
        return {
            "scopes": [scope for scope in known if not self.scopes or scope in self.scopes],
            "senders": read_senders(self.senders),
            "per_hour": self.per_hour,
            "per_day": self.per_day,
            "most_recipients": self.most_recipients,
            "expires_at": self.expires_at,
        }


def read_senders(given: Iterable[str]) -> list[str]:
    """Domains and addresses, normalised, each once. Raises ValueError with a sentence."""
    found: dict[str, None] = {}
    for one in given:
        text = one.strip().lower()
        try:
            address = normalise(text if "@" in text else f"postmaster@{text}")
        except AddressError:
            raise ValueError(f"{one.strip()!r} is neither a domain nor an address.") from None
        found[address.key if "@" in text else address.domain] = None
    if len(found) > MOST_SENDERS:
        raise ValueError(f"A key has at most {MOST_SENDERS} senders; leave them out to allow every domain.")
    return list(found)


def may_write_as(senders: Sequence[str], address: str, *, envelope: bool = False) -> bool:
    """Is this address among a key's senders? Of the envelope the domain must be one of theirs."""
    if not senders:
        return True
    domain = domain_of(address)
    if envelope:
        return any(domain == sender.rpartition("@")[2] for sender in senders)
    try:
        return domain in senders or normalise(address).key in senders
    except AddressError:
        return False


def closed(key: ApiKey) -> str:
    """Why this key opens nothing now, or nothing to say."""
    if key.revoked_at is not None:
        return "This key was revoked."
    if key.paused_at is not None:
        return f"This key is paused: {key.paused_reason or 'ask the owner of the workspace'}".rstrip(".") + "."
    if key.expires_at is not None and key.expires_at <= timezone.now():
        return "This key has expired: make a new one."
    return ""


def lacks(key: ApiKey, scope: Scope) -> str:
    """Why this key may not do that, or nothing to say."""
    if scope in key.scopes:
        return ""
    return f"This key may not do this: its scopes are {', '.join(key.scopes)}, and {scope.value} is not among them."


# ---- pausing


def pause(key: ApiKey, reason: str, *, by: str = "job", actor_id: int | None = None) -> bool:
    """Let a key open nothing until somebody resumes it; True when it was not paused before.

    Sessions that are open are refused with their next message. The reason is told to whoever holds the secret.
    """
    reason = " ".join(reason.split())[:300]
    with transaction.atomic():
        waiting = ApiKey.objects.filter(pk=key.pk, paused_at__isnull=True, revoked_at__isnull=True)
        changed = waiting.update(paused_at=Now(), paused_reason=reason) > 0
        if changed:
            note(key.workspace_id, by, "api_key.paused", key, actor_id=actor_id, reason=reason)
    return changed


def resume(key: ApiKey, *, by: str = "job", actor_id: int | None = None) -> bool:
    """Let a paused key open again what it may; True when it was paused."""
    with transaction.atomic():
        paused = ApiKey.objects.filter(pk=key.pk, paused_at__isnull=False, revoked_at__isnull=True)
        changed = paused.update(paused_at=None, paused_reason="") > 0
        if changed:
            note(key.workspace_id, by, "api_key.resumed", key, actor_id=actor_id)
    return changed


def limit(key: ApiKey, limits: Limits, *, by: str = "command", actor_id: int | None = None) -> None:
    """Change what a key may do. Raises ValueError with a sentence."""
    columns = limits.columns()
    with transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(**columns)
        note(key.workspace_id, by, "api_key.limited", key, actor_id=actor_id, scopes=columns["scopes"])


def is_about(key: ApiKey, family: str, seller: str = "", *, by: str = "command", actor_id: int | None = None) -> None:
    """Say what the campaigns are about that this program drafts from now on, and who sells it (empty: the organisation
    itself); an empty ``family``: anything, which reaches no existing customer (directive 2002/58 art. 13(2)).
    """
    family, seller = (" ".join(one.replace("\0", "").split())[:200] for one in (family, seller))
    with transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(product_family=family, seller=seller)
        note(key.workspace_id, by, "api_key.about", key, actor_id=actor_id, product_family=family, seller=seller)


# ---- rates


@dataclass(frozen=True, slots=True)
class Barred:
    """A key that may not send this now. `lasting`: until somebody changes something, not until some time has passed."""

    sentence: str
    lasting: bool


def use(wanted: Sequence[tuple[int, int]]) -> list[Barred | None]:
    """May these keys send so many copies, one entry after the other? Those that may are counted.

    For a whole batch, in the transaction that accepts it: two processes with the same key wait for each other, so
    within any 60 minutes (24 hours) no more than the rate is accepted. Stretches of five minutes are counted whole,
    so that up to five minutes more are looked at. Keys without a rate are not counted and wait for nobody.
    """
    ids = sorted({key_id for key_id, _ in wanted})
    if not ids:
        return []
    keys = {key.pk: key for key in ApiKey.objects.filter(pk__in=ids)}
    limited = [pk for pk, key in keys.items() if key.per_hour is not None or key.per_day is not None]
    used = _used(limited)
    answers: list[Barred | None] = []
    counted: dict[int, int] = {}
    for key_id, copies in wanted:
        answer = _barred(keys.get(key_id), copies, used)
        if answer is None and key_id in used:
            hour, day = used[key_id]
            used[key_id] = hour + copies, day + copies
            counted[key_id] = counted.get(key_id, 0) + copies
        answers.append(answer)
    if counted:
        db.execute(
            "INSERT INTO accounts_key_use AS u (key_id, since, copies)"
            " SELECT k, date_bin('5 minutes', now(), 'epoch'), n FROM unnest(%s::bigint[], %s::int[]) AS g (k, n)"
            " ON CONFLICT (key_id, since) DO UPDATE SET copies = u.copies + excluded.copies",
            [list(counted), list(counted.values())],
        )
    return answers


def unlimited(ids: Iterable[int]) -> bool:
    """May all these keys submit mail now, and as much as they like? Then there is nothing to count or to wait for.

    The same as `_barred` says of them one by one, in a statement that costs little enough for every batch.
    """
    wanted = set(ids)
    found = _open_keys()(f"{{{','.join(map(str, wanted))}}}", Scope.SMTP.value)
    return found.get_value(0, 0) == str(len(wanted)).encode()


@cache
def _open_keys() -> db.Prepared:
    return db.Prepared(
        "SELECT count(*) FROM accounts_api_key WHERE id = ANY ($1::bigint[]) AND revoked_at IS NULL"
        " AND paused_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
        " AND scopes ? $2 AND per_hour IS NULL AND per_day IS NULL"
    )


def _barred(key: ApiKey | None, copies: int, used: Mapping[int, tuple[int, int]]) -> Barred | None:
    if key is None:
        return Barred("This key was revoked.", lasting=True)
    if said := closed(key) or lacks(key, Scope.SMTP):
        return Barred(said, lasting=True)
    hour, day = used.get(key.pk, (0, 0))
    for most, so_far, words in ((key.per_hour, hour, "an hour"), (key.per_day, day, "a day")):
        if most is not None and so_far + copies > most:
            if copies > most:
                return Barred(f"This key may send {most} messages {words}, and this one has {copies} recipients.", True)
            return Barred(f"This key may send {most} messages {words}; try again later.", lasting=False)
    return None


def _used(ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Copies of the last hour and day by key; the keys are locked until the end of the transaction."""
    if not ids:
        return {}
    # Two statements: what is read under the lock must have been asked after it was had. In one order, always.
    db.rows("SELECT id FROM accounts_api_key WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE", [list(ids)])
    return dict.fromkeys(ids, (0, 0)) | sent_lately(ids)


def sent_lately(ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Copies of the last hour and day, by the id of a key that has a rate."""
    found = db.rows(
        "SELECT key_id, coalesce(sum(copies) FILTER (WHERE since > now() - interval '65 minutes'), 0)::bigint,"
        " sum(copies)::bigint FROM accounts_key_use"
        " WHERE key_id = ANY (%s) AND since > now() - interval '24 hours 5 minutes' GROUP BY key_id",
        [list(ids)],
    )
    return {pk: (hour, day) for pk, hour, day in found}


def forget_uses() -> int:
    """Drop counts that no rate asks for any more."""
    return db.execute(f"DELETE FROM accounts_key_use WHERE since < now() - interval '{KEPT}'")
