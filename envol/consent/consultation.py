"""What the authority is told when it is asked beforehand: written from what the desk knows (GDPR art. 36(3))."""

from __future__ import annotations

from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import assessments, data_map, desk, record
from envol.consent.models import Processor, Purpose


def content(workspace: Workspace, purpose: Purpose, label: str) -> list[tuple[str, str]]:
    """Points (a) to (e) of art. 36(3), each with its words in the language in force; what nobody wrote says so."""
    found = desk.of(workspace)
    # From the record's own lines, so that the record and the consultation cannot tell two stories.
    head = {line.label: line.text for line in record.head(workspace)}
    processors = list(Processor.objects.filter(workspace=workspace, ended_on=None).order_by("name"))
    names, outside = record.recipients(processors)
    fields = [
        one.name for one in data_map.flows(workspace) if one.kind == "property" and one.purposes >> purpose.bit & 1
    ]
    made = assessments.last_made(workspace, purpose.pk)
    answers = made.answers if made else {}
    met = [str(words) for name, words in assessments.CRITERIA.items() if answers.get(name)]
    dpo = ", ".join(part for part in (found.dpo_name, found.dpo_contact) if part)
    lines = [
        (_("Who is responsible for what (a)"), [
            head.get(_("Controller"), ""), found.joint, names,
        ]),
        (_("Purpose and means (b)"), [label, record.listed(fields), outside]),
        (_("Measures and safeguards (c)"), [head.get(_("Security (art. 32(1))"), "")]),
        (_("Data protection officer (d)"), [dpo]),
        (_("The impact assessment (e)"), [record.listed(met), str(answers.get("summary", ""))]),
    ]  # fmt: skip
    return [(title, "\n".join(part for part in parts if part) or _("not written down yet")) for title, parts in lines]
