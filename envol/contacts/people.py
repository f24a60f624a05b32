"""One person at a time: taking her in, changing what we know, lists, tags, notes, names.

Everything that is written says where it comes from. Bulk goes through `envol.contacts.imports`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import acts, gates, registry, suppression
from envol.consent.models import Purpose
from envol.consent.privacy import answers
from envol.contacts import beyond, catalogue, masks, sealing
from envol.contacts.models import Contact, Identifier, List, Membership, Note, PropertyHistory, Source
from envol.contacts.timeline import Entry as Entry
from envol.contacts.timeline import timeline as timeline
from envol.db import execute, rows
from envol.db_role import as_owner
from envol.events import NewEvent, record
from envol.events.models import Kind
from envol.wire.address import normalise
from envol.zones import known_zones

_left_behind: list[Callable[[int, int, Sequence[str]], object]] = []

POLICIES = ("merge", "keep", "replace")
OWN_ACTS = frozenset({"form", "person"})
"""Kinds of source by which the person speaks herself."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,8})?")


class Refused(ValueError):
    """A person who is not taken in; the sentence says why and what to do."""


def source(
    workspace: Workspace | int,
    kind: str,
    label: str,
    *,
    declared: bool = True,
    purpose: Purpose | None = None,
    actor: str = "",
    import_id: int | None = None,
) -> Source:
    """Where people and values come from: import, form, api, message (one that a program sent), member, inference,
    simulation, person.

    One row for all values of one kind, label and day, not one for each value; an import has its own.
    """
    workspace_id = workspace if isinstance(workspace, int) else workspace.id
    same: dict[str, Any] = {
        "workspace_id": workspace_id,
        "kind": kind,
        "label": label[:200],
        "declared": declared,
        "purpose_id": purpose.pk if purpose else None,
        "actor": actor[:60],
        "import_id": import_id,
    }
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    today = Source.objects.filter(**same, at__gte=midnight, at__lt=midnight + timedelta(days=1)).first()
    return today or Source.objects.create(**same)


def upsert(
    workspace: Workspace,
    address: str,
    props: Mapping[str, Any] | None = None,
    *,
    source: Source,
    lists: Iterable[List] = (),
    language: str | None = None,
    time_zone: str | None = None,
    policy: str = "merge",
) -> Contact:
    """Take one person in, or change what is known of her.

    ``policy`` for values: merge (given ones replace, None removes), keep (only what was missing),
    replace (exactly those given). A value that changes goes into the history with its source. Gives
    no permission and lifts no refusal. `Refused` for an erased person, unless ``source`` is her
    own act; ValueError with a sentence for a value that does not fit the catalogue.
    """
    if policy not in POLICIES:
        raise ValueError(f"A policy is {', '.join(POLICIES)}; not {policy!r}.")
    if source.workspace_id != workspace.id:
        raise ValueError("The source belongs to another workspace.")
    written = normalise(address)
    values = catalogue.clean(catalogue.of(workspace), props or {})
    language, time_zone = _language(language), _time_zone(time_zone)
    with transaction.atomic():
        contact = _present(workspace.id, written.key) or _take_in(workspace.id, written.written, written.key, source)
        set_values(contact, values, source, policy=policy)
        changed = []
        for field, value in (("language", language), ("time_zone", time_zone)):
            if value and getattr(contact, field) != value and (policy != "keep" or not getattr(contact, field)):
                setattr(contact, field, value)
                changed.append(field)
        if changed:
            contact.save(update_fields=changed)
        for one in lists:
            join(one, contact, source)
    return contact


def _present(workspace_id: int, email_key: str) -> Contact | None:
    return Contact.objects.select_for_update().filter(workspace_id=workspace_id, email_key=email_key).first()


def _take_in(workspace_id: int, email: str, email_key: str, source: Source) -> Contact:
    blocked = suppression.lookup(workspace_id, [email_key]).get(email_key)
    if blocked and blocked.erased and source.kind not in OWN_ACTS:
        raise Refused(_("This person had her data erased: only she herself can come back, by a form of yours."))
    # Two doors may take in the same person at once: the second finds the row of the first.
    execute(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, source_id) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (workspace_id, email_key) DO NOTHING",
        [workspace_id, email, email_key, source.pk],
    )
    masks.project_suppression(workspace_id, [email_key])
    contact = _present(workspace_id, email_key)
    assert contact is not None
    return contact


