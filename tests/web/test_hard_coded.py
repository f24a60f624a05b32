"""No sentence is written into a page past the catalogue: not in a template, and not by code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser

ROOM = Path(__file__).resolve().parents[2] / "envol" / "web"
TEMPLATES = [
    path
    for folder in ("templates", "components")
    for path in sorted((ROOM / folder).rglob("*.html"))
    if path.name != "styleguide.html"  # for developers
]
# Names, formats and keys, the same in both languages.
SAME = {
    "Envol", "English", "Français", "CSV", "XLSX", "Excel", "Parquet", "JSON", "HTML", "MJML", "TXT", "DKIM", "SPF",
    "DMARC", "TLS", "RPT",
    "https", "DNS", "API", "SMTP", "URL", "UTM", "Ctrl", "Alt", "Shift", "Enter", "Esc", "Tab", "px", "kB", "MB", "id",
    "op", "field", "Lines",
}  # fmt: skip
_TRANSLATED = re.compile(r"{%\s*blocktrans(?:late)?\b.*?{%\s*endblocktrans(?:late)?\s*%}", re.DOTALL)
_CODE = re.compile(r"{%\s*comment\s*%}.*?{%\s*endcomment\s*%}|{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
_RAW = re.compile(r"<(script|style|code|pre|kbd)\b.*?</\1>", re.DOTALL)
# :caption="name" is a variable, not words.
_SAID = re.compile(
    r"""(?<![:\w-])(?:aria-label|title|placeholder|alt|label|help|caption|data-done)=(["'])(.*?)\1""", re.DOTALL
)
_WORD = re.compile(r"[A-Za-zÀ-ÿ]{2,}")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: str(p.relative_to(ROOM)))
def test_a_template_says_nothing_past_the_catalogue(path: Path) -> None:
    text = _RAW.sub(" ", _CODE.sub(" ", _TRANSLATED.sub(" ", path.read_text("utf-8"))))
    said = [found for _quote, found in _SAID.findall(text)]
    seen = re.sub(r"&[a-z]+;", " ", re.sub(r"<[^>]*>", " ", text))
    words = [word for part in [*said, seen] for word in _WORD.findall(part) if word not in SAME]
    assert not words, f"{path.relative_to(ROOM)}: {words[:12]}"


DATA = ("no mailbox here",)  # what other people's servers answer is theirs
ENGLISH = re.compile(
    r"\b(the|of|and|is|are|was|with|for|this|your|you|no|not|from|people|have|will|to)\b", re.IGNORECASE
)
FRENCH = re.compile(r"\b(les?|des?|du|une?|et|est|sont|avec|pour|votre|vous|pas|dans|sur|qui|aux?)\b", re.IGNORECASE)


def visible(page: str) -> list[str]:
    """The texts a person reads or hears, without code, data typed by people in messages, and other languages."""
    tree = LexborHTMLParser(page)
    for node in tree.css("script, style, code, pre, kbd, textarea, option[value], [lang]:not(html), dialog#keys"):
        node.decompose()
    body = tree.body
    texts = [body.text(separator="\n")] if body else []
    texts += [node.attributes.get("aria-label") or "" for node in tree.css("[aria-label]")]
    texts += [node.attributes.get("placeholder") or "" for node in tree.css("[placeholder]")]
    return [line.strip() for text in texts for line in text.split("\n") if line.strip()]


@pytest.fixture(scope="module")
def pages(shop: Any) -> list[str]:
    from tests.web.test_doors import POST_ONLY, address, ours

    return sorted({address(route, shop) for route, name, _least in ours() if name not in POST_ONLY})


def test_a_french_reader_meets_no_english(as_member: Any, shop: Any, pages: list[str]) -> None:
    """Sentences of code and models are found here: whoever reads French sees English function words nowhere."""
    reader = as_member("owner")
    reader.post("/language", {"language": "fr"})
    found = {}
    for path in pages:
        answer = reader.get(path, follow=True)
        if not answer.headers.get("Content-Type", "").startswith("text/html") or answer.streaming:
            continue
        lines = [line for line in visible(answer.content.decode()) if not line.startswith(DATA)]
        wrong = [line for line in lines if len(ENGLISH.findall(line)) > max(1, len(FRENCH.findall(line)))]
        if wrong:
            found[path] = wrong[:5]
    reader.post("/language", {"language": "en"})
    assert not found, "\n".join(f"{path}: {wrong}" for path, wrong in found.items())
