"""Mtl: one message in the template language of programs, against the template engine's own time for the same text.

A receipt (see `_source`) is rendered again and again by turns, with values made from the seed; both texts must be the
same. Time is the processor's, and of several rounds the best of each counts: what else runs on the machine only makes
a round slower.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

GOAL = 2.0
_ROW = "<tr><td>{{line.title}}</td><td>{{line.quantity}}</td><td>{{line.price}}</td></tr>"


def _source(theirs: bool) -> str:
    """The receipt in either language: fifteen tags, and three in each of its lines."""
    own = '{{ firstname|default("cher client") }}' if theirs else '{{data:firstname:"cher client"}}'
    v = "" if theirs else "var:"
    days = "{{ days|default(3) }}" if theirs else "{{var:days:3}}"
    town = "{{ address.town|upper }}" if theirs else "{{Upper(var:address.town)}}"
    express = "express" if theirs else "var:express:false"
    return (
        f"<h1>Merci {own}</h1><p>Commande {{{{{v}number}}}} du {{{{{v}day}}}}</p>"
        f"{{% if {express} %}}<p>Express</p>{{% else %}}<p>Standard, {days} jours</p>{{% endif %}}"
        f"<table>{{% for line in {v}lines %}}{_ROW}{{% endfor %}}</table><p>Total {{{{{v}total}}}} EUR</p>"
        f"{{% if {v}total > 50 %}}<p>Port offert</p>{{% endif %}}"
        f"<p>{{{{{v}address.street}}}} {{{{{v}address.postcode}}}} {town}</p>{{% set n = 2 %}}<p>{{{{n}}}}</p>"
    )


def _values(chance: random.Random) -> dict[str, Any]:
    lines = [
        {
            "title": f"Livre {chance.randrange(900)}",
            "quantity": chance.randrange(1, 9),
            "price": chance.randrange(9, 90) + 0.5,
        }
        for _ in range(5)
    ]
    return {
        "number": f"F-{chance.randrange(10_000)}",
        "day": "26 novembre",
        "express": chance.random() < 0.5,
        "lines": lines,
        "total": chance.randrange(20, 90) + 0.5,
        "address": {"street": "3 rue des Livres", "postcode": "44000", "town": "Nantes"},
    }


def run(json: bool = False, rounds: int = 15, messages: int = 400, seed: int = 7, **_: Any) -> dict[str, Any]:
    """One line of the table."""
    from minijinja import Environment

    from envol.content.mtl.grammar import parse
    from envol.content.mtl.run import Values, render

    chance = random.Random(seed)  # noqa: S311 -- the same values for everybody who repeats it
    made = [_values(chance) for _ in range(50)]
    tree, engine = parse(_source(False)), Environment(templates={"a": _source(True)}, fuel=100_000)
    ours = [Values(one, {"firstname": "Zoé"}) for one in made]
    theirs = [{**one, "firstname": "Zoé"} for one in made]
    for mine, other in zip(ours, theirs, strict=True):
        if render(tree, mine, is_html=True) != engine.render_template("a", **other):
            raise AssertionError("the two texts differ")

    def seconds(work: Callable[[int], Any]) -> float:
        begun = time.process_time()
        for n in range(messages):
            work(n % len(made))
        return (time.process_time() - begun) / messages

    a, b = [], []
    for _round in range(rounds):
        a.append(seconds(lambda n: render(tree, ours[n], is_html=True)))
        b.append(seconds(lambda n: engine.render_template("a", **theirs[n])))
    ratio = min(a) / min(b)
    return {
        "bench": "mtl",
        "ours": round(min(a) * 1e6, 1),
        "reference": round(min(b) * 1e6, 1),
        "unit": "µs/message, <=",
        "ratio": round(ratio, 2),
        "goal": GOAL,
        "met": ratio <= GOAL,
        "notes": f"a receipt of 15 tags and 5 lines, {rounds} rounds of {messages}, best of each, seed {seed}",
    }