def set_values(
    contact: Contact, values: Mapping[str, Any], source: Source, *, policy: str = "merge", at: datetime | None = None
) -> list[str]:
    """Store canonical values (see `catalogue.clean`) with their source; the keys that changed.

    The caller holds the row (``select_for_update``) or has just made it.
    """
    after = dict(contact.props)
    if policy == "replace":
        values = dict.fromkeys(after) | dict(values)
    for key, value in values.items():
        if policy == "keep" and after.get(key) is not None:
            continue
        if sealing.is_sealed(value) and _is_same(contact.workspace_id, value, after.get(key)):
            continue  # sealed twice it looks different each time
        if value is None:
            after.pop(key, None)
        else:
            after[key] = value
    changed = [key for key in {**contact.props, **after} if contact.props.get(key) != after.get(key)]
    if not changed:
        return []
    PropertyHistory.objects.bulk_create(
        PropertyHistory(
            workspace_id=contact.workspace_id,
            contact_id=contact.id,
            key=key,
            value=contact.props[key],
            source_id=contact.sources.get(key),
            until=at or Now(),
        )
        for key in changed
        if key in contact.props
    )
    origins = {key: value for key, value in contact.sources.items() if key in after}
    origins |= {key: source.pk for key in changed if key in after}
    contact.props, contact.sources = after, origins
    contact.save(update_fields=["props", "sources"])
    if beyond.BORN in changed:
        masks.project_ages(contact.workspace_id, [contact.pk])
    return changed


def _is_same(workspace_id: int, value: Any, kept: Any) -> bool:
    return sealing.is_sealed(kept) and sealing.opened(workspace_id, kept) == sealing.opened(workspace_id, value)


def _language(language: str | None) -> str | None:
    if not language:
        return None
    if not _LANGUAGE.fullmatch(language) or len(language) > 8:
        raise ValueError(_("“%(text)s” is no language: write it like fr or fr-CA.") % {"text": language[:20]})
    return language


def _time_zone(name: str | None) -> str | None:
    if not name:
        return None
    if name not in known_zones():
        raise ValueError(_("“%(text)s” is no time zone: write one like Europe/Paris.") % {"text": name[:40]})
    return name


def find(workspace: Workspace | int, address: str) -> Contact | None:
    workspace_id = workspace if isinstance(workspace, int) else workspace.id
    return Contact.objects.filter(workspace_id=workspace_id, email_key=normalise(address).key).first()


def when_address_changes(tell: Callable[[int, int, Sequence[str]], object]) -> None:
    """Called at start by a room that keeps an address without the person: ``tell(workspace, contact, as it was)``."""
    _left_behind.append(tell)


def change_address(contact: Contact, address: str) -> None:
    """The same person at another address; her objection goes with her, a dead mailbox stays behind.

    What rooms keep under the address she leaves is named hers, or an erasure would not find it any more.
    """
    written = normalise(address)
    left = (contact.email, contact.email_key)
    with transaction.atomic():
        taken = _present(contact.workspace_id, written.key)
        if taken is not None and taken.pk != contact.pk:
            raise ValueError(_("Another contact has this address: keep one of the two."))
        if contact.objected:
            suppression.add(contact.workspace_id, written.key, "marketing", "objection", f"address of {contact.pk}")
        contact.email, contact.email_key = written.written, written.key
        contact.save(update_fields=["email", "email_key"])
        with as_owner():  # pages read these tables and do not write them
            for tell in _left_behind:
                tell(contact.workspace_id, contact.pk, left)
        masks.project_suppression(contact.workspace_id, [written.key])
    contact.refresh_from_db()


