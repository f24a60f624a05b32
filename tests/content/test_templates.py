"""Saving: what was written stays, what is wrong is said, what the law asks is there."""
# ruff: noqa: E501

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.accounts.models import Workspace
from envol.contacts.models import Property
from envol.content import mjml
from envol.content.language import scan
from envol.content.markup import Links, rewrite_links, with_utm
from envol.content.models import Attachment
from envol.content.plaintext import text_from_html
from envol.content.templates import TemplateProblem, compile_template, links_of, save, without_fallback
from envol.wire.message import Attachment as File

GOLDEN = Path(__file__).parent / "golden"
SIGNED = "{{ unsubscribe_url }}{{ workspace.postal_address }}"


@pytest.mark.parametrize(
    "path", sorted([*GOLDEN.glob("*.mjml"), *GOLDEN.glob("*.source.html")]), ids=lambda path: path.name
)
def test_golden_files(path: Path) -> None:
    """What comes out of known sources; ENVOL_GOLDEN=write renews the files, to be read before they are kept."""
    name = path.name.split(".")[0]
    mode = "mjml" if path.suffix == ".mjml" else "html"
    made = compile_template(
        mode,
        path.read_text("utf-8"),
        "Subject",
        preheader="In short",
        utm={"source": "letter"},
        inline_css=name == "styled",
    )
    for suffix, text in (("html", made.html), ("txt", made.text)):
        golden = GOLDEN / f"{name}.golden.{suffix}"
        if os.environ.get("ENVOL_GOLDEN") == "write":
            golden.write_text(text, "utf-8")
        assert text == golden.read_text("utf-8")


WEIRD = (
    "<!DOCTYPE html PUBLIC \"x\">\r\n<HTML><BODY bgcolor=white  onclick=''>\n<TABLE>{% for t in contact.tags %}<tr><td>{{ t }}<br/>"
    "</tr>{% endfor %}</table><p>un&eacute;&nbsp;<b><i>x</b></i>\t<!-- c --><![if !mso]>y<![endif]><img src=a.png alt='>'>"
    f"<a name=x>é</a><a href='#x'>z</a><a href=\"mailto:a@b.example\">m</a> 5 < 6 & 7 {SIGNED}</BODY></HTML>\r\n\r\n"
)


def test_html_is_kept_byte_for_byte(workspace: Workspace) -> None:
    Property.objects.create(workspace=workspace, key="tags", label_fr="t", label_en="t", type="list")
    version = save(workspace, "weird", "html", WEIRD, "s")
    version.refresh_from_db()
    assert version.source == WEIRD
    assert version.html == WEIRD, "nothing to track, nothing to add: nothing changes"


@given(st.text(alphabet="<>/ abp=\"'!-&;\n\r\té{}%", max_size=80))
def test_only_links_change(junk: str) -> None:
    """Whatever stands around it, the rest of the source keeps every character."""
    source = f'{junk}<a href="https://shop.example/">go</a>'
    links = Links({})
    tags, problems = scan(source)
    if problems:
        return
    made, _ = rewrite_links(source, tags, links)
    assert made in (source, source.replace("https://shop.example/", "{{ envol_link_1 }}"))


def test_links_are_numbered_and_labelled(workspace: Workspace) -> None:
    source = (
        '<a href="https://shop.example/a?x=1&amp;y=2">Read <b>more</b></a><a href=http://shop.example/b><img src="x" alt="Cover"></a>'
        '<!--[if mso]><v:roundrect href="https://shop.example/c"></v:roundrect><![endif]-->' + SIGNED
    )
    version = save(workspace, "links", "html", source, "s")
    assert links_of(version) == {
        1: "https://shop.example/a?x=1&y=2",
        2: "http://shop.example/b",
        3: "https://shop.example/c",
    }
    assert [link["label"] for link in version.links] == ["Read more", "Cover", ""]
    assert 'href="{{ envol_link_1 }}"' in version.html and 'href="{{ envol_link_2 }}"' in version.html


@pytest.mark.parametrize(
    "href",
    ["mailto:a@b.example", "tel:+33100000000", "#top", "", "{{ unsubscribe_url }}", "{{preferences_url}}", "{{ web_version_url }}",
     "https://shop.example/?name={{ contact.first_name|default('')|urlencode }}"],
)  # fmt: skip
def test_links_that_stay_as_they_are(href: str) -> None:
    made = compile_template("html", f'<a href="{href}">x</a>' + SIGNED, "s", utm={"source": "x"})
    assert f'<a href="{href}">' in made.html and made.links == []


