"""Whoever was given her data is told that they were corrected, erased or restricted (GDPR art. 19).

When such a request is answered, each recipient of the register becomes an open duty of its request, with the words
ready; a member sends them or notes how they were told. After an erasure her address is gone: what names her to a
recipient then is the SHA-256 of it, which is kept only until the recipient was told.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import transfers
from envol.consent.models_desk import Processor
from envol.consent.models_partner import Handing
from envol.consent.models_rights import RightsRequest, RightsStep
from envol.events.writing import request_mail
from envol.wire.address import AddressError, normalise

KINDS = ("rectification", "erasure", "restriction", "death")
TO_TELL, TOLD = "to_tell", "told_recipient"
_NO_COPY = ("hosting", "smart_host")
"""Who only lends machines or passes mail on keeps no register of people that could be corrected."""


class Refusal(ValueError):
    """It cannot be told so; the sentence says what to do."""


class Duty(NamedTuple):
    """One recipient that is still to be told, with the words for it; ``mail`` is empty where no address is known."""

    step: RightsStep
    recipient: Processor
    mail: str
    subject: str
    text: str


def owe(request: RightsRequest, email_key: str) -> int:
    """The request was carried out: each recipient is to be told of it; how many. In the caller's transaction."""
    if request.kind not in KINDS:
        return 0
    mark = hashlib.sha256(email_key.encode()).hexdigest() if request.erasure_id is not None else ""
    found = [one for one in transfers.known(request.workspace_id) if one.kind not in _NO_COPY and _holds(one, request)]
    for one in found:
        RightsStep.objects.create(request=request, what=TO_TELL, said=f"{one.pk} {mark}".strip())
    return len(found)


def _holds(one: Processor, request: RightsRequest) -> bool:
    """May it hold her data? A partner only if she was given to it; `envol.consent.partners` tells it of the erased."""
    if one.kind != "partner":
        return True
    if request.erasure_id is not None or request.contact_id is None:
        return False
    given = Handing.objects.filter(workspace_id=request.workspace_id, contact_id=request.contact_id)
    return given.filter(partner__processor_id=one.pk).exists()


def open_of(request: RightsRequest) -> list[Duty]:
    """Whom this request still has to be told to."""
    workspace = Workspace.objects.get(pk=request.workspace_id)
    made = []
    for step in request.steps.filter(what=TO_TELL).exclude(said="").order_by("pk"):
        number, _space, mark = step.said.partition(" ")
        one = Processor.objects.filter(workspace=workspace, pk=int(number)).defer("dpa").first()
        if one is not None:
            subject, text = _words(request, workspace, mark)
            made.append(Duty(step, one, address_among(one.contact), subject, text))
    return made


def waiting(workspace_id: int) -> list[tuple[int, int]]:
    """(request, how many recipients it still has to be told to), oldest first."""
    counted: dict[int, int] = {}
    steps = RightsStep.objects.filter(request__workspace_id=workspace_id, what=TO_TELL).exclude(said="")
    for number in steps.order_by("request_id").values_list("request_id", flat=True):
        counted[number] = counted.get(number, 0) + 1
    return list(counted.items())


def tell(request: RightsRequest, step_id: int, how: str, member_id: int) -> str:
    """Mail the words (no ``how``), or note how this recipient was told; its name."""
    with transaction.atomic():
        RightsRequest.objects.select_for_update().only("id").get(pk=request.pk)
        duty = next((one for one in open_of(request) if one.step.pk == step_id), None)
        if duty is None:
            raise Refusal(_("This recipient was told already."))
        how = " ".join(how.split())[:200]
        if not how:
            if not duty.mail:
                raise Refusal(_("No mail address of this recipient is known: say how it was told."))
            request_mail(
                "recipient", duty.mail, {"subject": duty.subject, "text": duty.text},
                workspace_id=request.workspace_id, language=request.language,
            )  # fmt: skip
        # The duty is done: what names her is kept no longer.
        RightsStep.objects.filter(pk=step_id).update(said="")
        said = f"{duty.recipient.name}: {how or duty.mail}"
        RightsStep.objects.create(request=request, what=TOLD, actor_id=member_id, said=said)
    return str(duty.recipient.name)


def address_among(contact: str) -> str:
    """The mail address among what the register says of how to reach a recipient."""
    for word in contact.replace(",", " ").replace(";", " ").split():
        try:
            return normalise(word.strip("<>()")).written
        except AddressError:
            continue
    return ""


def _words(request: RightsRequest, workspace: Workspace, mark: str) -> tuple[str, str]:
    with translation.override(workspace.language):
        who = _("the person whose address has this SHA-256 (in lower case): %(mark)s") % {"mark": mark}
        facts = {
            "title": workspace.title,
            "who": who if mark else request.address,
            "no": f"{request.workspace_id}-{request.pk}",
            "answer": request.answer,
        }
        what = {
            "rectification": _("These data were corrected: %(who)s\n\n%(answer)s\n\nCorrect them in your records too."),
            "erasure": _("These data were erased: %(who)s\n\nErase them in your records too."),
            "restriction": _(
                "The use of these data is restricted: %(who)s\n\nKeep them, and do nothing else with them."
            ),
            "death": _(
                "This person died: %(who)s\n\nErase the data in your records, or keep them and do nothing else with"
                " them."
            ),
        }[request.kind]
        subject = _("Data that %(title)s gave you: request %(no)s") % facts
        why = _(
            "You were given data by %(title)s, which has to tell you of this (GDPR art. 19). Confirm it by an answer"
            " to this message."
        )
        return subject, f"{what % facts}\n\n{why % facts}\n\n{workspace.title}\n"
