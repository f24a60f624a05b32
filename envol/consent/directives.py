"""What shall become of her data when she has died (loi 78-17, art. 85): what she herself wrote down, and may change.

The GDPR protects the living (recital 27); French law lets a person say what is done afterwards. Without a word of hers
nothing is used any more from the day on which her death is proved to us.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from envol.accounts.journal import note
from envol.consent.models_rights import Directive

ERASE, KEEP, HAND = WISHES = ("erase", "keep", "hand")


def of(workspace_id: int, contact_id: int) -> Directive | None:
    """What she wishes now."""
    return Directive.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None).first()


def say(workspace_id: int, contact_id: int, wish: str, person: str = "") -> bool:
    """She wishes this from now on (empty: nothing any more); whether that is a change. ``person``: to whom the data are
    handed, and how to reach that person. What she wished before stays written down."""
    if wish not in ("", *WISHES):
        return False
    person = " ".join(person.split())[:300] if wish == HAND else ""
    with transaction.atomic():
        before = Directive.objects.select_for_update().filter(
            workspace_id=workspace_id, contact_id=contact_id, until=None
        )
        found = before.first()
        if (found.wish if found else "", found.person if found else "") == (wish, person):
            return False
        before.update(until=timezone.now())
        if wish:
            Directive.objects.create(workspace_id=workspace_id, contact_id=contact_id, wish=wish, person=person)
        note(workspace_id, "person", "contact.directive", contact=contact_id, wish=wish or "none")
    return True
