"""Versions of notices, policies and terms: published, told to people thirty days before, accepted by who comes.

A change binds people who were there before it only thirty days after it was published; whoever signs up later takes
it at once. So there is an answer to: which version applied to this person on that day?
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from envol import events
from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.consent import breaches
from envol.consent.models import Acceptance, PolicyVersion
from envol.db import execute, value

NOTICE = "notice"
KINDS = {
    NOTICE: gettext_lazy("Information notice (art. 13, 14)"),
    "privacy": gettext_lazy("Privacy policy"),
    "terms": gettext_lazy("Terms of use"),
    "cookies": gettext_lazy("Cookie policy"),
}
AHEAD = timedelta(days=30)
MOST = 20_000
SHORT_WORDS = 60


class Problem(ValueError):
    """This version cannot be published; the sentence says what to do."""


def newest(workspace: Workspace | int, kind: str) -> PolicyVersion | None:
    """What whoever comes today is shown."""
    workspace_id = workspace if isinstance(workspace, int) else workspace.pk
    return PolicyVersion.objects.filter(workspace_id=workspace_id, kind=kind).order_by("-no").first()


def publish(
    workspace: Workspace, kind: str, texts: Mapping[str, str], short: Mapping[str, str] | None = None, *,
    member_id: int | None = None,
) -> PolicyVersion:  # fmt: skip
    """A new version. The first of its kind binds everybody at once; later ones bind who is there in thirty days."""
    if kind not in KINDS:
        raise Problem(_("Choose what kind of text it is."))
    texts = {code: text.strip() for code, text in texts.items()}
    short = {code: text.strip() for code, text in (short or {}).items()}
    if not all(texts.values()) or any(len(text) > MOST for text in texts.values()):
        raise Problem(_("Write the text in both languages, at most 20,000 characters each."))
    if kind == NOTICE and any(len(text.split()) > SHORT_WORDS for text in short.values()):
        raise Problem(_("The short notice has at most 60 words: the whole one says the rest (art. 12(1))."))
    with transaction.atomic():
        Workspace.objects.select_for_update().only("id").get(id=workspace.pk)
        before = newest(workspace, kind)
        if before is not None and (before.texts, before.short) == (texts, short):
            raise Problem(_("These words are in force already."))
        today = workspace.today()
        made = PolicyVersion.objects.create(
            workspace=workspace, kind=kind, no=before.no + 1 if before else 1, texts=texts, short=short,
            sha256=hashlib.sha256(json.dumps([texts, short], sort_keys=True).encode()).digest(),
            binds_on=today if before is None else today + AHEAD, member_id=member_id,
        )  # fmt: skip
        actor = "member" if member_id else "job"
        note(workspace, actor, "policy.published", made, actor_id=member_id, kind=kind, version=made.no)
    return made


def ensure_notice(workspace: Workspace, *, member_id: int | None = None) -> PolicyVersion:
    """The notice that a sign-up form needs; made of what is known, when there is none (art. 13)."""
    from envol.consent import notices

    found = newest(workspace, NOTICE)
    return found or publish(workspace, NOTICE, *notices.draft(workspace), member_id=member_id)


def notice_shown(workspace_id: int, at: datetime | None = None) -> dict[str, int]:
    """Which version of the notice stood beside the boxes (at that moment, else now), as a fact of the evidence."""
    versions = PolicyVersion.objects.filter(workspace_id=workspace_id, kind=NOTICE)
    if at is not None:
        versions = versions.filter(made_at__lte=at)
    no = versions.order_by("-no").values_list("no", flat=True).first()
    return {} if no is None else {"notice": no}


def accept(workspace_id: int, contact_id: int, how: str = "signup") -> None:
    """She signs up: what is newest of each kind applies to her at once. In the caller's transaction."""
    execute(
        "INSERT INTO consent_acceptance (workspace_id, contact_id, version_id, how)"
        " SELECT DISTINCT ON (v.kind) v.workspace_id, %s, v.id, %s FROM consent_policy_version v"
        " WHERE v.workspace_id = %s ORDER BY v.kind, v.no DESC ON CONFLICT DO NOTHING",
        [contact_id, how, workspace_id],
    )


def applied(workspace: Workspace, contact_id: int, kind: str, on: date) -> PolicyVersion | None:
    """Which version applied to this person on this day: what she had taken by then, or what bound everybody."""
    found = PolicyVersion.objects.filter(workspace=workspace, kind=kind).order_by("-no")
    day = min(on, date.max - timedelta(days=2))  # its day, not that of UTC; and some day follows
    over = datetime.combine(day + timedelta(days=1), time(), workspace.zone)
    taken = {
        row.version.pk
        for row in Acceptance.objects.select_related("version").filter(
            workspace_id=workspace.pk, contact_id=contact_id, version__kind=kind, how="signup", at__lt=over
        )
    }
    return next((one for one in found if one.pk in taken or one.binds_on <= on), None)


class Applied(NamedTuple):
    """Which version bound one person on one day, and why; ``version`` is None where there was none."""

    kind: str
    version: PolicyVersion | None
    taken_at: datetime | None
    told_at: datetime | None


def applied_to(workspace: Workspace, contact_id: int, on: date) -> list[Applied]:
    """What bound this person on this day, of each kind of text."""
    found = []
    for kind in KINDS:
        version = applied(workspace, contact_id, kind, on)
        mine = Acceptance.objects.filter(workspace_id=workspace.pk, contact_id=contact_id, version=version)
        how = dict(mine.values_list("how", "at")) if version is not None else {}
        found.append(Applied(kind, version, how.get("signup"), how.get("told")))
    return found


def to_tell(version: PolicyVersion) -> int:
    """How many people have neither taken this version nor been told of it."""
    everybody = breaches.Breach(workspace=version.workspace, scope="everybody")
    told = value("SELECT count(DISTINCT contact_id) FROM consent_acceptance WHERE version_id = %s", [version.pk])
    return max(0, (breaches.count(everybody) or 0) - int(told or 0))


def tell(version: PolicyVersion, subject: str, text: str) -> Iterator[int]:
    """Write to everybody who was there before, some thousands at a time; each step answers how many so far.

    A service message that nothing measures. Taken up again it goes on behind the last who was told.
    """
    if version.told_at is None:
        PolicyVersion.objects.filter(pk=version.pk).update(told_at=Now())
    last = int(
        value("SELECT max(contact_id) FROM consent_acceptance WHERE version_id = %s AND how = 'told'", [version.pk])
        or 0
    )
    done = 0
    while people := breaches.people_of(version.workspace, "everybody", None, last):
        taken = set(
            Acceptance.objects.filter(version=version, contact_id__in=[one.contact_id for one in people]).values_list(
                "contact_id", flat=True
            )
        )
        new = [one for one in people if one.contact_id not in taken]
        with transaction.atomic():
            for one in new:
                events.request_mail(
                    "policy", one.email, {"subject": subject, "text": text}, workspace_id=version.workspace.pk,
                    contact_id=one.contact_id, language=one.language or version.workspace.language,
                )  # fmt: skip
            execute(
                "INSERT INTO consent_acceptance (workspace_id, contact_id, version_id, how)"
                " SELECT %s, unnest(%s::bigint[]), %s, 'told' ON CONFLICT DO NOTHING",
                [version.workspace.pk, [one.contact_id for one in new], version.pk],
            )
        last = people[-1].contact_id
        done += len(new)
        yield done