@pytest.mark.parametrize(
    "href",
    ["javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "&#106;avascript:x", "data:text/html,x", "vbscript:x",
     "file:///etc/passwd", "//shop.example/x", "/relative", "shop.example", "{{ contact.site }}", "https://{{ contact.site }}/",
     "https://shop.example/{{ contact.site }}", "https://shop.example{{ contact.site }}?x", "https://{{ contact.a }}.example/?x",
     "{{ contact.scheme }}://shop.example/?x", "https://user@shop.example/", "https://shop.example/a b", "{% if contact.a %}https://a.example{% endif %}",
     "https:// shop.example"],
)  # fmt: skip
def test_links_that_would_lead_elsewhere_are_refused(href: str) -> None:
    with pytest.raises(TemplateProblem) as refused:
        compile_template("html", f'\n<a href="{href}">x</a>', "s")
    assert refused.value.problems[0].line == 2


def test_utm_adds_and_never_replaces() -> None:
    utm = {"source": "lettre", "campaign": "été 26"}
    assert (
        with_utm("https://a.example/x#top", utm)
        == "https://a.example/x?utm_source=lettre&utm_campaign=%C3%A9t%C3%A9%2026#top"
    )
    assert with_utm("https://a.example/?utm_source=me&q=a+b%2F", utm) == (
        "https://a.example/?utm_source=me&q=a+b%2F&utm_campaign=%C3%A9t%C3%A9%2026"
    )


BAD_MJML = [
    ("<mjml><mj-body>\n<mj-sectoin></mj-sectoin></mj-body></mjml>", 2, "no component mj-sectoin", "mj-section"),
    ('<mjml><mj-body><mj-section\n  paddin="1px"></mj-section></mj-body></mjml>', 1, "no attribute paddin", "padding"),
    ("<mjml><mj-body><mj-section>\n\n<mj-text>x</mj-text></mj-section></mj-body></mjml>", 3, "may not stand in <mj-section>", ""),
    ("<mjml><mj-body><mj-section>\nhello</mj-section></mj-body></mjml>", 2, "would be lost", ""),
    ("<mjml><mj-body>\n<mj-section></mj-body></mjml>", 2, "never closed", ""),
    ("<mjml><mj-body><mj-section><mj-column><mj-text>\na < b</mj-text></mj-column></mj-section></mj-body></mjml>", 2, "&lt;", ""),
    ("<mjml><mj-body><mj-section><mj-column>\n<p>x</p></mj-column></mj-section></mj-body></mjml>", 2, "put it into mj-text", ""),
    ("<mjml>\n<mj-head><mj-include path='x'/></mj-head><mj-body></mj-body></mjml>", 2, "reads files", ""),
    ("<mjml>\n<mj-head><mj-html-attributes></mj-html-attributes></mj-head><mj-body></mj-body></mjml>", 2, "not supported", ""),
    ("<mjml><mj-body><mj-section><mj-column><mj-social>\n<mj-social-element name='facebook' href='https://a.example/'></mj-social-element></mj-social></mj-column></mj-section></mj-body></mjml>", 2, "src", ""),
    ("<mjml><mj-body>\n{% if contact.a %}<mj-section></mj-section></mj-body></mjml>", 2, "never closed", ""),
    ("<mjml><mj-body><mj-section><mj-column>{% if contact.a %}<mj-text>\nx{% endif %}</mj-text></mj-column></mj-section></mj-body></mjml>", 2, "inside the same", ""),
    ("<mjml><mj-body><mj-section><mj-column width=3></mj-column></mj-section></mj-body></mjml>", 1, "quotes", ""),
    ("<p>x</p>", 1, "put it into mj-text", ""),
    ("<mjml></mjml>", 1, "no <mj-body>", ""),
    ("<mjml><mj-body", 1, "never closed", ""),
]  # fmt: skip


@pytest.mark.parametrize(("source", "line", "words", "suggestion"), BAD_MJML)
def test_mjml_problems_say_where_and_what_was_meant(source: str, line: int, words: str, suggestion: str) -> None:
    with pytest.raises(TemplateProblem) as refused:
        compile_template("mjml", source, "s")
    problem = refused.value.problems[0]
    assert words in problem.message
    assert (problem.line, problem.suggestion) == (line, suggestion)


