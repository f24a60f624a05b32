"""One act on many people, set-based, watched, stopped and undone: tags, lists, values, two properties made one.

``prepare`` checks and remembers what is meant, ``apply`` does it in batches of one statement each, ``undo`` takes it
back for seven days. Whoever is meant is written down before the first change, so that a stopped act goes
on with the same people, and undoing touches nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envol.accounts import undo as undos
from envol.accounts.jobs import Cancelled
from envol.accounts.journal import note
from envol.accounts.models import Undo, Workspace
from envol.consent import reuse
from envol.consent.models import Purpose
from envol.contacts import catalogue, fields, filters, places
from envol.contacts.filters import Filter
from envol.contacts.models import BulkAct, BulkPerson, List, Property, Source
from envol.contacts.people import tag_name
from envol.db import execute, rows, sql
from envol.events import NewEvent, record
from envol.events.models import Kind

DAYS = 7
UNDO = "contacts.bulk"
BATCH = 5000
AT_ONCE = 500
"""Up to here an act is done while the page waits; above, a job does it and the page may be left."""

Tell = Callable[[int, int | None, str], None]
ACTS = ("tag", "untag", "join", "leave", "set", "merge", "locate")
_EVENTS = {"join": (Kind.LIST_JOINED, Kind.LIST_LEFT), "leave": (Kind.LIST_LEFT, Kind.LIST_JOINED)}


_UNDONE_AS = {"locate": "set"}  # one value each, put back the same way


class BulkProblem(ValueError):
    """An act that cannot be done; the sentence says what to do."""


class Unweighed(BulkProblem):
    """Values would serve a purpose they were not given for (GDPR art. 6(4)): weigh that first (`fields.Weighed`)."""

    def __init__(self, asked: fields.Weighed) -> None:
        super().__init__(str(asked))
        self.source, self.target = asked.source, asked.target


def prepare(
    workspace: Workspace,
    act: str,
    argument: Mapping[str, Any],
    chosen: Filter,
    *,
    member_id: int | None = None,
    source: str = "",
) -> BulkAct:
    """Check an act and write down what is meant; nobody is changed yet.

    ``argument``: {"tag"} for tag and untag, {"list": id} for join and leave, {"property": key, "value": raw}
    for set (no value: it is taken away), {"from": key, "into": key} for merge, {"property": key} of a place for
    locate (it gets the coordinates that its postcode or name tell). ``source`` says where values come
    from, if not from this act on several people. Raises BulkProblem.
    """
    checked = _checked(workspace, act, argument)
    try:
        filters.where(workspace, chosen)
    except filters.FilterProblem as error:
        raise BulkProblem(str(error)) from None
    _forget(workspace)
    with transaction.atomic():
        bulk = BulkAct.objects.create(
            workspace=workspace, act=act, argument=checked, chosen=chosen.to_json(), member_id=member_id
        )
        bulk.refresh_from_db()
        with translation.override(workspace.language):
            # A source of its own: undoing recognises by it what is still this act's doing.
            label = source or _("Act on several people, no. %(number)s") % {"number": bulk.pk}
        row = Source.objects.create(
            workspace=workspace, kind="member", label=label[:200], actor=f"member {member_id or '-'} act {bulk.pk}"
        )
        bulk.source_id = row.pk
        bulk.save(update_fields=["source_id"])
    return bulk


def _checked(workspace: Workspace, act: str, argument: Mapping[str, Any]) -> dict[str, Any]:
    match act:
        case "tag" | "untag":
            try:
                return {"tag": tag_name(str(argument.get("tag") or ""))}
            except ValueError:
                raise BulkProblem(_("Write a tag of 1 to 60 characters.")) from None
        case "join" | "leave":
            found = List.objects.filter(workspace=workspace, pk=argument.get("list") or 0).first()
            if found is None:
                raise BulkProblem(_("Choose a list of this workspace."))
            return {"list": found.pk, "name": found.name}
        case "set":
            known = catalogue.of(workspace)
            key = str(argument.get("property") or "")
            if key not in known:
                raise BulkProblem(_("Choose a property of the catalogue."))
            try:
                value = catalogue.clean(known, {key: argument.get("value")})[key]
            except ValueError as error:
                raise BulkProblem(str(error)) from None
            return {"property": key, "value": value, "served": known[key].purposes}
        case "locate":
            found_property = catalogue.of(workspace).get(str(argument.get("property") or ""))
            if found_property is None or found_property.type != "place":
                raise BulkProblem(_("Choose a property that holds a place."))
            return {"property": found_property.key}
        case "merge":
            return _mergeable(workspace, str(argument.get("from") or ""), str(argument.get("into") or ""))
    raise BulkProblem(_("There is no such act; nothing was changed."))


def _mergeable(workspace: Workspace, old: str, into: str) -> dict[str, Any]:
    known = catalogue.of(workspace)
    if old not in known or into not in known or old == into:
        raise BulkProblem(_("Choose two different properties of the catalogue."))
    one, other = known[old], known[into]
    if one.type != other.type:
        raise BulkProblem(_("Only two properties of the same type can become one."))
    if one.sensitive and not other.sensitive:
        raise BulkProblem(_("A sensitive property cannot be merged into one that is not protected as such."))
    if one.choices or other.choices:
        offered = {choice["value"] for choice in other.choices}
        lost = sorted({choice["value"] for choice in one.choices} - offered)
        if other.choices and (lost or not one.choices):
            raise BulkProblem(
                _("The property that stays does not offer these choices: %(choices)s. Add them first.")
                % {"choices": ", ".join(lost[:10]) or "–"}
            )
    try:
        fields.refuse_another_purpose(one, other.purposes)
    except fields.Weighed as error:
        raise Unweighed(error) from None
    except fields.FieldProblem:
        raise BulkProblem(_("The property that stays serves no purpose yet: say first what it may serve.")) from None
    return {"from": old, "into": into, "declared": catalogue.declaration(one)}


def _refuse_wider(bulk: BulkAct) -> None:
    """What was taken away must not come back to serve more than when it went (GDPR art. 5(1)(b), 6(4))."""
    if bulk.act == "merge":
        key, served = bulk.argument["from"], bulk.argument["declared"]["purposes"]
    elif bulk.act == "set":
        key, served = bulk.argument["property"], bulk.argument.get("served", 0)
    else:
        return
    one = catalogue.of(bulk.workspace).get(key)
    if one is None or not served or not one.purposes & ~served:
        return
    everything = Purpose.objects.filter(workspace=bulk.workspace).order_by("bit")
    added = [purpose for purpose in everything if one.purposes & ~served & 1 << purpose.bit]
    if any(not reuse.compatible(one.pk, purpose) for purpose in added):
        raise BulkProblem(
            _("The values were given for less than “%(name)s” serves now. Take away first: %(purposes)s.")
            % {"name": key, "purposes": ", ".join(reuse.label_of(purpose) for purpose in added)}
        )


def apply(bulk: BulkAct, progress: Tell | None = None) -> dict[str, Any]:
    """Do it, or go on where a stopped worker left off; {"chosen", "changed", "unchanged"}.

    Each batch is one transaction with one statement for its change. When ``progress`` raises Cancelled, whole
    batches stand, the act is cancelled and can be undone like a finished one.
    """
    bulk.refresh_from_db()
    if bulk.state not in ("waiting", "running", "failed"):
        raise BulkProblem(_("This act has ended already."))
    tell = progress or (lambda done, total, step: None)
    try:
        total = _choose(bulk)
        while True:
            tell(_done(bulk), total, "writing")
            if not _step(bulk):
                break
        if bulk.act == "merge":
            _close_merge(bulk)
        bulk.state = "done"
    except BaseException as error:
        bulk.state = "cancelled" if isinstance(error, Cancelled | KeyboardInterrupt) else "failed"
        raise
    finally:
        counts = bulk.counts
        chosen, changed = counts.get("chosen", 0), counts.get("changed", 0)
        bulk.counts = counts | {"unchanged": max(_done(bulk) - changed, 0), "left": max(chosen - _done(bulk), 0)}
        bulk.ended_at = datetime.now(UTC)
        bulk.save(update_fields=["state", "counts", "ended_at"])
        with transaction.atomic():
            entry = note(
                bulk.workspace.id, "member" if bulk.member_id else "job", f"bulk.{bulk.act}", bulk,
                actor_id=bulk.member_id, state=bulk.state, chosen=chosen, changed=changed,
            )  # fmt: skip
            if can_undo(bulk):
                undos.offer(entry, UNDO, {"bulk": bulk.pk})
    return bulk.counts


def undo_of(bulk: BulkAct) -> Undo | None:
    """What the page offers beside its sentence, and the journal keeps."""
    return Undo.objects.filter(
        workspace=bulk.workspace, kind=UNDO, facts={"bulk": bulk.pk}, used_at=None, until__gt=datetime.now(UTC)
    ).first()


def expected(bulk: BulkAct) -> int:
    """How many people an act that has not begun would look at now."""
    return filters.count(bulk.workspace, Filter.of(bulk.chosen))


def _choose(bulk: BulkAct) -> int:
    """Write down who is meant, once; how many."""
    if bulk.state != "waiting":
        return int(bulk.counts.get("chosen", 0))
    found = filters.where(bulk.workspace, Filter.of(bulk.chosen))
    extra = ""
    params: dict[str, Any] = found.params | {"bulk": bulk.pk}
    if bulk.act == "merge":
        extra, params["from"] = " AND c.props ? %(from)s", bulk.argument["from"]
    elif bulk.act == "locate":
        extra = " AND jsonb_typeof(c.props -> %(from)s) = 'object' AND NOT c.props -> %(from)s ?| '{lat,sealed}'"
        params["from"] = bulk.argument["property"]
    with transaction.atomic():
        chosen = execute(
            f"INSERT INTO contacts_bulk_person (bulk_id, contact_id) SELECT %(bulk)s, chosen.id FROM ({found.select}"
            f"{extra}) AS chosen ON CONFLICT DO NOTHING",
            params,
        )
        bulk.state, bulk.counts = "running", {"chosen": chosen, "changed": 0, "done": 0}
        bulk.save(update_fields=["state", "counts"])
    return chosen


def _done(bulk: BulkAct) -> int:
    return int(bulk.counts.get("done", 0))


def _step(bulk: BulkAct) -> bool:
    """One batch; False when none is left."""
    with transaction.atomic():
        # Two workers on one act (a job taken up twice) go one after the other, never over the same batch.
        now = BulkAct.objects.select_for_update().get(pk=bulk.pk)
        bulk.at_contact, bulk.counts = now.at_contact, now.counts
        batch = _next(bulk, bulk.at_contact)
        if batch is None:
            return False
        last, size = batch
        params = _params(bulk, bulk.at_contact, last)
        if bulk.act == "locate":
            params |= _located(bulk, params)
        changed = [row[0] for row in rows(sql("contacts", f"bulk_{bulk.act}"), params)]
        _record(bulk, changed, 0)
        bulk.at_contact = last
        bulk.counts = bulk.counts | {
            "changed": bulk.counts.get("changed", 0) + len(changed),
            "done": _done(bulk) + size,
        }
        bulk.save(update_fields=["at_contact", "counts"])
    return True


def _next(bulk: BulkAct, after: int, *, changed: bool = False) -> tuple[int, int] | None:
    only = " AND changed" if changed else ""
    found = rows(
        "SELECT max(contact_id), count(*) FROM (SELECT contact_id FROM contacts_bulk_person"
        f" WHERE bulk_id = %s AND contact_id > %s{only} ORDER BY contact_id LIMIT %s) AS batch",
        [bulk.pk, after, BATCH],
    )
    last, size = found[0]
    return (last, size) if size else None


def _params(bulk: BulkAct, after: int, last: int) -> dict[str, Any]:
    argument = bulk.argument
    value = {} if bulk.act == "locate" else argument.get("value")  # undoing asks only whether one was given
    return {
        "bulk": bulk.pk,
        "after": after,
        "last": last,
        "source": bulk.source_id,
        "tag": argument.get("tag"),
        "list": argument.get("list"),
        "key": argument.get("property"),
        "value": None if value is None else json.dumps(value),
        "from": argument.get("from"),
        "into": argument.get("into"),
    }


def _located(bulk: BulkAct, params: dict[str, Any]) -> dict[str, list[str]]:
    """The places of a batch that the table completes: as they are, and as they will be."""
    home = "FR" if bulk.workspace.time_zone in places.FRENCH_ZONES else ""
    found = rows(
        "SELECT DISTINCT (c.props -> %(key)s)::text FROM contacts_bulk_person p JOIN contacts_contact c"
        " ON c.id = p.contact_id WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s"
        " AND jsonb_typeof(c.props -> %(key)s) = 'object'",
        params,
    )
    now = [json.loads(text) for (text,) in found]
    pairs = [(place, places.filled(place, home)) for place in now if all(isinstance(v, str) for v in place.values())]
    changed = [(before, after) for before, after in pairs if before != after]
    return {"before": [json.dumps(one) for one, _ in changed], "filled": [json.dumps(one) for _, one in changed]}


def _record(bulk: BulkAct, contacts: Sequence[int], which: int) -> None:
    """Joining and leaving are news for other rooms; ``which`` 0 for the act, 1 for undoing it."""
    if bulk.act in _EVENTS:
        kind, facts = _EVENTS[bulk.act][which], {"list": bulk.argument["list"], "bulk": bulk.pk}
        record([NewEvent(bulk.workspace.id, kind, contact, facts=facts) for contact in contacts])


def _close_merge(bulk: BulkAct) -> None:
    """Nobody has the old property any more: it leaves the catalogue. Who got it meanwhile is moved first."""
    key = bulk.argument["from"]
    with transaction.atomic():
        late = execute(
            "INSERT INTO contacts_bulk_person (bulk_id, contact_id) SELECT %s, id FROM contacts_contact"
            " WHERE workspace_id = %s AND props ? %s"
            " ON CONFLICT (bulk_id, contact_id) DO UPDATE SET changed = false",
            [bulk.pk, bulk.workspace.id, key],
        )
        if late:
            params = _params(bulk, 0, 1 << 62)
            changed = len(rows(sql("contacts", "bulk_merge"), params))
            bulk.counts = bulk.counts | {
                "chosen": bulk.counts["chosen"] + late,
                "changed": bulk.counts["changed"] + changed,
                "done": _done(bulk) + late,
            }
        Property.objects.filter(workspace=bulk.workspace, key=key).delete()


# -- undo --------------------------------------------------------------------------------------


def can_undo(bulk: BulkAct) -> bool:
    return (
        bulk.state in ("done", "cancelled", "failed")
        and bulk.ended_at is not None
        and bulk.ended_at > datetime.now(UTC) - timedelta(days=DAYS)
        and bool(bulk.counts.get("changed"))
    )


def undo(bulk: BulkAct, progress: Tell | None = None) -> dict[str, Any]:
    """Take an act back: {"restored", "kept"}. What somebody changed since is kept as it is now."""
    bulk.refresh_from_db()
    if bulk.state == "undone":
        raise BulkProblem(_("This act is undone already."))
    if not can_undo(bulk):
        raise BulkProblem(_("This act can no longer be undone: that was possible for %(days)s days.") % {"days": DAYS})
    _refuse_wider(bulk)
    tell = progress or (lambda done, total, step: None)
    _reopen(bulk)
    total, after = int(bulk.counts.get("changed", 0)), 0
    restored = met = 0
    while batch := _next(bulk, after, changed=True):
        tell(met, total, "undoing")
        last, size = batch
        with transaction.atomic():
            back = [
                row[0]
                for row in rows(
                    sql("contacts", f"bulk_undo_{_UNDONE_AS.get(bulk.act, bulk.act)}"), _params(bulk, after, last)
                )
            ]
            _record(bulk, back, 1)
            # Not again, should this be stopped and taken up once more.
            BulkPerson.objects.filter(bulk_id=bulk.pk, contact_id__gt=after, contact_id__lte=last).update(changed=False)
        after, restored, met = last, restored + len(back), met + size
    result = {"restored": restored, "kept": met - restored}
    bulk.state, bulk.counts = "undone", bulk.counts | {"undone": result}
    bulk.save(update_fields=["state", "counts"])
    note(
        bulk.workspace.id, "member" if bulk.member_id else "job", "bulk.undone", bulk,
        actor_id=bulk.member_id, act=bulk.act, **result,
    )  # fmt: skip
    return result


def _reopen(bulk: BulkAct) -> None:
    """A merged property stands in the catalogue again before its values come back."""
    declared = bulk.argument.get("declared")
    if bulk.act == "merge" and declared and bulk.argument["from"] not in catalogue.of(bulk.workspace):
        catalogue.declare(bulk.workspace, **declared)


def _forget(workspace: Workspace) -> None:
    """Who was meant by acts that can no longer be undone; there is no other use for it."""
    execute(
        "DELETE FROM contacts_bulk_person p USING contacts_bulk_act a WHERE a.id = p.bulk_id AND a.workspace_id = %s"
        " AND a.ended_at < now() - make_interval(days => %s)",
        [workspace.id, DAYS],
    )


def merge_figures(workspace: Workspace, old: str, into: str) -> dict[str, int]:
    """What a merge would do: moved (only the old is known), same, kept (both differ: the other's value stays)."""
    _mergeable(workspace, old, into)
    found = rows(
        "SELECT count(*) FILTER (WHERE NOT props ? %(into)s), count(*) FILTER (WHERE props -> %(from)s = props ->"
        " %(into)s), count(*) FILTER (WHERE props -> %(from)s <> props -> %(into)s) FROM contacts_contact"
        " WHERE workspace_id = %(w)s AND props ? %(from)s",
        {"w": workspace.id, "from": old, "into": into},
    )
    return dict(zip(("moved", "same", "kept"), found[0], strict=True))


def recent(workspace: Workspace, most: int = 20) -> list[BulkAct]:
    return list(BulkAct.objects.filter(workspace=workspace).order_by("-id")[:most])
