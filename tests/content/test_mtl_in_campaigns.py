# ruff: noqa: E501 -- a template is read better on one line
"""What a campaign makes of a template of programs: the same text, or a refusal where it could not; and who is shown what."""

from __future__ import annotations

from typing import Any

import pytest

from envol.content.compose import Composer
from envol.content.language import check
from envol.content.mtl.grammar import MtlError, parse
from envol.content.mtl.ours import translate
from envol.content.mtl.run import Values, render
from tests.content.test_compose import NEWS, PERSONAL, PURPOSES, a_composer, a_person, a_version

KINDS = {"genres": "list", "city": "text", "points": "number", "first_name": "text", "age": "number", "none": "list"}
OWN: dict[str, Any] = {"genres": ["jazz", "<rock>"], "city": "Brest", "points": 2.25, "first_name": "Zoé"}


def composer(source: str, **more: Any) -> Composer:
    version = a_version(f'<html><body><p id="m">{translate(source, str.lower, KINDS)}</p></body></html>')
    return a_composer(version, purposes=PURPOSES | {"genres": PERSONAL, "points": NEWS}, **more)


def shown(made: Composer, allowed: int = NEWS | PERSONAL) -> str:
    html = made.parts(a_person(allowed=allowed, props=OWN)).html or ""
    return html.partition('<p id="m">')[2].partition("</p>")[0]


@pytest.mark.parametrize(
    "source",
    [
        "a {{data:city}} {{data:city:x}} {{data:age:'?'}} {{Upper(data:city)}} {{lower(data:city)}} {{Capitalize(data:city)}}",
        "{% for g in data:genres %}{{g}}, {{Upper(g)}};{% endfor %}",
        "{% for g in data:genres %}{% set h = g %}{% if h = 'jazz' %}{% set note-1 = 'oui' %}{% else %}{% set note-1 = h %}{% endif %}{{note-1}} {% endfor %}",
        "{% for g in data:genres %}{% for h in data:genres %}{{g}}{{h}} {% endfor %}{% endfor %}", "{% for today in data:genres %}{{today}}{% endfor %}",
        "{% set x = data:city %}{{x}}{% set x = 3 %}{{x + 1}}", "{% if data:city = 'Brest' %}{% set v = 1 %}{% elseif data:city = 'Lyon' %}{% set v = 2 %}{% else %}{% set v = 3 %}{% endif %}{{v}}",
        "{% if n:0 = 0 %}{% set n = 5 %}{% else %}{% set n = 6 %}{% endif %}{{n}}", "{{var:x:'<b>vous</b>'}} {{var:y:true}}{% if var:z:false %}non{% endif %} {{seul:4}}",
        "{{Round(data:points, 1)}} {{Round(data:points)}} {{Round(-2.5)}} {{Round(2.5)}} {{Int(3.9)}} {{7 div 2}} {{-7 div 2}} {{7 mod 2}}", '{{"n" + data:points}}',
        "@media{#outlook a{padding:0}} {%if not data:city = 'Lyon' and true%}oui{%endif%} {% if false xor true %}x{% endif %}",
    ],
)  # fmt: skip
def test_it_says_what_a_single_message_would(source: str) -> None:
    assert check(translate(source, str.lower, KINDS), KINDS) == []
    assert shown(composer(source)) == render(parse(source), Values({}, OWN), is_html=True)


def test_what_a_loop_goes_over_is_shown_to_whom_its_purposes_allow() -> None:
    source = '{% set a = data:city:"?" %}{% for g in data:genres:"" %}{{g}} {% endfor %}{{a}}'
    made = composer(source)
    assert shown(made, NEWS | PERSONAL) == "jazz &lt;rock&gt; Brest"
    assert shown(made, NEWS) == "?"


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("[[autre]] [[EMAIL_TO]] {[[EMAIL_TO]]", "[[autre]] {{ contact.email }} {{ '{' }}{{ contact.email }}"), ('[[data:city:"a"]]', '{{ contact.city | default("a") }}'),
        ("[[PERMALINK]] [[UNSUB_LINK_DE]] {{mj:unsub_link_fr}}", "{{ web_version_url }} {{ unsubscribe_url }} {{ unsubscribe_url }}"), ('[[var:x:"toi"]] [[var:x:y]]', "toi y"),
        ("{{mj:contact.email}} {{mj:sender.name}}", "{{ contact.email }} {{ sender.name }}"), ('{{FormatNumberLocale(data:points, "0.00", "fr_FR")}}', "{{ ((contact.points) | number(2)) }}"),
    ],
)  # fmt: skip
def test_what_every_letter_has(source: str, made: str) -> None:
    assert translate(source, str.lower, KINDS) == made


@pytest.mark.parametrize(
    ("source", "said", "line"),
    [
        ("\n{{var:x}}", "does not know var:x: give it a default", 2), ("\n[[var:x]]", r"give \[\[var:x\]\] a default", 2), ("{{nom}}", "Unknown identifier: nom", 1), ("{{mj:template.name}}", "does not know mj:template.name", 1),
        ("\n{% for c in data:city %}{% endfor %}", '"data:city" is not an array value', 2), ("{% for c in var:x %}{% endfor %}", '"var:x" is not an array value', 1), ("{% for c in data:genres:x %}{% endfor %}", "is not an array", 1),
        ("{% set n = 0 %}\n{% for g in data:genres %}{% set n = n + 1 %}{% endfor %}", "ends with its turn: n", 2), ("{% for g in data:genres %}{% set n = 1 %}{% endfor %}{{n:0}}", "ends with its turn: n", 1),
        ("{% for g in data:genres %}{{n:0}}{% set n = 1 %}{% endfor %}", "ends with its turn: n", 1), ("\n{% if true %}{% set n = 1 %}{% endif %}", "sets n before this condition", 2),
        ("{{HasOpenedSince(3)}}", "no function hasopenedsince", 1), ("{{Round(data:points, data:points)}}", "no function round", 1), ("{% if segment:x %}{% endif %}", "does not know segment:x", 1),
    ],
)  # fmt: skip
def test_what_could_not_give_the_same_is_refused_with_its_line(source: str, said: str, line: int) -> None:
    with pytest.raises(MtlError, match=said) as error:
        translate(source, str.lower, KINDS)
    assert error.value.line == line
