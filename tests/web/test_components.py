"""What components are given arrives: a filter inside ``:name="…"`` would be dropped without a word."""

from __future__ import annotations

import re
from pathlib import Path

ROOM = Path(__file__).resolve().parents[2] / "envol" / "web"


def test_no_dynamic_attribute_has_a_filter() -> None:
    wrong = [
        f"{path.relative_to(ROOM)}: {found}"
        for folder in ("templates", "components")
        for path in sorted((ROOM / folder).rglob("*.html"))
        for found in re.findall(r'\s:[\w-]+="[^"{]*\|[^"]*"', path.read_text("utf-8"))
    ]
    assert not wrong, wrong


def test_each_component_says_how_it_is_used_and_stands_in_the_styleguide() -> None:
    shown = (ROOM / "templates" / "styleguide.html").read_text("utf-8")
    for path in sorted((ROOM / "components").glob("*.html")):
        text = path.read_text("utf-8")
        name = path.stem.replace("_", "-")
        assert text.startswith("{#") and f"<c-{name}" in text, f"{path.name} does not say how it is used"
        if name not in {"crumb", "crumbs", "tabs"}:  # parts of a page's frame, seen on every page
            assert f"<c-{name}" in shown, f"{path.name} is not on /styleguide"


def test_each_icon_that_is_named_is_drawn() -> None:
    from envol.web.templatetags import envol

    files = [*sorted(ROOM.rglob("*.html")), *sorted(ROOM.rglob("*.py"))]
    named = {
        (name, path.name)
        for path in files
        for name in re.findall(r"""icon[= ]+["']([a-z-]+)["']""", path.read_text("utf-8"))
    }
    assert len(named) > 50
    assert not [one for one in named if one[0] not in envol._ICONS]
