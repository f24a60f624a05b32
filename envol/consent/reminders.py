"""Owners, and who looks after data protection, are written to before a term ends: of permissions, of a duty to tell.

Once for each: what was mailed is written down where the term is. The home page says the same until it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import JournalEntry, Member, Role, Workspace
from envol.consent import informing, lapse
from envol.consent.models import Origin, Purpose
from envol.db import TooSlow, within
from envol.events.writing import request_mail

AGAIN = timedelta(days=30)
"""Permissions end day by day: owners hear of those of one purpose once a month."""
LAST_DAYS = timedelta(days=7)
"""Before the month of art. 14 is over, and once more when it is."""


_TERMED = Q(months__isnull=False) | Q(legacy_months__isnull=False)


class Ending(NamedTuple):
    """Permissions of a purpose that end soon; ``people`` is None where counting takes longer than a page may."""

    purpose: Purpose
    people: int | None


def ending(workspace_id: int, seconds: float) -> list[Ending]:
    """Purposes with permissions that end by their term within `lapse.SOON`, for a page."""
    found = []
    for purpose in Purpose.objects.filter(_TERMED, workspace_id=workspace_id).order_by("bit"):
        try:
            with within(seconds):
                people: int | None = _soon(purpose)
        except TooSlow:
            people = None
        if people is None or people > 0:
            found.append(Ending(purpose, people))
    return found


def _soon(purpose: Purpose, now: datetime | None = None) -> int:
    return lapse.ages(purpose, now).soon + lapse.ages(purpose, now, legacy=True).soon


def permissions(workspace: Workspace, now: datetime | None = None) -> int:
    """Tell owners of permissions that end soon; how many mails."""
    now, sent = now or datetime.now(UTC), 0
    for purpose in Purpose.objects.filter(_TERMED, workspace=workspace).order_by("bit"):
        told = JournalEntry.objects.filter(workspace=workspace, action="purpose.ending", object_id=purpose.pk)
        if told.filter(at__gt=now - AGAIN).exists():
            continue
        people = _soon(purpose, now)
        if not people:
            continue

        def words(purpose: Purpose = purpose, people: int = people) -> tuple[str, str, str]:
            french = translation.get_language() == "fr"
            facts = {"people": people, "purpose": purpose.label_fr if french else purpose.label_en}
            text = _(
                "By its term, the permission of %(people)s people for “%(purpose)s” ends within sixty days. You can ask"
                " them before whether it shall go on; without an answer it ends by itself."
            )
            return _("Permissions end soon"), text % facts, f"/consent/purposes/{purpose.pk}#term"

        with transaction.atomic():
            note(workspace, "job", "purpose.ending", purpose, people=people)
            sent += _mail(workspace, words)
    return sent


def origins(workspace: Workspace, now: datetime | None = None) -> int:
    """Tell owners of people who have yet to be told where their data came from; how many mails."""
    now, sent = now or datetime.now(UTC), 0
    for one in informing.open_of(workspace.pk):
        origin = one.origin
        level = 2 if now > origin.due_at else 1 if now > origin.due_at - LAST_DAYS else 0
        if level <= origin.warned:
            continue

        def words(one: informing.Open = one, late: bool = level == 2) -> tuple[str, str, str]:
            day = one.origin.due_at.astimezone(workspace.zone).date().isoformat()
            facts = {"people": one.waiting, "name": one.origin.name, "day": day}
            text = _("%(people)s people from “%(name)s” have to be told by %(day)s where their data came from.")
            if late:
                text = _(
                    "The month is over, on %(day)s: tell %(people)s people from “%(name)s” where we have them from."
                )
            subject = _("People have to be told where their data came from")
            return subject, text % facts, f"/consent/origins/{one.origin.pk}"

        with transaction.atomic():
            Origin.objects.filter(pk=origin.pk).update(warned=level)
            sent += _mail(workspace, words)
    return sent


def _mail(workspace: Workspace, words: Callable[[], tuple[str, str, str]]) -> int:
    """To each of them in their language; ``words`` gives subject, sentence and path in the language in force."""
    them = Member.objects.filter(Q(role=Role.OWNER) | Q(dpo=True), workspace=workspace, user__is_active=True)
    sent = 0
    for one in them.select_related("user"):
        with translation.override(one.user.language):
            subject, text, path = words()
            link = f"{settings.ENVOL.base_url.rstrip('/')}{path}"
        facts = {"subject": subject, "text": f"{text}\n\n{link}\n"}
        request_mail("notice", one.user.email, facts, workspace_id=workspace.pk, language=one.user.language)
        sent += 1
    return sent
