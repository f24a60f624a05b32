"""Who gave the data of a file: a question that is answered before anybody is written (GDPR art. 13 and 14).

Of somebody else's data the month in which the people are told begins on the day the file came to us.
"""

from __future__ import annotations

from datetime import date

from django.utils.translation import gettext

from envol.consent import informing
from envol.contacts.imports.mapping import must_be_open
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.models import Import

_NEW = (
    "SELECT c.id FROM contacts_import_change x JOIN contacts_contact c ON c.workspace_id = %(w)s"
    " AND c.id BETWEEN x.contact_id AND (x.before ->> 'last')::bigint WHERE x.import_id = %(i)s AND x.created"
)
"""Who came by an import: known people were told when they came themselves, or wait already."""


PEOPLE, OTHER, MOVED, PROGRAM = "people", "other", "moved", "program"
"""They themselves; somebody else; this organisation's former platform, as long as nobody said who gave it the data; a
program whose key says nothing of it."""


def set_origin(imp: Import, by: str, name: str = "", received_on: str = "") -> Import:
    """Say who gave the data: ``by`` is one of the four above, ``name`` of whom that is not the people themselves.

    ``received_on`` (ISO) is the day on which somebody else's data came. Raises ImportProblem.
    """
    must_be_open(imp)
    name = " ".join(name.split())[:200]
    # Which platform it was stays, also once it is known who gave the data.
    moved = imp.origin.get("moved") or (imp.origin.get("name", "") if imp.origin.get("by") == MOVED else "")
    if by == PEOPLE:
        imp.origin = {"by": by}
    elif by in (MOVED, PROGRAM):
        imp.origin = {"by": by, "name": name}
    elif by != OTHER:
        raise ImportProblem(gettext("Say who gave you these data: the people themselves, or somebody else."))
    elif not name:
        raise ImportProblem(gettext("Say who gave you these data."))
    else:
        try:
            day = date.fromisoformat(received_on.strip())
        except ValueError:
            raise ImportProblem(
                gettext("Say on which day you got the data: the month to tell the people begins then.")
            ) from None
        # It is tomorrow there before it is in UTC.
        if day > imp.workspace.today():
            raise ImportProblem(gettext("The day on which you got the data lies in the future: correct it."))
        imp.origin = {"by": by, "name": name, "on": day.isoformat()}
    if moved and by != MOVED:
        imp.origin["moved"] = moved
    imp.save(update_fields=["origin"])
    return imp


def must_be_said(imp: Import) -> None:
    """Nobody is written from a file of which nobody said who gave it. Raises ImportProblem."""
    if imp.origin.get("by", OTHER if imp.origin else "") in ("", MOVED):
        raise ImportProblem(gettext("Say first who gave you these data: the people themselves, or somebody else."))


def begin(imp: Import) -> None:
    """The file is written, in whole or in part: whoever is new and did not give the data has to be told."""
    # Before there was a word for it, only the origin of somebody else's data was kept.
    if imp.origin.get("by", OTHER if imp.origin else "") == OTHER:
        informing.begin(
            imp.workspace,
            imp.origin["name"],
            date.fromisoformat(imp.origin["on"]),
            (_NEW, {"w": imp.workspace_id, "i": imp.pk}),
            import_id=imp.pk,
            member_id=imp.member_id,
        )
