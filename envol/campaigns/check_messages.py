# ruff: noqa: E501
"""What a linter found, as sentences that say what to do, in both languages."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import override

from envol.campaigns.check import ADVICE, BLOCK, Check
from envol.content import gallery
from envol.content.lint import Finding
from envol.content.models import Version

_SENTENCES = {
    "link_example": (
        "Le lien «\u202f{label}\u202f» mène à une adresse d’exemple\u202f: écrivez la vraie.",
        "The link “{label}” leads to an example address: write the real one.",
    ),
    "link_inside": (
        "Le lien «\u202f{label}\u202f» ne fonctionne que sur cette machine\u202f: écrivez une adresse publique.",
        "The link “{label}” works on this machine only: write a public address.",
    ),
    "link_plain": (
        "Le lien «\u202f{label}\u202f» n’est pas chiffré\u202f: écrivez https:// si le site le permet.",
        "The link “{label}” is not encrypted: write https:// if the site has it.",
    ),
    "link_personal": (
        "Le lien «\u202f{label}\u202f» contient une adresse de courriel\u202f: ôtez-la, elle se lirait dans les journaux des serveurs.",
        "The link “{label}” holds an e-mail address: take it out, servers would write it into their logs.",
    ),
    "link_same_words": (
        "{n} liens portent les mots «\u202f{label}\u202f» et mènent ailleurs\u202f: donnez à chacun les siens.",
        "{n} links have the words “{label}” and lead to different places: give each its own.",
    ),
    "no_link": (
        "Le message n’a aucun lien\u202f: dites où aller ensuite.",
        "The message has no link: say where to go next.",
    ),
    "image_nowhere": (
        "L’image «\u202f{name}\u202f» n’a pas d’adresse que d’autres puissent ouvrir\u202f: choisissez-la parmi vos images.",
        "The picture “{name}” has no address that others can open: choose it among your pictures.",
    ),
    "image_inside": (
        "Une image est écrite dans le code\u202f; plusieurs messageries ne la montrent pas\u202f: choisissez-la parmi vos images.",
        "A picture is written into the code; several mailboxes do not show it: choose it among your pictures.",
    ),
    "image_elsewhere": (
        "L’image «\u202f{name}\u202f» vient de {host}, qui voit chaque ouverture\u202f: apportez-la ici.",
        "The picture “{name}” comes from {host}, which sees every opening: bring it here.",
    ),
    "image_no_words": (
        "L’image «\u202f{name}\u202f» n’a pas de description\u202f: dites ce qu’elle montre, ou marquez-la comme décorative.",
        "The picture “{name}” has no description: say what it shows, or mark it as decoration.",
    ),
    "heavy": (
        "Le message pèse {kb} ko\u202f: au-delà de 100 ko certaines messageries coupent. Allégez-le.",
        "The message weighs {kb} kB: above 100 kB some mailboxes cut it. Make it lighter.",
    ),
    "rather_heavy": (
        "Le message pèse {kb} ko\u202f: restez sous 100 ko, certaines messageries coupent au-delà.",
        "The message weighs {kb} kB: stay under 100 kB, above which some mailboxes cut.",
    ),
}


def of_lint(found: Iterable[Finding]) -> list[Check]:
    made = []
    for one in found:
        fr, en = _SENTENCES[one.code]
        facts = one.facts | {"kb": one.facts.get("octets", 0) // 1000}
        made.append(Check(one.level, one.code, fr.format(**facts), en.format(**facts), "content", one.facts))
    return made


def of_design(version: Version) -> list[Check]:
    """What a filled model still lacks, and the words of ours that still stand in it."""
    design = gallery.opened(version.design)
    if design is None:
        return []
    made = []
    first = gallery.start(design.model.key, design.language)
    begun = {path: value for path, _place, value in gallery.each(first)} if first else {}
    for path, place, value in gallery.each(design):
        name = _name(design, path)
        if place.kind == "button" and value["label"] and not value["url"]:
            label = value["label"]
            fr = f"Le bouton «\u202f{label}\u202f» n’a pas d’adresse\u202f: donnez-la, ou videz ses mots."
            en = f"The button “{label}” has no address: give it one, or empty its words."
            made.append(Check(BLOCK, "button_nowhere", fr, en, "content", {"path": path}))
        elif place.required and place.kind in ("line", "text", "date") and not str(value).strip():
            fr, en = f"{name[0]} est vide\u202f: remplissez cette place.", f"{name[1]} is empty: fill this place."
            made.append(Check(BLOCK, "place_empty", fr, en, "content", {"path": path}))
        elif place.kind == "text" and value and value == begun.get(path) and design.model.key != gallery.ASKING:
            fr = f"{name[0]} a encore les mots du modèle\u202f: écrivez les vôtres."
            en = f"{name[1]} still has the words of the model: write your own."
            made.append(Check(ADVICE, "words_of_model", fr, en, "content", {"path": path}))
    return made


def _name(design: gallery.Design, path: str) -> tuple[str, str]:
    """The place as people know it, in French and in English."""
    names = []
    for language, form in (("fr", "«\u202f{}\u202f»"), ("en", "“{}”")):
        with override(language):
            names.append(form.format(gallery.named(design, path)))
    return names[0], names[1]
