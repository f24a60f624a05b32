"""Expected purchases: the model's published figures, and what is written of a workspace's buyers.

`cdnow_sample.csv.gz` holds repeat purchases, weeks to the last and weeks known of the 2,357 CDNOW customers of the
published sample, as the MIT-licensed Python package `lifetimes` ships them.
"""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from envol import db
from envol.accounts.models import Workspace
from envol.audience import engine, expected, scores
from envol.audience.expected import Model
from envol.audience.models import Expectation
from envol.contacts import people
from envol.contacts.models import Contact
from tests.audience.segment_people import add_order, add_person

PUBLISHED = Model(0.2426, 4.4135, 0.7929, 2.4258)


def test_the_fit_finds_the_published_parameters() -> None:
    lines = gzip.decompress((Path(__file__).parent / "cdnow_sample.csv.gz").read_bytes()).decode().splitlines()
    facts: Counter[expected.Facts] = Counter()
    for line in lines:
        x, last, age = line.split(",")
        facts[int(x), float(last), float(age)] += 1
    assert sum(facts.values()) == 2357
    found = expected.fit(facts)
    assert (found.r, found.alpha, found.a, found.b) == pytest.approx((0.2426, 4.4135, 0.7929, 2.4258), abs=2e-3)
    assert expected.log_likelihood(found, facts) == pytest.approx(-9582.43, abs=0.01)


@pytest.mark.parametrize(
    ("facts", "ahead", "alive"),
    [
        ((2, 30.43, 38.86), 1.2259, 0.7266),
        ((0, 0.0, 38.86), 0.1948, 1.0),
        ((7, 29.43, 38.86), 3.3372, 0.6418),
        ((1, 1.71, 38.86), 0.2033, 0.2122),
    ],
)
def test_the_published_expectations(facts: expected.Facts, ahead: float, alive: float) -> None:
    assert PUBLISHED.expected(*facts, 39) == pytest.approx(ahead, abs=1e-3)
    assert PUBLISHED.alive(*facts) == pytest.approx(alive, abs=1e-3)


def test_little_history_expects_nothing_and_enough_of_it_is_a_rule(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC).replace(hour=12)
    ids = [add_person(workspace, f"b{n}@lecteurs.example") for n in range(60)]
    for n, one in enumerate(ids):
        for k in range(1 + n % 5):
            at = now - timedelta(days=400 - (k * (30 + n)) % 390)
            add_order(workspace, one, at, [("CD", "jazz", 900)])
    scores.compute(workspace)
    assert expected.compute(workspace) is None, "sixty buyers say too little"
    monkeypatch.setattr(expected, "LEAST_BUYERS", 50)
    made = expected.compute(workspace)
    assert made is not None and made.buyers == 60 and len(made.parameters) == 4
    told = dict(db.rows("SELECT contact_id, purchases FROM audience_expected WHERE workspace_id = %s", [workspace.pk]))
    assert set(told) == set(ids) and round(sum(told.values())) == made.expected
    middle = float(sorted(told.values())[30])
    rule = {"field": "orders.expected", "op": "gte", "value": middle}
    tree = {"v": 1, "match": "all", "rules": [rule]}
    assert engine.count(workspace, tree) == sum(1 for ahead in told.values() if float(ahead) >= middle)
    # Who objected is in no rule at once, and whoever is erased is in no table.
    best = max(told, key=lambda one: told[one])
    before = engine.count(workspace, tree)
    db.execute("UPDATE contacts_contact SET objected = true WHERE id = %s", [best])
    assert engine.count(workspace, tree) == before - 1 and expected.of_person(workspace, best) is None
    person = Contact.objects.get(pk=ids[1])
    assert "purchases_expected_in_90_days" in str(people.export(person))
    people.erase(person, cause="she asked")
    assert db.rows("SELECT 1 FROM audience_expected WHERE contact_id = %s", [ids[1]]) == []
    monkeypatch.setattr(expected, "LEAST_BUYERS", 1000)
    assert expected.compute(workspace) is None
    assert not Expectation.objects.filter(workspace=workspace).exists()
    assert db.rows("SELECT 1 FROM audience_expected WHERE workspace_id = %s", [workspace.pk]) == []
