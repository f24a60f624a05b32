"""What goes wrong is said in the reader's language: templates, MJML, addresses, lines of a file."""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.translation import gettext, override

from envol.accounts.models import Workspace
from envol.campaigns.models import Campaign
from envol.contacts.models import Import, ImportRefusal
from envol.contacts.tasks import dry_run_import
from envol.content.language import Templates, View, check
from envol.content.problems import RenderProblem, TemplateProblem
from envol.content.templates import compile_template
from envol.wire.address import AddressError, normalise
from tests.content.test_templates import BAD_MJML
from tests.web.shop import Shop, open_shop
from tests.web.test_content import form_of
from tests.web.test_hard_coded import ENGLISH, FRENCH, visible
from tests.web.test_words import catalogue

Sign = Callable[..., Client]
ROOT = Path(__file__).resolve().parents[2] / "envol"
ROOMS = ("content", "contacts/imports")
# What is raised or noted to be read by people.
CLASSES = {
    "Problem", "RenderProblem", "MissingValue", "MediaProblem", "ImportProblem", "Misused", "Unclosed", "say",
    "ValueError",
}  # fmt: skip
# Between programs: whoever writes the code reads these.
OURS = {"links.py", "compose.py", "gallery/fill.py", "gallery/places.py"}


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Literals with words in them that become a problem without passing the catalogue."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        for given in node.args if name in CLASSES else []:
            text = "".join(
                part.value for part in ast.walk(given) if isinstance(part, ast.Constant) and isinstance(part.value, str)
            )
            translated = isinstance(given, ast.Call | ast.BinOp | ast.Name | ast.Attribute)
            if not translated and len(re.findall(r"[A-Za-z]{2,}", text)) > 1:
                yield node.lineno, text


def test_no_problem_of_a_template_or_a_file_passes_by_the_catalogue() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if str(path.relative_to(ROOT / room)) not in OURS
        for line, text in sentences(path)
        if text != "undefined value"  # for the engine, which says it with its line
    ]
    assert not found, "\n".join(found)


def english(said: str) -> bool:
    bare = re.sub(r"“.*?”|«.*?»|<[^>]*>|\{[{%].*?[%}]\}|\bmj-[\w-]+|contact\.\w+", "", said)
    return len(ENGLISH.findall(bare)) > len(FRENCH.findall(bare))


def both(ask: Callable[[], list[str]]) -> None:
    """The same number of sentences in both languages, none the same, the French free of English."""
    with override("en"):
        first = ask()
    with override("fr"):
        second = ask()
    assert first and len(first) == len(second)
    for en, fr in zip(first, second, strict=True):
        assert en != fr and not english(fr), (en, fr)
        assert english(en) or not FRENCH.search(en), en


BAD_TAGS = [
    "{{ }}", "{{ contact.first_name", "{{ contact.first_name | }}", "{% if %}a{% endif %}", "{% for a %}{% endfor %}",
    "{% if contact.first_name = 3 %}{% endif %}", "{{ contact. }}", "{{ 'a'|default( }}", "{{ a b }}", "{{ ? }}",
    "{% if 1 %}{% else %}{% else %}{% endif %}", "{{ 99999999999999999999999999999999999999999 }}", "{% esle %}",
    '{{ "\\u12" }}', "{{ 1e }}", "{{ loop(1) }}", "{{ contact._x }}", "{% if 1 %}", "{% endif %}", "{% else %}",
    "{% set a %}{% endset %}", "{% set contact = 3 %}", "{{ contact }}", "{{ contact.frist }}", "{{ nobody }}",
    "{{ contact.first_name|uper }}", "{{ " + "1 + " * 600 + "1 }}", "{% if 1 %}" * 101, "{{ 1 }}" * 10_001,
    "x" * (1 << 20) + "é",
]  # fmt: skip


@pytest.mark.parametrize("source", BAD_TAGS, ids=lambda s: s[:40])
def test_a_wrong_template(source: str) -> None:
    both(lambda: [problem.message for problem in check(source, {"first_name": 0})])


