"""Who gave the data of a file: the people themselves, or somebody else (GDPR art. 14).

Of somebody else's data the month in which the people are told begins on the day the file came to us.
"""

from __future__ import annotations

from datetime import date

from django.utils import timezone
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


def set_origin(imp: Import, name: str = "", received_on: str = "") -> Import:
    """Say who gave the data; nothing when it was the people themselves. Raises ImportProblem."""
    must_be_open(imp)
    name = " ".join(name.split())[:200]
    if not name:
        imp.origin = {}
    else:
        try:
            day = date.fromisoformat(received_on.strip())
        except ValueError:
            raise ImportProblem(
                gettext("Say on which day you got the data: the month to tell the people begins then.")
            ) from None
        if day > timezone.localdate():
            raise ImportProblem(gettext("The day on which you got the data lies in the future: correct it."))
        imp.origin = {"name": name, "on": day.isoformat()}
    imp.save(update_fields=["origin"])
    return imp


def begin(imp: Import) -> None:
    """The file is written, in whole or in part: whoever is new has to be told."""
    if imp.origin:
        informing.begin(
            imp.workspace,
            imp.origin["name"],
            date.fromisoformat(imp.origin["on"]),
            (_NEW, {"w": imp.workspace_id, "i": imp.pk}),
            import_id=imp.pk,
            member_id=imp.member_id,
        )
