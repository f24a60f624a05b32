"""People whose data came from somebody else are told so within a month (GDPR art. 14).

A file from a third source starts a clock of a calendar month, and the first message to its people has to say where
their address came from and what they can do about it (art. 14(3)(a), (b)). Whoever was not told yet is left out of
every marketing message that does not say it; who was told when, by which message and with which version of the notice,
is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from envol import events
from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.consent import breaches, desk, policies, requests
from envol.consent.models import Informing, Origin
from envol.db import execute, rows, value

SCOPE = "origin"
"""Name of the people of an origin who were not told yet, among the scopes of `breaches`: contacts lie above us."""

WAITING_SQL = "SELECT contact_id FROM consent_informing WHERE workspace_id = %s AND origin_id = %s AND at IS NULL"
"""Of one origin, who was not told yet; for the room that knows addresses."""


class Open(NamedTuple):
    """An origin of which somebody was not told yet."""

    origin: Origin
    waiting: int
    told: int

    @property
    def late(self) -> bool:
        return self.origin.due_at < datetime.now(UTC)

    @property
    def left(self) -> int:
        return max(0, (self.origin.due_at - datetime.now(UTC)).days)


def begin(
    workspace: Workspace,
    name: str,
    received_on: date,
    people: tuple[str, Mapping[str, Any]],
    *,
    import_id: int | None = None,
    member_id: int | None = None,
) -> Origin | None:
    """These people (a SELECT of ids with its parameters) came from somebody else; None when nobody did.

    Taken up again for the same import it only adds who is missing; imports run one at a time.
    """
    query, params = people
    noon = datetime.combine(received_on, time(12), workspace.zone)
    with transaction.atomic():
        known = Origin.objects.filter(workspace=workspace, import_id=import_id, name=name)
        made = (known if import_id else known.filter(received_on=received_on)).order_by("pk").first()
        new = made is None
        if made is None:
            due = requests.due(noon, 1, workspace.time_zone)
            made = Origin.objects.create(
                workspace=workspace, import_id=import_id, name=name, received_on=received_on, due_at=due,
                member_id=member_id,
            )  # fmt: skip
        added = execute(
            "INSERT INTO consent_informing (workspace_id, origin_id, contact_id)"
            f" SELECT %(envol_w)s, %(envol_o)s, came.id FROM ({query}) AS came (id) ON CONFLICT DO NOTHING",
            {**params, "envol_w": workspace.pk, "envol_o": made.pk},
        )
        if new and not added:
            made.delete()
            return None
        if new:
            actor = "member" if member_id else "job"
            note(workspace, actor, "origin.stated", made, actor_id=member_id, people=added, due=made.due_at.isoformat())
    return made


def came(workspace: Workspace, name: str, contact_ids: Sequence[int], *, member_id: int | None = None) -> Origin:
    """These people came from somebody else, by a program. Those of a week share a clock: that of the first of them."""
    today = workspace.today()
    with transaction.atomic():
        # Two programs at once begin one clock. Whoever wrote a row of this workspace before us holds a share of this
        # lock, and may wait here too: one that is stronger would have the two wait for each other.
        Workspace.objects.select_for_update(no_key=True).only("id").get(pk=workspace.pk)
        mine = Origin.objects.filter(
            workspace=workspace, name=name[:200], import_id=None, received_on__gt=today - timedelta(days=7)
        )
        made = mine.order_by("received_on").first()
        if made is None:
            noon = datetime.combine(today, time(12), workspace.zone)
            due = requests.due(noon, 1, workspace.time_zone)
            made = Origin.objects.create(
                workspace=workspace, name=name[:200], received_on=today, due_at=due, member_id=member_id
            )
            note(workspace, "key", "origin.stated", made, people=len(contact_ids), due=due.isoformat())
        Informing.objects.bulk_create(
            [Informing(workspace_id=workspace.pk, origin=made, contact_id=one) for one in contact_ids],
            ignore_conflicts=True,
        )
    return made


def take_back(workspace_id: int, import_id: int) -> None:
    """The file was taken back: nobody of it has to be told any more. Whoever was, stays written down."""
    mine = Origin.objects.filter(workspace_id=workspace_id, import_id=import_id)
    for one in mine:
        execute("DELETE FROM consent_informing WHERE origin_id = %s AND at IS NULL", [one.pk])
        if not value("SELECT count(*) FROM consent_informing WHERE origin_id = %s", [one.pk]):
            one.delete()


def standing(origin: Origin) -> Open:
    """Of one origin: how many wait and were told."""
    asked = "SELECT count(*) FILTER (WHERE at IS NULL), count(at) FROM consent_informing WHERE origin_id = %s"
    return Open(origin, *rows(asked, [origin.pk])[0])


def open_of(workspace_id: int) -> list[Open]:
    """Origins with somebody to tell, the most urgent first."""
    counted = {
        origin: (waiting, told)
        for origin, waiting, told in rows(
            "SELECT origin_id, count(*) FILTER (WHERE at IS NULL), count(at) FROM consent_informing"
            " WHERE workspace_id = %s GROUP BY 1 HAVING count(*) FILTER (WHERE at IS NULL) > 0",
            [workspace_id],
        )
    }
    found = Origin.objects.filter(workspace_id=workspace_id, pk__in=counted).order_by("due_at", "pk")
    return [Open(one, *counted[one.pk]) for one in found]


def of_person(workspace_id: int, contact_id: int) -> list[dict[str, Any]]:
    """From whom her data came, and when she was told."""
    keys = ("source", "received_on", "due_at", "told_at", "notice")
    return [
        dict(zip(keys, row, strict=True))
        for row in rows(
            "SELECT o.name, o.received_on, o.due_at, i.at, i.notice FROM consent_informing i"
            " JOIN consent_origin o ON o.id = i.origin_id WHERE i.workspace_id = %s AND i.contact_id = %s ORDER BY 2",
            [workspace_id, contact_id],
        )
    ]


def waits_sql(alias: str, told: Sequence[int] = ()) -> str:
    """SQL over a contact alias: must she first be told where her data came from? ``told``: origins that the message
    names by itself."""
    if not alias.isidentifier():
        raise ValueError("The alias is a plain name.")
    named = f" AND i.origin_id NOT IN ({', '.join(str(int(one)) for one in told)})" if told else ""
    return (
        f"EXISTS (SELECT FROM consent_informing i WHERE i.workspace_id = {alias}.workspace_id"
        f" AND i.contact_id = {alias}.id AND i.at IS NULL{named})"
    )


def some_wait(workspace_id: int) -> bool:
    """Mostly nobody waits, and no sending asks person by person."""
    asked = "SELECT EXISTS (SELECT FROM consent_informing WHERE workspace_id = %s AND at IS NULL)"
    return bool(value(asked, [workspace_id]))


def told_by(
    workspace_id: int, origins: Sequence[int], got: tuple[str, Mapping[str, Any]], *, sending_id: int | None = None
) -> int:
    """A message that names these origins reached these people: a SELECT of (contact, moment) with its parameters."""
    query, params = got
    notice = policies.notice_shown(workspace_id).get("notice")
    return execute(
        "UPDATE consent_informing i SET at = got.at, sending_id = %(envol_s)s, notice = %(envol_n)s"
        f" FROM ({query}) AS got (contact_id, at) WHERE i.workspace_id = %(envol_w)s AND i.at IS NULL"
        " AND i.contact_id = got.contact_id AND i.origin_id = ANY(%(envol_o)s)",
        {**params, "envol_w": workspace_id, "envol_o": list(origins), "envol_s": sending_id, "envol_n": notice},
    )


# -- what is said -----------------------------------------------------------------------------------


def sentences(workspace: Workspace, origins: Sequence[Origin], *, among_others: bool = False) -> list[str]:
    """What a message has to say to them, in the language in force: whence, who keeps it, what one can do (art. 14(1),
    (2)); plain text. ``among_others``: it also reaches people who gave their address themselves."""
    from babel.dates import format_date
    from django.utils.translation import get_language

    language, found = (get_language() or "en")[:2], desk.of(workspace)

    def day(one: Origin) -> str:
        return str(format_date(one.received_on, "long", locale=language))

    if len(origins) > 1:
        said = [_("If you did not give us your address yourself, we have it from one of these:")]
        said += [f"– {one.name}, {day(one)}" for one in origins]
    elif among_others:
        text = _("If you did not give us your address yourself, it came to us from %(name)s, on %(day)s.")
        said = [text % {"name": one.name, "day": day(one)} for one in origins]
    else:
        text = _("Your address came to us from %(name)s, on %(day)s; you did not give it to us yourself.")
        said = [text % {"name": one.name, "day": day(one)} for one in origins]
    keeper = _("%(who)s keeps it to write to you. To reach us about your data: %(contact)s")
    contact = found.dpo_contact or found.contact or _("answer this message.")
    rights = _(
        "You can object to these messages at any time, see your data, have them corrected or erased, or complain to a"
        " supervisory authority."
    )
    return [*said, keeper % {"who": found.legal_name or workspace.title, "contact": contact}, rights]


def whole(workspace: Workspace) -> str:
    """The whole notice in the language in force, for a message that has room for it; empty while there is none."""
    from django.utils.translation import get_language

    found = policies.newest(workspace, policies.NOTICE)
    return str(found.texts.get((get_language() or "en")[:2], "")) if found else ""


def tell(origin: Origin, text: str, subject: str) -> Iterator[int]:
    """Write to those of this origin who were not told, some thousands at a time: a service message that nothing
    measures and that needs no agreement, because the law asks for it. Each step answers how many so far.

    Who may not be written to at all (a full stop, a restriction) is passed over by the road itself.
    """
    done, last = 0, 0
    notice = policies.notice_shown(origin.workspace.pk).get("notice")
    while people := breaches.people_of(origin.workspace, SCOPE, origin.pk, last):
        with transaction.atomic():
            for one in people:
                events.request_mail(
                    "informing", one.email, {"subject": subject, "text": text, "ref": origin.pk},
                    workspace_id=origin.workspace.pk, contact_id=one.contact_id,
                    language=one.language or origin.workspace.language,
                )  # fmt: skip
            execute(
                "UPDATE consent_informing SET at = now(), notice = %s WHERE workspace_id = %s AND origin_id = %s"
                " AND contact_id = ANY(%s) AND at IS NULL",
                [notice, origin.workspace.pk, origin.pk, [one.contact_id for one in people]],
            )
        last = people[-1].contact_id
        done += len(people)
        yield done
