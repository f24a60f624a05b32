"""A template taken apart says what the engine makes of the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.content.compose import Url
from envol.content.language import MAX_OUTPUT, Templates, plain
from envol.content.pieces import Pieces
from envol.content.problems import MissingValue, RenderProblem

KNOWN = frozenset({"name", "town", "points", "share", "tastes", "place", "agreed"})
TOKENS = frozenset({"envol_link_1", "envol_open"})
PIECES = [
    "Bonjour <b>",
    "</b>,\n",
    "\r\n",
    "/>'\"&amp; é",
    "{{ name }}",
    "{{town}}",
    "{{ points }}",
    "{{ share }}",
    "{{ tastes }}",
    "{{ place }}",
    "{{ agreed }}",
    "{{ envol_link_1 }}",
    "{{ envol_open }}",
    "{# a {{ name }} of no meaning #}",
    "{{ name|upper }}",
    "{{ name|default('…') }}",
    "{{ missing|default('}}') }}",
    "{% if points %}{{ points }} points{% else %}none{% endif %}",
    "{% if agreed %}{% for taste in tastes %}{{ taste }} {{ name }}, {% endfor %}{% endif %}",
    "{% for name in tastes %}{{ name }}{% endfor %}",
    "{% set town = name %}",
    "{% set own = town %}{{ own }}",
    "{%- if name -%} {{ name }} {%- endif %}",
    "  {{- town -}}  ",
]
VALUES: dict[str, Any] = {
    "points": plain(1234),
    "share": plain(0.5),
    "tastes": plain(["jazz", "<rock>"]),
    "place": plain({"label": "Lyon & co", "country": "FR"}),
    "agreed": True,
}
CODES = {"envol_link_1": b"a-b_1", "envol_open": b"x" * 43}


def whole(name: str, source: str, context: dict[str, Any]) -> str:
    tokens = {key: value.decode() for key, value in CODES.items()}
    return Templates({name: source}).render(name, {**context, **tokens})


@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.sampled_from(["a.html", "a.txt"]),
    st.text(max_size=9),
    st.one_of(st.text("<>&\"'/ab {}%", max_size=9), st.just(Url("https://a.example/?a=1&b=2"))),
)
def test_pieces_say_what_the_engine_says_of_the_whole(source: str, name: str, first: str, town: str) -> None:
    context = {**VALUES, "name": first, "town": town}
    pieces = Pieces(Templates({}), name, source, KNOWN, TOKENS)
    assert pieces.text(pieces.values(context, CODES)) == whole(name, source, context)


def test_a_missing_value_is_reported_with_the_line_it_has_in_the_whole() -> None:
    for tag in ("{{ name }}", "{{ name|upper }}", "{% if points %}{{ name }}{% endif %}"):
        pieces = Pieces(Templates({}), "a.html", f"<p>\n<b>{{{{ town }}}}</b>\n{tag}</p>", KNOWN, TOKENS)
        with pytest.raises(MissingValue, match="a, line 3"):
            pieces.values({"town": "Lyon", "points": 1}, CODES)


def test_a_part_is_limited_however_it_is_made() -> None:
    pieces = Pieces(Templates({}), "a.txt", "x" * (MAX_OUTPUT - 3) + "{{ name }}", KNOWN, TOKENS)
    assert pieces.values({"name": "abc"}, CODES) == ["abc"]
    with pytest.raises(RenderProblem, match="2 MiB"):
        pieces.values({"name": "abcé"}, CODES)


def test_values_are_never_read_as_template() -> None:
    pieces = Pieces(Templates({}), "a.txt", "{{ name }}{% if name %}{{ name }}{% endif %}", KNOWN, TOKENS)
    assert pieces.values({"name": "{{ town }}\0"}, CODES) == ["{{ town }}\0"] * 2


def test_only_printed_values_need_no_engine() -> None:
    for source, needs in (("{{ name }}{{ envol_open }}", False), ("{{ name|upper }}", True), ("{{ strange }}", True)):
        assert Pieces(Templates({}), "a.txt", source, KNOWN, TOKENS).needs_engine is needs