BAD_SHOWN = [
    "{{ 1 + 'a' }}", "{{ contact.x }}", "{{ 1 / 0 }}", "{{ 'a'|date('foo') }}", "{{ 'a'|round }}", "{{ 'a'|int }}",
    "{% for a in 3 %}{% endfor %}", "{{ 'a'|default('b', 'c', 'd') }}", "{{ 'a'|replace('a') }}", "{{ -'a' }}",
    "{{ 1|join }}", "{{ 1|length }}", "{{ 'a'|number(x=1) }}", "{{ 5|truncate('a') }}", "{{ 2 ** 9999 }}",
    "{% for a in 'aaaaaaaaaa' * 9999 %}{% for b in 'aaaaaaaaaa' * 9999 %}{% endfor %}{% endfor %}",
]  # fmt: skip


@pytest.mark.parametrize("source", BAD_SHOWN)
def test_a_template_that_cannot_be_shown(source: str) -> None:
    def ask() -> list[str]:
        with pytest.raises(RenderProblem) as refused:
            Templates({"html.html": source}).render("html.html", {"contact": View({})})
        return [str(refused.value)]

    both(ask)


BAD_HTML = [
    '<a href="javascript:alert(1)">x</a>', '<a href="https://shop.example/a b">x</a>',
    "<p title={{ contact.a }}>x</p>",
    '<a href="https://{{ contact.site }}/">x</a>', "<script>{{ contact.a }}</script>",
    '<i onclick="{{ contact.a }}">x</i>', "<p", "<!-- x", "<div>" * 201,
    "<p " + " ".join(f"a{n}" for n in range(201)) + ">", "", "\ufdd0",
]  # fmt: skip


BAD_MARKUP = [*(("mjml", bad[0]) for bad in BAD_MJML), *(("html", bad) for bad in BAD_HTML)]


@pytest.mark.parametrize(("mode", "source"), BAD_MARKUP, ids=lambda s: s[:50])
def test_wrong_markup(mode: str, source: str) -> None:
    def ask() -> list[str]:
        with pytest.raises(TemplateProblem) as refused:
            compile_template(mode, source, "Bonjour\n", preheader="x" * 1001)
        return [problem.message for problem in refused.value.problems]

    both(ask)


@pytest.mark.parametrize(
    "address",
    ["", "a b@c.example", "a", "@c.example", "a@", "a@b@c.example",
     "<a@c.example>", '"a"@c.example',
     "a\u200b@c.example", ".a@c.example", "a..b@c.example", "a(b@c.example",
     "a@[127.0.0.1]", "a@c", "a@-c.example", "a@c.example.", "a@c.1",
     "a" * 65 + "@c.example", "a@" + "c" * 64 + ".example", "a@" + ".".join(["c" * 60] * 5) + ".example"],
    ids=lambda s: s[:30],
)  # fmt: skip
def test_a_wrong_address(address: str) -> None:
    def ask() -> list[str]:
        with pytest.raises(AddressError) as refused:
            normalise(address)
        return [refused.value.told(gettext)]

    both(ask)


WRONG_LINES = (
    "courriel;prénom;naissance;langue;fuseau;étiquette;ville\n"
    "pas une adresse;X;1980-01-01;fr;Europe/Paris;a;Brest\n"
    "lou@lecteurs.example;Lou;demain;klingon!;Lune/Mer;" + "x" * 70 + ";Nantes\n"
    "max@lecteurs.example;Max\n"
    '"ann@lecteurs.example;Ann;"x"y;fr;;;\n'
    "a..b@lecteurs.example;B;;;;;\n"
)


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    """Its members read French."""
    shop = open_shop(readers=30, folder=tmp_path)
    Workspace.objects.filter(pk=shop.workspace.pk).update(language="fr")
    for one in shop.members.values():
        one.user.language = "fr"
        one.user.save(update_fields=["language"])
    return shop


