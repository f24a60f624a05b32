"""Making workspaces, members and API keys."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from envol.accounts import undo
from envol.accounts.api_keys import Limits
from envol.accounts.journal import note
from envol.accounts.keys import seal, unseal
from envol.accounts.models import ApiKey, Member, Role, Undo, User, Workspace
from envol.letters import ascii_of
from envol.wire.scram import ITERATIONS, Verifier

LATE = "workspace.late_refusal"
SINGLES = "workspace.single_messages"

# Rooms that give a new workspace its first rows (purposes, catalogue) register here at start.
_on_create: list[Callable[[Workspace], None]] = []


def on_workspace_created(act: Callable[[Workspace], None]) -> Callable[[Workspace], None]:
    """Run ``act`` in the transaction that makes a workspace."""
    _on_create.append(act)
    return act


def slug_of(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", ascii_of(title).lower()).strip("-")[:60] or "workspace"


def create_workspace(name: str, *, title: str = "", language: str = "fr", time_zone: str = "Europe/Paris") -> Workspace:
    """Make a workspace called ``name`` (a slug is made of it) with its digest key and first purposes."""
    with transaction.atomic():
        workspace = Workspace.objects.create(
            name=slug_of(name),
            title=title or name,
            language=language,
            time_zone=time_zone,
            digest_key=seal(secrets.token_bytes(32), "workspace digest"),
        )
        for act in _on_create:
            act(workspace)
    return workspace


def refuse_late(workspace: Workspace, late: bool, member: Member) -> Undo | None:
    """Do programs of the send API hear of a sender that is not the workspace's, and of a template in error, later, as
    blocked, or at once?

    None when it was so already.
    """
    with transaction.atomic():
        if not Workspace.objects.filter(pk=workspace.pk, late_refusal=not late).update(late_refusal=late):
            return None
        entry = note(workspace, "member", LATE, workspace, actor_id=member.pk, late=late)
        return undo.offer(entry, LATE, {"late": late})


def _refuse_as_before(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    late = bool(facts["late"])
    if not Workspace.objects.filter(pk=workspace.pk, late_refusal=late).update(late_refusal=not late):
        raise undo.CannotUndo(_("It was changed again since."))
    return _("Programs hear of it at once again.") if late else _("Programs hear of it later again.")


undo.register(LATE, _refuse_as_before)


def measure_singles(workspace: Workspace, opens: bool, clicks: bool, member: Member) -> Undo | None:
    """Are single messages measured, as far as each person allows, where their program says nothing of it?

    None when it was so already.
    """
    with transaction.atomic():
        row = Workspace.objects.select_for_update().get(pk=workspace.pk)
        before = {"opens": row.single_opens, "clicks": row.single_clicks}
        if before == {"opens": opens, "clicks": clicks}:
            return None
        Workspace.objects.filter(pk=workspace.pk).update(single_opens=opens, single_clicks=clicks)
        entry = note(workspace, "member", SINGLES, workspace, actor_id=member.pk, opens=opens, clicks=clicks)
        return undo.offer(entry, SINGLES, {"before": before, "after": {"opens": opens, "clicks": clicks}})


def _measure_as_before(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    was, then = facts["after"], facts["before"]
    mine = Workspace.objects.filter(pk=workspace.pk, single_opens=was["opens"], single_clicks=was["clicks"])
    if not mine.update(single_opens=then["opens"], single_clicks=then["clicks"]):
        raise undo.CannotUndo(_("It was changed again since."))
    return _("Single messages are measured as before.")


undo.register(SINGLES, _measure_as_before)


def add_member(workspace: Workspace, user: User, role: Role, dpo: bool = False) -> Member:
    return Member.objects.update_or_create(workspace=workspace, user=user, defaults={"role": role, "dpo": dpo})[0]


@lru_cache(maxsize=1024)
def digest_key(workspace_id: int) -> bytes:
    """The workspace's own key for keyed digests of addresses."""
    return unseal(Workspace.objects.values_list("digest_key", flat=True).get(id=workspace_id), "workspace digest")


def address_digest(workspace_id: int, email_key: str) -> bytes:
    """HMAC-SHA256 of a normalised address: recognises a person without keeping her address."""
    return hmac.digest(digest_key(workspace_id), email_key.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class NewKey:
    key: str
    secret: str


def create_api_key(
    workspace: Workspace, name: str, limits: Limits | None = None, *, by: str = "command", actor_id: int | None = None
) -> NewKey:
    """A new API key; its secret is in the answer and nowhere else afterwards.

    Raises ValueError with a sentence when the limits are none.
    """
    public, secret = secrets.token_hex(16), secrets.token_hex(16)
    row = ApiKey.objects.create(
        workspace=workspace,
        public_id=public,
        secret_sha256=hashlib.sha256(secret.encode()).digest(),
        secret_end=secret[-4:],
        scram=str(Verifier.of(secret, secrets.token_bytes(16))),
        name=name,
        **(limits or Limits()).columns(),
    )
    note(workspace, by, "api_key.created", row, actor_id=actor_id)
    return NewKey(public, secret)


_USED_EVERY = timedelta(minutes=1)  # a key that is used a thousand times a second is not written as often
_NOBODY = hashlib.sha256(b"").digest()


def check_api_key(public_id: str, secret: str) -> ApiKey | None:
    """The key these two name, or None. An unknown key costs the same work as a wrong secret."""
    row = ApiKey.objects.select_related("workspace").filter(public_id=public_id[:32], revoked_at=None).first()
    wanted = bytes(row.secret_sha256) if row else _NOBODY
    same = hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), wanted)
    if row is None or not same:
        return None
    if not row.scram:  # made before there was SCRAM; only now its secret is here
        ApiKey.objects.filter(pk=row.pk).update(scram=str(Verifier.of(secret, secrets.token_bytes(16))))
    return _used(row)


def api_key_verifier(public_id: str) -> Verifier:
    """What a proof of the key's secret is checked against (RFC 5802).

    For a key that is unknown, or whose secret was not heard since there is SCRAM: the same one each time, which no
    proof fits, so that nobody learns which keys there are.
    """
    kept = ApiKey.objects.filter(public_id=public_id[:32], revoked_at=None).values_list("scram", flat=True).first()
    if kept:
        return Verifier.read(kept)
    salt, stored, server = (
        salted_hmac(f"scram {part}", public_id, algorithm="sha256").digest() for part in ("salt", "stored", "server")
    )
    return Verifier(salt[:16], ITERATIONS, stored, server)


def proved_api_key(public_id: str) -> ApiKey | None:
    """The key whose secret was proved against :func:`api_key_verifier`, or None: revoked since."""
    row = ApiKey.objects.select_related("workspace").filter(public_id=public_id[:32], revoked_at=None).first()
    return row and _used(row)


def _used(row: ApiKey) -> ApiKey:
    if row.last_used_at is None or timezone.now() - row.last_used_at > _USED_EVERY:
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=Now())
    return row
