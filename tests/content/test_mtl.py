# ruff: noqa: E501 -- a template is read better on one line
"""Mailjet's template language: what each form gives, what is an error and in which words; and that none is ours."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envol.content.mtl import legacy
from envol.content.mtl.grammar import MtlError, parse
from envol.content.mtl.run import Values, render
from tests.examples import CHEAP, examples

VAR: dict[str, Any] = {
    "name": "Zoé", "n": 7, "half": 2.5, "yes": True, "no": False, "yo-yo": "jouet", "html": "<b>gras</b>", "nothing": None,
    "order": {"id": "A-1", "lines": [{"t": "Un", "p": 12}, {"t": "Deux", "p": 8.5}]}, "rows": [["a", "b"], ["c"]], "empty": [],
    "map": {"x": "1", "y": "2"}, "num": "41", "a": {"b": "sous"}, "a.b": "point",
}  # fmt: skip
VALUES = Values(
    VAR,
    {"firstname": "L<uc", "city": "Brest"},
    {"contact.email": "luc@lecteurs.example"},
    lambda did, days: did == "opened" and days >= 30,
)


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("Bonjour {{var:name}} !", "Bonjour Zoé !"), ("{{ var:name }}{{var:n}}{{var:half}}", "Zoé72.5"), ("{{var:yes}}{{var:no}}", "truefalse"),
        ('{{var:missing:"vous"}}', "vous"), ("{{var:missing:vous tous}}", "vous tous"), ("{{var:missing:''}}|", "|"), ('{{ var:missing:"" }}', ""),
        ("{{var:nothing:0}}", "0"), ("{{var:missing:L'ami}}", "L'ami"), ('{{var:missing:"a}}b"}}', "a}}b"), ("{{var:yo-yo}}", "jouet"),
        ("{{var:order.id}}/{{var:order.lines.1.t}}", "A-1/Deux"), ("{{data:firstname}} {{DATA:FirstName:x}}", "L<uc L<uc"), ('{{data:age:"?"}}', "?"),
        ("{{mj:contact.email}}", "luc@lecteurs.example"), ("{{var:html}}", "<b>gras</b>"),
        ("{% if var:yes %}oui{% else %}non{% endif %}", "oui"), ("{%if var:no%}oui{%else%}non{%endif%}", "non"),
        ("{% if var:missing:true %}a{% endif %}{% if var:missing:false %}b{% endif %}", "a"),
        ("{% if var:n = 1 %}1{% elseif var:n == 7 %}7{% else %}x{% endif %}", "7"),
        ("{% if (var:n mod 3) = 1 and not (var:no) %}ok{% endif %}", "ok"), ("{% if var:num > 9 %}nombre{% endif %}", "nombre"),
        ('{% if var:name <> "Luc" xor false %}a{% endif %}', "a"), ('{% if "b" > "a" and 2 >= 2 and 1 <= 2 and 1 != 2 and 1 === 1 %}a{% endif %}', "a"),
        ("{{ 7 div 2 }} {{ 7 / 2 }} {{ 7 mod 2 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }} {{ -3 + 1 }} {{ 6 / 3 }}", "3 3.5 1 14 20 -2 2"),
        ('{{ "a" + "b" + 1 }}', "ab1"), ('{{Upper(var:name)}} {{lower("ÀB")}} {{Capitalize("ab c")}}', "ZOÉ àb Ab c"),
        ("{{Round(2.345, 2)}} {{round(2.5)}} {{Int(3.9)}} {{Round(-2.5)}}", "2.35 3 3 -3"), ('{{UrlEncode("a b&é")}}', "a%20b%26%C3%A9"), ('{{Escape("<i>")}}', "&lt;i&gt;"),
        ('{{FormatNumberLocale(1234.5, "0.00", "fr_FR")}} {{FormatNumberLocale(1234.5, "0.0", "en_US")}}', "1\u202f234,50 1,234.5"),
        ("{% for l in var:order.lines %}{{l.t}}={{l.p}};{% endfor %}", "Un=12;Deux=8.5;"), ("{% for v in var:map %}{{v}}{% endfor %}", "12"),
        ("{% for r in var:rows %}{% for c in r %}{{c}}{% endfor %},{% endfor %}", "ab,c,"), ("{% for x in var:empty %}a{% endfor %}", ""),
        ('{% set total = 0 %}{% for l in var:order.lines %}{% set total = total + l.p %}{% endfor %}{{ total }}', "20.5"),
        ('{% set x = "avant" %}{% for x in var:map %}{{x}},{% endfor %}{{x}}', "1,2,avant"), ("{% for x in var:rows %}-{% endfor %}{{x:rien}}", "--rien"),
        ("{% for l in var:order.lines %}{{l}}|{{l.p + 1}}|{{l.none:0}} {% endfor %}", "Un, 12|13|0 Deux, 8.5|9.5|0 "), ("{{var:map.x}}{{var:rows.1}}{{var:a.b}}", "1cpoint"),
        ('{% set v = "x" %}{{v}}', "x"), ("{% if HasOpenedSince(30) %}a{% endif %}{% if hasclickedsince(30) %}b{% endif %}", "a"),
        ("a { b } % {c} [[var:name]]", "a { b } % {c} [[var:name]]"), ('{{var:missing:Upper("x")}}', 'Upper("x")'), ('{{Upper(var:missing:"x")}}', "X"), ("{{Upper(var:missing:x)}}", "X"),
    ],
)  # fmt: skip
def test_what_a_template_gives(source: str, made: str) -> None:
    assert render(source, VALUES) == made


@pytest.mark.parametrize(
    ("source", "said", "line"),
    [
        ("a\n{{var:day}}", "expression parsing error ## Unknown identifier: var:day ## near ## {{var:day ##", 2),
        ("{{day}}", "expression parsing error ## Unknown identifier: day ## near ## {{day ##", 1),
        ("{{var:nothing}}", "expression parsing error ## Unknown identifier: var:nothing ## near ## {{var:nothing ##", 1),
        ("\n\n{{var:url:}}", "expression parsing error ## Access violation ## near ## {{var:url: ##", 3),
        ("<html>{{var:day</html>", "not valid template ## near ## ar:day</html> ##", 1),
        ("{% for x in var:name %}{% endfor %}", '"var:name" is not an array value', 1),
        ("{% if var:test %}x{% endif %}", "expression parsing error ## Unknown identifier: var:test ## near ## {%var:test ##", 1),
        ("{% if var:yes %}x", "not valid template ## endif is missing ## near ## f var:yes %}x ##", 1),
        ("{% endif %}", "not valid template ## near ## {% endif ##", 1), ("{% for x in var:rows %}{% endif %}", "not valid template ## near ## {% endif ##", 1),
        ("{% if true %}{% else %}{% else %}{% endif %}", "not valid template ## near ## {% else ##", 1),
        ("{{Nope(1)}}", "expression parsing error ## Unknown function: nope", 1), ("{{1 +}}", "expression parsing error ## a value is expected ## near ## {{1 + ##", 1),
        ("{{(1}}", "expression parsing error ## a parenthesis is not closed ## near ## {{(1 ##", 1), ("{{1 / 0}}", "expression parsing error ## Division by zero", 1),
        ("{% for x y %}{% endfor %}", "expression parsing error ## for NAME in LIST is expected ## near ## {% for x y ##", 1),
        ("{% set x %}", "expression parsing error ## set NAME = VALUE is expected ## near ## {% set x ##", 1),
        ("{% macro x %}", "not valid template ## near ## {% macro x ##", 1), ("{{ var:name.upper() }}", "expression parsing error ## unexpected text ## near ## {{var:name.upper ##", 1),
    ],
)  # fmt: skip
def test_what_is_an_error_in_the_words_that_programs_know(source: str, said: str, line: int) -> None:
    with pytest.raises(MtlError) as error:
        render(source, VALUES)
    assert (str(error.value), error.value.line) == (said, line)


def test_what_belongs_to_the_recipient_is_escaped_in_html_and_the_callers_is_not() -> None:
    source = "{{var:html}} {{data:firstname}} {% set x = data:firstname %}{{x}} {{Upper(data:firstname)}} {{Escape(data:firstname)}}"
    assert render(source, VALUES, is_html=True) == "<b>gras</b> L&lt;uc L&lt;uc L&lt;UC L&lt;uc"
    assert parse(source).personal and not parse("{{var:html}}{{mj:sender.name:''}}").personal


def test_segments_are_known_by_name_or_number_and_an_unknown_one_is_an_error() -> None:
    values = Values(within=lambda name: {"fideles": True, "17": False}.get(name))
    source = "{% if segment:fideles %}a{% endif %}{% if segment:17 %}b{% else %}c{% endif %}{% if not segment:17 and segment:x:true %}d{% endif %}"
    assert render(source, values) == "acd" and parse(source).personal
    for one in (values, VALUES):
        with pytest.raises(MtlError, match="Unknown identifier: segment:autres"):
            render("{% if segment:autres %}a{% endif %}", one)


def test_limits() -> None:
    rows = [0] * 400
    with pytest.raises(MtlError, match="too long"):
        render("{% for a in var:r %}{% for b in var:r %}{% endfor %}{% endfor %}", Values({"r": rows}))
    with pytest.raises(MtlError, match="larger than 2 MiB"):
        render("{% for a in var:r %}" + "x" * 6000 + "{{a}}{% endfor %}", Values({"r": rows}))
    with pytest.raises(MtlError, match="larger than 2 MiB"):
        render('{% set x = "ab" %}' + "{% set x = x + x %}" * 40, Values())
    with pytest.raises(MtlError, match="too many blocks"):
        parse("{% if true %}" * 200)
    for source in (
        "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
        "{{" + "not " * 5000 + "1}}",
        "{{" + "- " * 5000 + "1}}",
        "x" * ((1 << 20) + 1),
    ):
        with pytest.raises(MtlError):
            parse(source)
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(MtlError, match="nested too deeply"):
        render("{{var:d}}", Values({"d": deep}))
    assert (
        len(render("{{ 9 * 9 }}" + "{% set n = 99999999999 %}" + "{% set n = n * n %}" * 30 + "{{n}}", Values())) < 400
    )


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("[[var:name]], [[data:firstname]] [[DATA:City:\"?\"]]", "Zoé, L<uc Brest"), ("[[var:x:\"vous\"]] [[var:x:toi]] [[var:x]]|", "vous toi |"),
        ("[[EMAIL_TO]] [[UNSUB_LINK_FR]] [[permalink]]", "luc@lecteurs.example https://e.example/u "), ("[[autre]] {{var:name}}", "[[autre]] {{var:name}}"),
    ],
)  # fmt: skip
def test_the_older_tags(source: str, made: str) -> None:
    words = {"EMAIL_TO": "luc@lecteurs.example", "UNSUB_LINK": "https://e.example/u"}
    assert legacy.replace(source, VALUES, words) == made
    assert legacy.replace("[[data:firstname]][[var:html]]", VALUES, words, is_html=True) == "L&lt;uc<b>gras</b>"
    assert legacy.personal("[[data:x]]") and legacy.personal("[[EMAIL_TO]]") and not legacy.personal("[[var:x]]")


def test_no_source_takes_longer_than_it_is_long() -> None:
    """Each of these takes minutes where a search begins anew at every place."""
    size = 300_000
    for source in (
        '{{a"}}' * 9000,
        "{{" * (size // 2),
        '{{var:x:"' * (size // 9),
        "[[var:a:" * (size // 8),
        '[[var:a:"' * (size // 9),
        "[[" * (size // 2),
    ):
        with suppress(MtlError):
            render(source, VALUES)
        legacy.replace(source, VALUES, {})
        assert legacy.personal(source) is False


_PIECES = st.lists(st.sampled_from(["{{", "}}", "{%", "%}", "if ", "for x in ", "endif", "endfor", "else", "set a = ", "var:n", "var:rows", ":", '"', "'", "(", ")", "not ", "and ", "1", "- ", "Upper(", "x", "\n", "é", "["]), max_size=25)  # fmt: skip


@settings(max_examples=examples(300, CHEAP), deadline=None)
@given(_PIECES)
def test_whatever_is_written_is_text_or_an_error_of_its_author(pieces: list[str]) -> None:
    source = "".join(pieces)
    try:
        render(source, VALUES, is_html=True)
    except MtlError as error:
        assert 1 <= error.line <= source.count("\n") + 1