def test_refused_lines_are_in_the_language_of_who_brought_the_file(own: Shop, as_member: Sign) -> None:
    Workspace.objects.filter(pk=own.workspace.pk).update(language="en")
    client = as_member("editor", own)
    client.post("/language", {"language": "fr"})
    where = client.post("/imports", {"file": SimpleUploadedFile("gens.csv", WRONG_LINES.encode())})["Location"]
    imp = Import.objects.filter(workspace=own.workspace).latest("id")
    targets = ["email", "property:first_name", "property:birth_date", "language", "time_zone", "tag", "property:city"]
    assert client.post(f"{where}/mapping", {f"column.{n}": name for n, name in enumerate(targets)}).status_code == 303
    client.post(f"{where}/permission", {"nothing": "1", "given_by": "people"})
    imp.refresh_from_db()
    assert imp.job_id
    dry_run_import(imp.pk, imp.job_id)
    details = list(ImportRefusal.objects.filter(import_id=imp.pk).values_list("value", flat=True))
    assert len(details) >= 6 and not [said for said in details if english(said)], details
    text = b"".join(client.get(f"{where}/refused.csv")).decode().lstrip("\ufeff")  # type: ignore[arg-type]
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["ligne", "raison", "détails", "rangée"]
    assert len(rows) == len(details) + 1
    assert not [row for row in rows[1:] if english(row[1]) or english(row[2])]


def test_an_editor_of_code_meets_no_english(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    client.post("/language", {"language": "fr"})
    client.post("/campaigns/new", {"name": "Noël", "start": "letter"})
    where = f"/campaigns/{Campaign.objects.get(workspace=own.workspace, name='Noël').pk}/content"
    client.post(where, {"do": "code"})
    keys = [key for (key, _context) in catalogue() if len(key) > 25]
    for wrong in (
        "{{ contact.frist }}",
        "<mjml><mj-body><mj-tekst>x</mj-tekst></mj-body></mjml>",
        "<mjml>{{ }}</mjml>",
    ):
        form = form_of(client.get(where).content.decode())
        given = {**form, "source": wrong, "subject": "{% esle %}", "preheader": "{{ }}"}
        for answer in (client.post(f"{where}/draft", given), client.post(where, {**given, "do": "save"})):
            lines = "\n".join(visible(answer.content.decode()))
            assert not [key for key in keys if key in lines]
            assert not [line for line in lines.split("\n") if "problem" in line or english(line)]
    answer = client.post(
        where, {"do": "save"}, HTTP_ORIGIN="https://elsewhere.example", HTTP_SEC_FETCH_SITE="cross-site"
    )
    assert answer.status_code == 403 and not english(answer.content.decode())


def test_wrong_forms_of_an_account_answer_in_french(own: Shop, as_member: Sign) -> None:
    """Those of Django and of allauth: sign-in, passwords, codes."""
    stranger, owner = Client(HTTP_HOST="localhost", HTTP_ACCEPT_LANGUAGE="fr"), as_member("owner", own)
    owner.post("/language", {"language": "fr"})
    wrong: list[tuple[Client, str, dict[str, str]]] = [
        (stranger, "/login/", {"login": "pas une adresse", "password": "x"}),
        (stranger, "/login/", {"login": own.members["owner"].user.email, "password": "x"}),
        (stranger, "/password/reset/", {"email": "pas une adresse"}),
        (owner, "/password/change/", {"oldpassword": "x", "password1": "court", "password2": "autre"}),
        (owner, "/reauthenticate/", {"password": "x"}),
        (owner, "/settings/team/invite", {"email": "pas une adresse", "role": "roi"}),
        (owner, "/settings/domains", {"name": "pas un domaine"}),
        (owner, "/fields/new", {"key": "9 !", "type": "json", "label_fr": "", "label_en": ""}),
    ]
    for client, path, given in wrong:
        answer = client.post(path, given, follow=True)
        lines = visible(answer.content.decode())
        assert answer.status_code in (200, 403, 422), (path, answer.status_code)
        assert not [line for line in lines if english(line)], path
