"""A link of ours says nothing to others, cannot be forged, and never brings a page down."""

from __future__ import annotations

import string
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.content import links
from envol.content.links import Kind, Target, read, token

sendings = st.integers(1, 2**40 - 1)
people = st.none() | st.integers(1, 2**56 - 1)
numbers = st.integers(0, 2**16 - 1)


@given(st.sampled_from(list(Kind)), sendings, people, numbers)
def test_a_token_means_what_it_was_made_of(kind: Kind, sending: int, no: int | None, link: int) -> None:
    made = token(kind, sending, no, link)
    assert read(made) == Target(kind, sending, no, link)
    assert made == token(kind, sending, no, link), "a retry must repeat the message byte for byte"
    assert len(made) == 43 and set(made) <= set(string.ascii_letters + string.digits + "-_")


@given(sendings, people, numbers, st.integers(0, 42), st.sampled_from(string.ascii_letters + string.digits + "-_"))
def test_one_changed_character_is_no_token(sending: int, no: int | None, link: int, at: int, by: str) -> None:
    made = links.click_token(sending, no, link)
    changed = made[:at] + by + made[at + 1 :]
    assert changed == made or read(changed) is None


@given(st.text(max_size=60) | st.binary(max_size=60) | st.none() | st.integers())
def test_reading_never_raises(junk: object) -> None:
    assert read(junk) is None
    assert links.read_return_path(junk) is None
    assert links.read_message_id(junk) is None


@given(st.text(alphabet=string.ascii_letters + string.digits + "-_+/=", min_size=43, max_size=43))
def test_no_guess_is_a_token(guess: str) -> None:
    assert read(guess) is None
    assert links.read_return_path("b+" + guess + "a" * 15) is None


def test_neighbours_share_nothing() -> None:
    """Tokens of neighbours look unrelated: nothing can be counted up, nothing is stored in the clear."""
    made = [links.click_token(7, no, link) for no in range(1, 40) for link in range(1, 5)]
    assert len(set(made)) == len(made)
    for position in range(43):
        assert len({one[position] for one in made}) > 10 or position == 42  # the last carries 4 bits


def test_a_token_serves_one_door_only() -> None:
    unsubscribe = links.unsubscribe_token(3, 9)
    assert read(unsubscribe, Kind.UNSUBSCRIBE, Kind.PREFERENCES) == Target(Kind.UNSUBSCRIBE, 3, 9)
    assert read(unsubscribe, Kind.CLICK) is None
    assert read(links.click_token(3, 9, 1), Kind.UNSUBSCRIBE) is None


def test_another_installation_cannot_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = links.open_token(5, 6)
    keyed = blake2b(key=b"a" * 32, digest_size=16).copy, blake2b(key=b"b" * 32, digest_size=16).copy
    monkeypatch.setattr(links, "_keyed", lambda: keyed)
    assert read(made) is None


def test_aggregate_tokens_name_nobody() -> None:
    assert links.open_token(5) == links.open_token(5, None)
    target = read(links.click_token(5, None, 2))
    assert target is not None and target.no is None


def test_urls_hold_a_token_and_nothing_else() -> None:
    url = links.url("https://mail.shop.example/", Kind.CLICK, 12, 34, 5)
    assert url == "https://mail.shop.example/c/" + links.click_token(12, 34, 5)


def test_return_path_survives_a_change_of_case() -> None:
    path = links.return_path(12, 3456, "news.shop.example")
    local = path.partition("@")[0]
    assert len(local) <= 64 and local == local.lower()
    assert links.read_return_path(path.upper()) == Target(Kind.RETURN_PATH, 12, 3456)
    assert links.read_return_path(local[:-1] + ("a" if local[-1] != "a" else "q")) is None
    assert links.read_return_path("b+" + links.click_token(1, 2, 3)) is None


def test_message_id_comes_home() -> None:
    identifier = links.message_id(12, 3456, "shop.example")
    assert links.read_message_id(f"<{identifier}>") == Target(Kind.MESSAGE, 12, 3456)
    assert links.message_id(12, 3456, "shop.example") == identifier
    assert links.read_message_id(f"<{links.click_token(1, 2, 3)}@shop.example>") is None


@pytest.mark.parametrize(
    ("sending", "no", "link"), [(0, 1, 1), (-1, 1, 1), (2**40, 1, 1), (1, 2**56, 1), (1, 1, 2**16)]
)
def test_numbers_that_do_not_fit_are_refused(sending: int, no: int, link: int) -> None:
    with pytest.raises(ValueError, match="fit 40, 56 and 16 bits"):
        links.click_token(sending, no, link)


def test_only_an_address_of_our_forms_says_who_comes() -> None:
    mark = links.preferences_token(7, 9)
    base = "https://lettres.example/"
    form = "https://lettres.example/s/abc"
    assert links.to_form(form, base, 7, 9) == f"{form}?p={mark}"
    assert links.to_form(f"{form}?l=fr#f", base, 7, 9) == f"{form}?l=fr&p={mark}#f"
    for other in ("https://lettres.example.org/s/abc", "https://lettres.example/c/abc", "https://shop.example/s/"):
        assert links.to_form(other, base, 7, 9) == other
    assert links.to_form(form, base, 7, None) == form, "measured in sum: nobody is named"
