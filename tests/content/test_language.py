# ruff: noqa: E501
"""The language of templates is closed, finite, and treats values as data."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.content.language import MAX_SOURCE, Templates, View, check, flatten, needed, plain, variables
from envol.content.problems import MissingValue, RenderProblem


def render(source: str, name: str = "body.html", **context: object) -> str:
    return Templates({name: source}).render(name, context)


ATTACKS = [
    "{{ debug() }}",
    "{{ contact.__class__ }}",
    "{{ contact.__class__.__mro__ }}",
    "{{ contact.__init__.__globals__ }}",
    "{{ contact.__getitem__('name') }}",
    "{{ contact._View__values }}",
    "{{ contact._View__values.clear() }}",
    "{{ contact.clear() }}",
    "{{ contact.pop('name') }}",
    "{{ contact.update({'name': 'x'}) }}",
    "{{ contact|attr('__class__') }}",
    "{{ contact|items }}",
    "{{ contact|tojson }}",
    "{{ contact.tags.clear() }}",
    "{{ contact.tags.__class__ }}",
    "{{ contact.tags._Several__items }}",
    "{{ contact.tags.append(1) }}",
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ 'a'.upper() }}",
    "{{ 'a'.format(contact) }}",
    "{{ '{0.__class__}'.format(contact) }}",
    "{{ self }}",
    "{{ self.__init__ }}",
    "{{ super() }}",
    "{{ config }}",
    "{{ request }}",
    "{{ cycler('a').next() }}",
    "{{ joiner() }}",
    "{{ namespace(a=1).a }}",
    "{{ dict(a=1) }}",
    "{{ range(10) }}",
    "{{ lipsum() }}",
    "{{ contact.name|safe }}",
    "{{ contact.name|e|safe }}",
    "{{ ['x']|map('safe')|first }}",
    "{{ import('os') }}",
    "{{ _ }}",
    "{% include '/etc/passwd' %}",
    "{% include ['a', 'b'] %}",
    "{% import 'x' as y %}",
    "{% from 'x' import y %}",
    "{% extends 'base.html' %}",
    "{% macro m() %}{% endmacro %}",
    "{% call m() %}{% endcall %}",
    "{% block x %}{% endblock %}",
    "{% autoescape false %}{{ contact.name }}{% endautoescape %}",
    "{% filter upper %}x{% endfilter %}",
    "{% do contact.clear() %}",
    "{% set contact = 1 %}",
    "{% for contact in [1] %}{% endfor %}",
    "{% set x %}y{% endset %}",
    "{% with x = 1 %}{% endwith %}",
    "{% raw %}{{ x }}{% endraw %}",
    "{{ envol_link_1 }}",
    "{{ envol_open }}",
]


@pytest.mark.parametrize("source", ATTACKS)
def test_an_attack_is_refused_with_a_line_and_a_sentence(source: str) -> None:
    problems = check("first line\n" + source, {"name": 0})
    assert problems and problems[0].line == 2 and problems[0].message.endswith((".", "?"))


@pytest.mark.parametrize(
    "source", [source for source in ATTACKS if "name|" not in source and "autoescape" not in source]
)
def test_and_would_reveal_and_change_nothing_if_it_were_rendered(source: str) -> None:
    """Second lock: even a source that was never checked finds nothing to hold on to."""
    values = {"name": "Ada", "tags": plain(["a"])}
    try:
        shown = render(source, contact=View(values))
    except RenderProblem:
        shown = ""
    assert values["name"] == "Ada" and list(values["tags"]) == ["a"]
    assert not any(trace in shown for trace in ("object at", "class ", "globals", "View", "Environment", "root:"))


def test_one_render_leaves_nothing_for_the_next() -> None:
    person = View({"name": "Ada", "tags": plain(["a", "b"]), "home": plain({"label": "Lyon"})})
    template = Templates(
        {"t.txt": "{% set x = contact.name %}{{ x }} {{ contact.tags|reverse|join('') }} {{ contact.home }}"}
    )
    assert [template.render("t.txt", {"contact": person}) for _ in range(3)] == ["Ada ba Lyon"] * 3


def test_a_view_cannot_be_changed_from_python_either() -> None:
    view = View({"a": 1})
    with pytest.raises(AttributeError):
        view.a = 2
    with pytest.raises(TypeError):
        view["a"] = 2  # type: ignore[index]
    with pytest.raises(TypeError):
        list(view)


LONG = "x" * 200_000
BOMBS = {
    "nested loops": "{% for a in l %}{% for b in l %}{% for c in l %}{% for d in l %}.{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "printing much": "{% for a in l %}{% for b in l %}{{ s }}{% endfor %}{% endfor %}",
    "multiplied string": "{{ 'a' * 1000000000 }}",
    "multiplied list": "{{ ([1] * 1000000000)|length }}",
    "doubling": "{% set a = s %}" + "{% set a = a ~ a %}" * 60 + "{{ a|length }}",
    "replace": "{{ s|replace('x', s)|replace('x', s)|length }}",
    "join": "{% for a in l %}{{ l|join(s)|length }}{% endfor %}",
    "comparing": "{% for a in l %}{% for b in l %}{% if s == s2 %}{% endif %}{% endfor %}{% endfor %}",
    "searching": "{% for a in l %}{% for b in l %}{% if 'y' in s %}{% endif %}{% endfor %}{% endfor %}",
    "sorting": "{% for a in l %}{% for b in l %}{{ l|sort|reverse|unique|length }}{% endfor %}{% endfor %}",
    "case": "{% for a in l %}{% for b in l %}{{ s|upper|lower|title|capitalize|length }}{% endfor %}{% endfor %}",
    "urlencode": "{% for a in l %}{% for b in l %}{{ s|urlencode|length }}{% endfor %}{% endfor %}",
    "our filters": "{% for a in l %}{% for b in l %}{{ s|truncate(19999)|capitalise|date|number|money }}{% endfor %}{% endfor %}",
    "new dates": "{% for a in l %}{% for b in l %}{{ (a ~ '-' ~ b)|date('full') }}{% endfor %}{% endfor %}",
    "new numbers": "{% for a in l %}{% for b in l %}{{ (a * 1000 + b)|money }}{{ (a * 999 + b)|number(3) }}{% endfor %}{% endfor %}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "recursion": "{% for a in [l] recursive %}{{ loop([l]) }}{% endfor %}",
    "deep expression": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "deep blocks": "{% if 1 %}" * 20_000 + "{% endif %}" * 20_000,
    "two literals of half a source": "{% set p = '" + "p" * 500_000 + "' %}{% set q = '" + "p" * 500_000 + "' %}"
    "{% for a in l %}{% for b in l %}{% if p == q %}{% endif %}{% endfor %}{% endfor %}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_template_works_longer_than_a_second(name: str) -> None:
    context: dict[str, object] = {"l": tuple(range(1000)), "s": LONG, "s2": LONG + "z", "language": "fr"}
    start = time.process_time()
    try:
        assert len(Templates({"bomb.html": BOMBS[name]}).render("bomb.html", context)) <= 2 << 20
    except RenderProblem:
        pass
    assert time.process_time() - start < 1.0


def test_what_is_too_long_is_refused_with_a_sentence() -> None:
    with pytest.raises(RenderProblem, match="works too long"):
        render("{% for a in l %}{% for b in l %}.{% endfor %}{% endfor %}", l=tuple(range(1000)))
    with pytest.raises(RenderProblem, match="2 MiB"):
        render("{{ a }}" * 60, a="é" * 20_000)
    assert "1 MiB" in check("x" * (MAX_SOURCE + 1))[0].message


def test_values_are_data() -> None:
    assert render("{{ a }}", a="{{ 7 * 7 }}{% if %}") == "{{ 7 * 7 }}{% if %}"


class _Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


FILTERED = ["", "|upper", "|lower", "|capitalise", "|trim", "|default('x')", "|truncate(900)", "|date", "|money", "|title",
            "|number", "|replace('q', '<')", "|reverse", "|first|default('')", " ~ '<i>'", "|urlencode"]  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)


@given(
    texts
    | st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='x", "&lt;b&gt;"])
)
def test_no_value_becomes_markup(value: str) -> None:
    for form in FILTERED:
        made = render(f'<p title="{{{{ v{form} }}}}">{{{{ v{form} }}}}</p>', v=value, language="fr")
        parser = _Collector()
        parser.feed(made)
        parser.close()
        assert [(tag, set(attributes)) for tag, attributes in parser.tags] == [("p", {"title"})], form


@given(texts)
def test_a_value_is_read_as_it_is(value: str) -> None:
    parser = _Collector()
    parser.feed(render('<p title="{{ v }}">x</p>', v=value))
    shown = parser.tags[0][1]["title"] or ""
    assert shown == value
    assert render("{{ v }}", "subject.txt", v=value) == value


def test_a_missing_value_is_never_shown_as_nothing() -> None:
    for source in (
        "Hello {{ contact.name }},",
        "{{ contact.name|upper }}",
        "{{ contact.day|date }}",
        "{{ contact.x|money }}",
    ):
        with pytest.raises(MissingValue):
            render(source, contact=View({}))
        with pytest.raises(MissingValue):
            render(flatten(source))
    assert render("{% if contact.name %}x{% endif %}{{ contact.name|default('you') }}", contact=View({})) == "you"


def test_filters_speak_the_readers_language() -> None:
    source = "{{ d|date }} | {{ d|date('short') }} | {{ n|number }} | {{ m|money }} | {{ n|number(2) }}"
    values = {"d": "2026-11-24", "n": 12345.5, "m": 123456}
    french = render(source, "x.txt", language="fr", **values).replace("\u202f", " ").replace("\xa0", " ")
    assert french == "24 novembre 2026 | 24/11/2026 | 12 345,5 | 1 234,56 € | 12 345,50"
    assert (
        render(source, "x.txt", language="en", **values)
        == "November 24, 2026 | 11/24/26 | 12,345.5 | €1,234.56 | 12,345.50"
    )


def test_a_fallback_passes_through_every_filter() -> None:
    assert (
        render("{{ a|date }} {{ a|number }} {{ a|money }}", "x.txt", a="bientôt", language="fr")
        == "bientôt bientôt bientôt"
    )


def test_places_and_lists_print_as_people_write_them() -> None:
    person = View({"home": plain({"label": "Lyon", "lat": 45.7}), "likes": plain(["jazz", "rock"])})
    assert (
        render("{{ contact.home }} {{ contact.home.lat }} {{ contact.likes }}", "x.txt", contact=person)
        == "Lyon 45.7 jazz, rock"
    )


@pytest.mark.parametrize(
    ("source", "line", "words", "suggestion"),
    [
        ("a\n{{ contact.frist_name }}", 2, "no value called contact.frist_name", "contact.first_name"),
        ("{{ unsubscribe_ur }}", 1, "no value called unsubscribe_ur", "unsubscribe_url"),
        ("\n\n{{ contact.first_name|uper }}", 3, "no filter uper", "upper"),
        ("{% esle %}", 1, "not known here", "else"),
        ("{% if contact.first_name %}\nx", 1, "never closed", ""),
        ("{% for x in contact.tags %}\n{% endif %}", 2, "closes nothing", ""),
        ("x\n{{ contact.first_name", 2, "has no }}", ""),
        ("{{ contact }}", 1, "contact alone", ""),
        ("x\n\n{{ contact.first_name contact.tags }}", 3, "cannot be read", ""),
    ],
)
def test_problems_say_where_and_what_was_meant(source: str, line: int, words: str, suggestion: str) -> None:
    problem = check(source, {"first_name": 0, "tags": 0})[0]
    assert (problem.line, problem.suggestion) == (line, suggestion)
    assert words in problem.message


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a }} b' }}{{ \"%}\" }}",
        "{{ contact.first_name|default('là') }}",
        "{% for tag in contact.tags %}{{ loop.index }}. {{ tag }}{% if not loop.last %}, {% endif %}{% else %}-{% endfor %}",
        "{% if contact.tags|length > 2 and contact.first_name == 'A' %}x{% elif 1 %}y{% endif %}",
        "{# a comment with {{ anything }} in it #}",
        "{{ campaign.name }} {{ sender.name }} {{ workspace.postal_address }} {{ today|date }} {{ language }}",
    ],
)
def test_what_a_letter_needs_is_allowed(source: str) -> None:
    assert check(source, {"first_name": 0, "tags": 0}) == []


def test_variables_are_dotted_paths() -> None:
    assert variables(
        "{% set z = 1 %}{{ z }}{{ contact.a }}{% for x in contact.b %}{{ x }}{% endfor %}{{ web_version_url }}"
    ) == {
        "contact.a",
        "contact.b",
        "web_version_url",
    }


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ contact.a }}", {"contact.a"}),
        ("{{ contact.a|default('x') }}", set()),
        ("{{ 'contact.a' }}", set()),
        ("{% if contact.a %}{{ contact.a }}{% else %}{{ contact.b }}{% endif %}", {"contact.b"}),
        ("{% if contact.a %}x{% else %}{{ contact.a }}{% endif %}", {"contact.a"}),
        ("{% if contact.a %}x{% endif %}{{ contact.a }}", {"contact.a"}),
        ("{% if not contact.a %}{{ contact.a }}{% endif %}", {"contact.a"}),
        ("{% if contact.a or contact.b %}{{ contact.a }}{% endif %}", {"contact.a"}),
        ("{% if contact.a and contact.b %}{{ contact.a }}{{ contact.b }}{% endif %}", set()),
        ("{% if contact.a is defined %}{{ contact.a }}{% endif %}", set()),
        ("{% if contact.a > 3 %}x{% endif %}", {"contact.a"}),
        ("{% for x in contact.a %}{{ x }}{% endfor %}", {"contact.a"}),
        ("{% if contact.a %}{% for x in contact.a %}{{ x }}{% endfor %}{% endif %}", set()),
        ("{{ contact.a|upper|default('x') }}", {"contact.a"}),
        ("{{ contact.home.postcode }}", {"contact.home", "contact.home.postcode"}),
        ("{{ contact.home.postcode|default('x') }}", {"contact.home"}),
        ("{% if contact.home.postcode %}x{% endif %}", {"contact.home"}),
        ("{% if contact.home %}{{ contact.home.postcode }}{% endif %}", {"contact.home.postcode"}),
        ("{% if contact.home and contact.home.postcode %}{{ contact.home.postcode }}{% endif %}", set()),
        ("{% if contact.home %}{{ contact.home.postcode|default('x') }}{% endif %}", set()),
    ],
)
def test_which_values_must_be_there(source: str, names: set[str]) -> None:
    """Careful: what this calls unneeded, the engine never misses."""
    assert needed(source) == names
    if not names:
        render(source, contact=View({}))


@given(texts)
def test_flattening_changes_names_and_nothing_else(value: str) -> None:
    source = "a {{ contact.name|default('contact.name') }} {% if contact.name %}{{ contact.home.label }}{% endif %} contact.name"
    home = plain({"label": "x"})
    flat = render(flatten(source), envol_contact_name=value, envol_contact_home=home)
    assert flat == render(source, contact=View({"name": value, "home": home}))


def test_junk_never_breaks_the_checker() -> None:
    for junk in (
        "{{",
        "{%",
        "{#",
        "}}",
        "{{'",
        '{{"\\',
        "{% if",
        "{%%}",
        "{{}}",
        "{% %}",
        "{{{{ }}}}",
        "{{ | }}",
        "\0{{ a }}",
    ):
        assert isinstance(check(junk, {}), list)


@given(st.text(alphabet="{}%#'\"| ifend\n.a<", max_size=60))
def test_any_text_is_either_refused_or_compiles(source: str) -> None:
    if not check(source, None):
        Templates({"x.html": flatten(source)})
