"""What a person says she cares for, on her own page; what was inferred of her stands there too, with why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from babel.dates import format_date

from envol.audience import interests, topics
from envol.web.public.choices import Visitor
from envol.web.public.words import Words

_ANSWERS = {"yes": "declared", "no": "refused", "": ""}


@dataclass(frozen=True, slots=True)
class Row:
    """``answer``: yes, no, or "" where she said nothing; ``why``: what was inferred, in a sentence."""

    name: str
    label: str
    answer: str
    why: str


def rows(who: Visitor, words: Words) -> list[Row]:
    """Every topic of the workspace with her answer."""
    if who.contact is None:
        return []
    known = topics.of(who.workspace)
    found = {one.topic.pk: one for one in interests.of_person(who.workspace, who.contact.id)} if known else {}
    made = []
    for topic in known:
        one = found.get(topic.pk)
        answer = {"declared": "yes", "refused": "no"}.get(one.origin, "") if one else ""
        why = ""
        if one is not None and one.origin == "inferred" and one.last_on is not None:
            last = format_date(one.last_on, "long", locale="fr_FR" if words.language == "fr" else "en_GB")
            why = words("why_topic", reads=str(one.reads), of=str(one.of_reads), last=last)
        label = topic.label_fr if words.language == "fr" else topic.label_en
        made.append(Row(f"topic_{topic.pk}", label, answer, why))
    return made


def choose(who: Visitor, form: Mapping[str, str]) -> bool:
    """Make her answers those of the form; topics that were not on it stay."""
    if who.contact is None:
        return False
    changed = False
    for topic in topics.of(who.workspace):
        answer = _ANSWERS.get(form.get(f"topic_{topic.pk}", "?"))
        if answer is not None:
            changed |= interests.say(who.workspace, who.contact.id, topic, answer, "page")
    return changed
