from __future__ import annotations

from typing import Any

import pytest

from envol.accounts.models import Workspace
from envol.audience.sentences import describe
from tests.audience.segment_people import declare, make_list

NARROW = "\u202f"


def rule(field: str, op: str, value: Any = None, **where: Any) -> dict[str, Any]:
    made = {"field": field, "op": op, "value": value}
    return {**made, "where": where} if where else made


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    declare(workspace, "city", "text", fr="Ville", en="City")
    declare(workspace, "born", "date", fr="Naissance", en="Birthday")
    declare(workspace, "spent", "money", fr="Dépensé", en="Spent")
    declare(workspace, "home", "place", fr="Domicile", en="Home")
    make_list(workspace, "Abonnés FR")
    return workspace


CASES = [
    (None, "Toutes les personnes.", "Everybody."),
    (
        {"match": "all", "rules": [rule("prop.city", "is", "Nantes"), rule("list", "on", "Abonnés FR")]},
        "Les personnes dont «_Ville_» vaut «_Nantes_» et qui sont sur la liste «_Abonnés FR_».",
        "People whose “City” is “Nantes” and who are on the list “Abonnés FR”.",
    ),
    (
        {"match": "any", "rules": [rule("orders.count", "gte", 2, within_days=90), rule("random", "share", 2.5)]},
        "Les personnes dont le nombre de commandes au cours des 90 derniers jours atteint au moins 2 ou qui font partie"
        " d’une part au hasard de 2,5_%.",
        "People whose number of orders in the last 90 days is at least 2 or who belong to a random share of 2.5%.",
    ),
    (
        {
            "match": "none",
            "rules": [rule("orders.count", "is", 0), rule("mail.clicked", "at_least", 1, within_days=30)],
        },
        "Toutes les personnes, sauf celles qui n’ont passé aucune commande ou qui ont cliqué dans un message au moins"
        " une fois au cours des 30 derniers jours.",
        "Everybody, except people who placed no order or who clicked in a message at least once in the last 30 days.",
    ),
    (
        {
            "match": "all",
            "rules": [
                rule("prop.born", "anniversary_between", ["12-25", "01-01"]),
                {"match": "any", "rules": [rule("prop.city", "known"), rule("prop.spent", "gte", 123456)]},
            ],
        },
        "Les personnes dont «_Naissance_» a son anniversaire entre le 25 décembre et le 1er janvier et (dont «_Ville_»"
        " est une donnée connue ou dont «_Dépensé_» atteint au moins 1_234,56).",
        "People whose “Birthday” has its anniversary between 25 December and 1 January and (whose “City” is known or"
        " whose “Spent” is at least 1,234.56).",
    ),
    (
        {"match": "all", "rules": [{"match": "none", "rules": [rule("tag", "has_any", ["a", "b"])]}]},
        "Les personnes qui ne sont pas de celles qui portent l’étiquette «_a_» ou «_b_».",
        "People who are not among those who have the tag “a” or “b”.",
    ),
    (
        {"match": "all", "rules": [rule("mail.opened", "never", within_days=1), rule("created", "in_last", 1)]},
        "Les personnes qui n’ont aucune ouverture connue au cours du dernier jour, parmi celles qui ont accepté la"
        " mesure et dont «_Date d’arrivée_» tombe au cours du dernier jour.",
        "People who have no known open in the last day, among people who agreed to be measured and whose “Date of"
        " arrival” is in the last day.",
    ),
    (
        {"match": "all", "rules": [rule("prop.home", "near", {"lat": 47.2, "lon": -1.5, "km": 15, "label": "Nantes"})]},
        "Les personnes dont «_Domicile_» est à 15 km au plus de «_Nantes_».",
        "People whose “Home” is within 15 km of “Nantes”.",
    ),
]


@pytest.mark.parametrize(("tree", "french", "english"), CASES)
def test_a_segment_is_one_plain_sentence_in_both_languages(
    shop: Workspace, tree: Any, french: str, english: str
) -> None:
    assert describe(tree, shop, "fr") == french.replace("_", NARROW)
    assert describe(tree, shop, "en") == english