def test_template_tags_survive_tables_and_comparisons() -> None:
    source = (
        '<mjml><mj-head><mj-style inline="inline">.price { color: red }</mj-style></mj-head><mj-body><mj-section>'
        "{% if contact.age|default(0) < 3 and 1 > 0 %}<mj-column><mj-table><tr><td>a</td></tr>{% for x in contact.tags %}<tr>"
        '<td class="price" title="{{ x }}">{{ x }}</td></tr>{% endfor %}</mj-table></mj-column>{% endif %}</mj-section></mj-body></mjml>'
    )
    made = compile_template("mjml", source, "s")
    kept = [tag.body.strip() for tag in scan(made.html)[0]][:6]
    assert kept == ["if contact.age|default(0) < 3 and 1 > 0", "for x in contact.tags", "x", "x", "endfor", "endif"]
    assert made.html.index("</tr>{% for") < made.html.index("{% endfor %}</t")
    assert 'class="price" title="{{ x }}" style="color: red;"' in made.html


def test_no_reader_is_sent_to_another_company() -> None:
    made = compile_template("mjml", (GOLDEN / "letter.mjml").read_text("utf-8"), "s")
    assert "googleapis" not in made.html and "mailjet.com" not in made.html


def test_the_inliner_reads_no_files_and_no_network(tmp_path: Path) -> None:
    sheet = tmp_path / "x.css"
    sheet.write_text("p { color: rgb(1, 2, 3) }")
    made = mjml.inline(f'<link rel="stylesheet" href="file://{sheet}"><style>p {{ margin: 1px }}</style><p>x</p>')
    assert "margin: 1px;" in made and "rgb(1" not in made


@pytest.mark.parametrize(
    "words",
    [
        "<p title={{ contact.a }}>",
        "<script>{{ contact.a }}</script>",
        "<style>{{ contact.a }}</style>",
        '<i onclick="{{ contact.a }}">',
    ],
)
def test_values_stand_only_where_escaping_protects(words: str) -> None:
    with pytest.raises(TemplateProblem):
        compile_template("html", words, "s")


def test_a_way_out_and_the_postal_line_are_always_there() -> None:
    for mode, source in (("html", "<html><body><p>x</p></body></html>"), ("text", "Hello")):
        made = compile_template(mode, source, "s")
        for part in [made.text] + [made.html] * (mode == "html"):
            assert "{{ unsubscribe_url }}" in part and "{{ workspace.postal_address }}" in part
    assert "Se d" not in compile_template("html", f"<p>{SIGNED}</p>", "s").html
    assert compile_template("html", f"<p>{SIGNED}</p>", "s").html == f"<p>{SIGNED}</p>"


def test_the_footer_stands_inside_the_body() -> None:
    made = compile_template("html", "<html><body><p>x</p></BODY></html>", "s").html
    assert made.index("unsubscribe_url") < made.index("</BODY>")


def test_the_preheader_is_hidden_and_escaped() -> None:
    made = compile_template(
        "html", f"<html><body class='x'><p>{SIGNED}</p></body></html>", "s", preheader='a < "b" {{ contact.city }}'
    ).html
    assert made.startswith("<html><body class='x'><div style=\"display:none")
    assert "a &lt; &quot;b&quot; {{ contact.city }}</div>" in made


def test_a_written_text_part_shares_its_links_with_the_html() -> None:
    made = compile_template(
        "html",
        f'<a href="https://a.example/?x=1&amp;y=2">x</a>{SIGNED}',
        "s",
        text=f"See https://a.example/?x=1&y=2, (https://b.example). {SIGNED}",
    )
    assert made.text == f"See {{{{ envol_link_1 }}}}, ({{{{ envol_link_2 }}}}). {SIGNED}"
    assert [link["url"] for link in made.links] == ["https://a.example/?x=1&y=2", "https://b.example"]