def masked(address: str) -> str:
    """What a viewer sees of an address: ``z•••@lecteurs.example``. The same length for all."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}•••{at}{domain}"


# Any address inside a text: notes, property values, replies of servers.
_ADDRESS = re.compile(r"[^\s<>\"'(),:;@/\[\]]+@[^\s<>\"'(),:;@/\[\]]+")


def mask_text(text: str) -> str:
    """The text with every address in it masked."""
    return _ADDRESS.sub(lambda found: masked(found[0]), text)


# -- lists, tags, notes, other names -------------------------------------------------------------


def join(list: List, contact: Contact, source: Source | None = None, *, at: datetime | None = None) -> bool:
    """Put a person on a list; False when she is on it. Being on a list permits nothing."""
    _same_workspace(list.workspace_id, contact)
    with transaction.atomic():
        new = rows(
            "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, since, source_id)"
            " VALUES (%s, %s, %s, coalesce(%s, now()), %s)"
            " ON CONFLICT (list_id, contact_id) WHERE until IS NULL DO NOTHING RETURNING id",
            [contact.workspace_id, list.pk, contact.id, at, source.pk if source else None],
        )
        if new:
            record([NewEvent(contact.workspace_id, Kind.LIST_JOINED, contact.id, facts={"list": list.pk}, at=at)])
    return bool(new)


def leave(list: List, contact: Contact, *, at: datetime | None = None) -> bool:
    """End the present stay on a list; False when there is none. What was stays on record."""
    _same_workspace(list.workspace_id, contact)
    with transaction.atomic():
        gone = execute(
            "UPDATE contacts_membership SET until = greatest(since, coalesce(%s, now())), unsubscribed = false"
            " WHERE list_id = %s AND contact_id = %s AND until IS NULL",
            [at, list.pk, contact.id],
        )
        if gone:
            record([NewEvent(contact.workspace_id, Kind.LIST_LEFT, contact.id, facts={"list": list.pk}, at=at)])
    return bool(gone)


def lists_of(contact: Contact) -> list[tuple[List, datetime]]:
    """The lists a person is on now, and since when."""
    stays = dict(Membership.objects.filter(contact_id=contact.id, until=None).values_list("list_id", "since"))
    return [(one, stays[one.pk]) for one in List.objects.filter(pk__in=stays).order_by("name")]


def tag(contact: Contact, *names: str) -> None:
    """Add tags; each once, kept sorted."""
    wanted = {tag_name(name) for name in names}
    _set_tags(contact, lambda tags: tags | wanted)


def untag(contact: Contact, *names: str) -> None:
    _set_tags(contact, lambda tags: tags - {name.strip() for name in names})


def tag_name(name: str) -> str:
    """A tag as it is kept; ValueError when it cannot be one."""
    name = " ".join(name.split())
    if not 0 < len(name) <= 60:
        raise ValueError(_("A tag has 1 to 60 characters."))
    return name


def _set_tags(contact: Contact, change: Any) -> None:
    with transaction.atomic():
        row = Contact.objects.select_for_update().only("id", "tags").get(pk=contact.pk)
        tags = sorted(change(set(row.tags)))
        if tags != row.tags:
            execute("UPDATE contacts_contact SET tags = %s::jsonb WHERE id = %s", [json.dumps(tags), contact.id])
        contact.tags = tags


def add_note(contact: Contact, text: str, author_id: int | None = None) -> Note:
    if not text.strip():
        raise ValueError(_("Write the note before keeping it."))
    return Note.objects.create(
        workspace_id=contact.workspace_id, contact_id=contact.id, author_id=author_id, text=text.strip()
    )


def identify(contact: Contact, kind: str, value: str) -> Identifier:
    """Give a person another name (customer number, external id); it names one person only."""
    kind, value = kind.strip(), value.strip()
    if not (0 < len(kind) <= 40 and 0 < len(value) <= 200):
        raise ValueError("An identifier needs a kind (40 characters) and a value (200 characters).")
    row, _ = Identifier.objects.get_or_create(
        workspace_id=contact.workspace_id, kind=kind, value=value, defaults={"contact_id": contact.id}
    )
    if row.contact_id != contact.id:
        raise ValueError(f"{kind} {value} names another contact: correct one of the two.")
    return row


def by_identifier(workspace: Workspace | int, kind: str, value: str) -> Contact | None:
    workspace_id = workspace if isinstance(workspace, int) else workspace.id
    row = Identifier.objects.filter(workspace_id=workspace_id, kind=kind, value=value).first()
    return Contact.objects.filter(pk=row.contact_id).first() if row else None


def _same_workspace(workspace_id: int, contact: Contact) -> None:
    if workspace_id != contact.workspace_id:
        raise ValueError("The list belongs to another workspace.")


# -- what may be done with her --------------------------------------------------------------------


class Permitted(dict[str, Any]):
    """One purpose of one person: ``purpose`` (key), ``label_fr``, ``label_en``, ``kind``, ``allowed``, ``reason``,
    ``sentence_fr``, ``sentence_en``, ``state``, ``basis``, ``since``, ``strength``, ``source``, ``text``, of a
    customer ``product_family`` and ``seller``, which messages may be about;
    ``answer``: the id of her present answer, whose proof can be shown.
    """


def permissions(contact: Contact) -> list[Permitted]:
    """May I write to her? One line per purpose, from the very gate that sending asks."""
    present = {row["purpose"]: row for row in answers(contact.workspace_id, contact.id) if row["until"] is None}
    purposes = list(Purpose.objects.filter(workspace_id=contact.workspace_id).order_by("bit"))
    keys = [one.pk for one in purposes]
    said = gates.may_send_each(contact.workspace_id, contact.id, contact.email_key, keys, offer=None)
    lines = []
    for purpose in purposes:
        answer = said[purpose.pk]
        row = present.get(purpose.key, {})
        lines.append(
            Permitted(
                purpose=purpose.key,
                label_fr=purpose.label_fr,
                label_en=purpose.label_en,
                kind=purpose.kind,
                allowed=answer.allowed,
                reason=answer.reason,
                sentence_fr=answer.sentence("fr"),
                sentence_en=answer.sentence("en"),
                answer=row.get("id"),
                **{
                    key: row.get(key)
                    for key in ("state", "basis", "since", "strength", "source", "text", "product_family", "seller")
                },
            )
        )
    return lines


def grant(contact: Contact, purpose: Purpose, **details: Any) -> int:
    """`envol.consent.acts.grant` for a contact."""
    block = acts.grant(contact.workspace_id, contact.id, contact.email_key, purpose, **details)
    contact.refresh_from_db()
    return block


def erase(contact: Contact, *, cause: str, actor: str = "member", actor_id: int | None = None) -> dict[str, int]:
    """Erase a person in every room; how many rows of each table went. GDPR art. 17."""
    return registry.erase_person(
        contact.workspace_id,
        contact.id,
        contact.email_key,
        cause=cause,
        actor=actor,
        actor_id=actor_id,
        born=contact.created_at,
    )


def export(contact: Contact) -> dict[str, Any]:
    """Everything kept about a person, as JSON values. GDPR art. 15 and 20."""
    return registry.export_person(contact.workspace_id, contact.id)
