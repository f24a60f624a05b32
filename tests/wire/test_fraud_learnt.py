"""What is learnt from letters: how right it is of letters that nothing was made from, and what it may not do."""

from __future__ import annotations

import pytest

from envol.wire.fraud import ALLOW, HOLD, REFUSE, Reason, judge, learnt
from envol.wire.fraud.judge import Letter, traits_of
from tests.wire import fraud_learning as learning
from tests.wire.test_fraud_letters import MOST_FRAUD_THROUGH, MOST_HONEST_STOPPED


def test_letters_that_nothing_was_made_from() -> None:
    found = [(one, judge(one.letter)) for one in learning.unseen()]
    assert min(sum(one.fraud is fraud for one, _ in found) for fraud in (True, False)) >= 300
    stopped = [one.letter.subject for one, v in found if not one.fraud and v.action != ALLOW]
    assert len(stopped) <= MOST_HONEST_STOPPED * sum(not one.fraud for one, _ in found), stopped
    through = [one.letter.subject for one, v in found if one.fraud and v.action == ALLOW]
    assert len(through) <= MOST_FRAUD_THROUGH * sum(one.fraud for one, _ in found), through


def test_the_unseen_letters_are_none_of_those_that_taught() -> None:
    taught = {one.letter.text for one in [*learning.written(), *learning.older()]}
    assert not [one.letter.subject for one in learning.unseen() if one.letter.text in taught]


def test_the_weights_that_are_shipped_are_what_the_letters_teach() -> None:
    """Not octet for octet: sums of floating point end differently on another processor."""
    anew, shipped = learning.learn([*learning.written(), *learning.older()]), learnt.book()
    off = [abs(anew.odds(one.seen) - shipped.odds(one.seen)) for one in learning.unseen()]
    assert max(off) < 0.25, "make them anew: python -m tests.wire.fraud_learning --write"


def taught(**others: float) -> learnt.Book:
    """A book that knows one word."""
    return learnt.Book.of(others, 0.0)


def letter(text: str = "Bonjour, voyez la pergola.", **more: object) -> Letter:
    return Letter("La Boutique", "zoe@boutique.example", "Nouvelles", text, **more)  # type: ignore[arg-type]


def test_what_is_learnt_holds_a_letter_and_says_by_which_words() -> None:
    verdict = judge(letter(), taught=taught(pergol=9.0))
    assert verdict.action == HOLD
    assert [(r.rule, r.what) for r in verdict.reasons] == [("learnt_fraud", "pergola")]
    assert judge(letter(), taught=taught(pergol=0.1)).reasons == ()


def test_what_is_learnt_refuses_nothing() -> None:
    other = letter("Bonjour, voyez la pergola. https://bit.ly/3xYz", files=[("a.docm", b"PK\x05\x06" + bytes(18))])
    assert judge(other).action != REFUSE
    assert judge(other, taught=taught(pergol=99.0)).action == HOLD


def test_a_pair_is_weighed_by_both_its_words_in_their_order() -> None:
    book = taught(**{"la pergol": 9.0})
    assert judge(letter("Voici la pergola"), taught=book).action == HOLD
    assert judge(letter("Voici pergola la"), taught=book).action == ALLOW


def test_honest_words_speak_against_words_and_shape_only() -> None:
    short = letter("Bonjour, voyez la pergola. https://bit.ly/3xYz")
    assert [r.points for r in judge(short, taught=taught(pergol=-9.0)).reasons if r.rule == "learnt_honest"] == [-3]
    locked = letter(files=[("piece.rar", b"Rar!\x1a\x07")])
    assert "learnt_honest" not in {r.rule for r in judge(locked, taught=taught(pergol=-9.0)).reasons}
    assert judge(letter(), taught=taught(pergol=-9.0)).reasons == (), "where nothing speaks against a letter"


def test_a_letter_that_begins_honestly_is_read_to_its_end_before_anything_speaks_for_it() -> None:
    book = learnt.Book.of({"pergol": -9.0, "virus": 9.0}, 0.0)
    honest = "Bonjour, voyez la pergola. " * 100
    assert "learnt_honest" in {r.rule for r in judge(letter(f"{honest} https://bit.ly/3xYz"), taught=book).reasons}
    mixed = judge(letter(f"{honest} virus " + "x " * 20 + "https://bit.ly/3xYz"), taught=book)
    assert [r.rule for r in mixed.reasons] == ["short_link"]


@pytest.mark.parametrize(
    ("odds", "points"), [(0.0, 0.0), (2.5, 5.0), (9.0, 8.0), (-0.9, 0.0), (-1.5, -1.0), (-2.5, -3.0), (-9.0, -3.0)]
)
def test_odds_are_points(odds: float, points: float) -> None:
    assert learnt.points(odds) == pytest.approx(points)


def test_what_counts_of_a_letter() -> None:
    seen = traits_of(
        Letter(
            "Service Client",
            "info@autre-maison.example",
            "Compte 2026",
            "Réglez 12 €",
            '<p><a href="https://sous.loin.test/wp-content/compte.php?x=1">Régler</a></p>',
            "luc@gmail.com",
        )
    )
    assert {"compte", "#", "reglez", "euros", "regler"} == set(seen.words) and ("compte", "#") in seen.pairs
    assert {"s:compte", "n:servic", "d:maison", "h:loin", "p:compte", "p:php", "t:away", "t:money"} <= seen.others
    assert {"t:strange_office", "t:answers_free", "t:one_link", "t:away_only"} <= seen.others
    ours = traits_of(
        Letter("A", "a@b.example", "S", "https://mail.nous.example/x", ours=frozenset({"mail.nous.example"}))
    )
    assert "t:no_link" in ours.others, "links of the platform say nothing"


def test_nothing_speaks_for_a_letter_of_which_somebody_else_says_something_too() -> None:
    verdict = judge(letter("Bonjour, voyez la pergola. https://bit.ly/3xYz"), taught=taught(pergol=-9.0))
    more = verdict.and_also([Reason("rspamd", 5.0, "spam")])
    assert {r.rule for r in more.reasons} == {"rspamd", "short_link"} and more.action == HOLD