def test_text_is_made_with_links_and_without_what_is_hidden() -> None:
    text = text_from_html(
        "<head><title>T</title><style>p{}</style></head><div style='display:none'>pre</div><h1>Été</h1><p>A<br>b &amp; c</p>"
        "<!--[if mso]><p>Outlook</p><![endif]--><!--[if !mso]><!--><p>others</p><!--<![endif]--><ul><li>1</li><li>2</li></ul>"
        "<a href='https://a.example/'><img alt='Logo'></a><table><tr><td>x</td><td>y</td></tr></table>"
        "{% if contact.a %}<p>Yes {{ contact.a }}</p>{% endif %}<p>End</p>"
    )
    assert text == (
        "Été\n\nA\nb & c\n\nothers\n\n- 1\n- 2\n\nLogo <https://a.example/>\n\nx y\n\n{% if contact.a %}Yes {{ contact.a }}\n\n{% endif %}End\n"
    )


def test_versions_count_up_and_never_change(workspace: Workspace) -> None:
    first = save(workspace, "letter", "text", "Hello one", "s")
    second = save(workspace, "letter", "text", "Hello two", "s", attachments=[File("a.txt", b"x", "text/plain")])
    assert (first.no, second.no, first.template) == (1, 2, second.template)
    first.refresh_from_db()
    assert first.source == "Hello one"
    assert Attachment.objects.get(version=second).name == "a.txt"


def test_everything_wrong_is_said_at_once(workspace: Workspace) -> None:
    with pytest.raises(TemplateProblem) as refused:
        save(
            workspace, "", "html", "<a href='nowhere'>{{ contact.x }}", "two\nlines {{ y }}", reply_to="nobody",
            fallbacks={"z": "x"}, utm={"w": "v"}, attachments=[File("a", b"", "not a type")],
        )  # fmt: skip
    parts = {problem.part for problem in refused.value.problems}
    assert parts == {"name", "html", "subject", "reply_to", "fallbacks", "utm", "attachments"}
    with pytest.raises(TemplateProblem, match="mjml, html or text"):
        save(workspace, "x", "word", "x", "s")


def test_a_fallback_makes_a_value_optional(workspace: Workspace) -> None:
    Property.objects.create(workspace=workspace, key="nickname", label_fr="p", label_en="p", type="text")
    source = "Hello {{ contact.nickname }}"
    assert without_fallback(save(workspace, "a", "text", source, "s")) == {"contact.nickname"}
    assert without_fallback(save(workspace, "a", "text", source, "s", fallbacks={"nickname": "you"})) == set()


def test_another_workspaces_property_is_unknown(workspace: Workspace) -> None:
    from envol.accounts.workspaces import create_workspace

    other = create_workspace(f"{workspace.name}-other")
    Property.objects.create(workspace=other, key="secret", label_fr="p", label_en="p", type="text")
    with pytest.raises(TemplateProblem, match="no value called contact.secret"):
        save(workspace, "a", "text", "{{ contact.secret }}", "s")


TOO_MUCH = {
    "long expression": "{{ " + "contact.a or " * 50_000 + "1 }}",
    "many filters": "{{ 1" + "|d" * 50_000 + " }}",
    "many elifs": "{% if 1 %}" + "{% elif 1 %}x" * 5_000 + "{% endif %}",
    "deep blocks": "{% if 1 %}" * 4_000 + "{% endif %}" * 4_000,
    "many tags": "{{ contact.a }}" * 60_000,
    "deep elements": "<div>" * 100_000 + "</div>" * 100_000,
    "unclosed elements": "<b>" * 100_000,
    "many elements": "<p>x" * 200_000,
    "many attributes": "<p " + "a " * 400_000 + ">",
    "open comments": "<!--" * 200_000,
    "open conditions": "<!--[if x]>" * 90_000,
    "open quotes": '<a href="' * 90_000,
    "open tags": "{{" * 400_000,
    "too large": "x" * (1 << 20) + "y",
}


@pytest.mark.parametrize("name", TOO_MUCH)
@pytest.mark.parametrize("mode", ["html", "mjml"])
def test_what_would_end_or_block_the_process_is_refused(name: str, mode: str) -> None:
    """The engines recurse: without our limits some of these end the whole process."""
    source = TOO_MUCH[name]
    if mode == "mjml":
        source = f"<mjml><mj-body><mj-section><mj-column><mj-text>{source}</mj-text></mj-column></mj-section></mj-body></mjml>"
    try:
        compile_template(mode, source, "s", inline_css=True)
    except TemplateProblem as refused:
        assert refused.problems
    else:
        assert name == "open conditions", "harmless: nothing is nested"
