"""Permission of people whom a program adds: as a member of the workspace declared it for the program's key.

Without a declaration the people are kept and nothing may be sent to them. A declaration is a statement of a named
member (GDPR art. 7(1)), and no stronger: who withdrew, refused or objected stays out whatever a program says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from django.db import transaction
from django.db.models.functions import Now

from envol.accounts.journal import note
from envol.accounts.models import ApiKey, Member
from envol.api.models import Declaration
from envol.consent import acts, informing
from envol.consent.models import Permission, Purpose, Strength
from envol.contacts import people, whence
from envol.contacts.models import Contact, Source

GIVEN_BY = "given_by"
"""The fact of an evidence that names a third source."""


def of(key: ApiKey) -> Declaration | None:
    """What is declared for a key now."""
    return Declaration.objects.filter(key=key, ended_at=None).select_related("workspace", "purpose", "evidence").first()


def declare(
    key: ApiKey, purpose: Purpose, source: str, statement: str, member: Member, *, given_by: str = ""
) -> Declaration:
    """From now on; people added before keep what they had. Raises `acts.Refusal` with a sentence.

    ``given_by``: who gave the program these people's data, where it was not they themselves: each has to be told so
    within a month (GDPR art. 14). Of a key of which nothing was said before that holds of those too whom it brought
    already: the month began with the first of them.
    """
    with transaction.atomic():
        first = not Declaration.objects.filter(key=key).exists()
        proof = acts.evidence(
            key.workspace, Strength.STATEMENT, source, statement=statement, member_id=member.pk,
            facts={"key": key.pk} | ({GIVEN_BY: given_by} if given_by else {}),
        )  # fmt: skip
        Declaration.objects.filter(key=key, ended_at=None).update(ended_at=Now())
        made = Declaration.objects.create(workspace=key.workspace, key=key, purpose=purpose, evidence=proof)
        note(key.workspace, "member", "api_key.declared", key, actor_id=member.pk, purpose=purpose.key)
        brought = whence.brought_by(key.workspace, key.pk) if first and given_by else None
        if brought is not None:
            since, them = brought
            informing.begin(key.workspace, given_by, since, them, member_id=member.pk)
    return made


def end(key: ApiKey, member: Member) -> bool:
    """Whoever it adds from now on may not be written to; those added before keep their permission."""
    with transaction.atomic():
        ended = Declaration.objects.filter(key=key, ended_at=None).update(ended_at=Now())
        if ended:
            note(key.workspace, "member", "api_key.undeclared", key, actor_id=member.pk)
    return bool(ended)


def source_of(key: ApiKey, declaration: Declaration | None) -> Source:
    """Where values come from that this program brings."""
    purpose = declaration.purpose if declaration else None
    return people.source(key.workspace_id, "api", key.name, purpose=purpose, actor=f"key {key.pk}")


class Giver:
    """The program by whose message addresses came that nobody knew before; `envol.contacts.strangers` asks it when the
    first of them is met."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    @cached_property
    def source_id(self) -> int:
        return people.source(self._key.workspace_id, "message", self._key.name, actor=f"key {self._key.pk}").pk

    def met(self, contact_ids: Sequence[int]) -> None:
        """Where a member said that somebody else gives this program its data, they are told within a month."""
        declaration = of(self._key)
        if declaration is not None:
            _came(declaration, contact_ids)


def permit(contact: Contact, declaration: Declaration | None) -> bool:
    """Write the declared permission into the ledger, unless she has one; False when nothing may be granted."""
    if declaration is None:
        return False
    purpose = declaration.purpose
    answered = Permission.objects.filter(contact_id=contact.pk, purpose_id=purpose.pk, until=None).first()
    if answered is not None and answered.state == "granted":
        return True
    try:
        with transaction.atomic():
            people.grant(contact, purpose, proof_of=declaration.evidence)
            _came(declaration, [contact.pk])
    except acts.Refusal:
        return False  # withdrawn, objected, suppressed: only she herself comes back
    return True


def _came(declaration: Declaration, contact_ids: Sequence[int]) -> None:
    if given_by := declaration.evidence.facts.get(GIVEN_BY):
        informing.came(declaration.workspace, given_by, contact_ids, member_id=declaration.evidence.member_id)
