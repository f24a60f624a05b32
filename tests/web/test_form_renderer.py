"""Lists of choices are written as Django's own templates would write them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates, get_default_renderer
from django.utils.safestring import mark_safe


class Read(HTMLParser):
    """Tags with their attributes, and words between them; spaces between tags mean nothing."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.told: list[object] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.told.append((tag, sorted(attrs, key=str)))

    def handle_endtag(self, tag: str) -> None:
        self.told.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.told.append(data.strip())


CHOICES = [
    ("", "—"),
    ('a"b', "<b>gras</b> & d'autres"),
    ("Groupe « x »", [("1", "un"), (2, mark_safe("<i>deux</i>"))]),
    (None, "rien"),
]


@pytest.mark.parametrize("value", ["", 'a"b', 2, "2", None, "none of them"])
@pytest.mark.parametrize("widget", [forms.Select, forms.NullBooleanSelect])
def test_as_the_templates_write_it(widget: type[forms.Select], value: object) -> None:
    made = widget(attrs={"class": "wide", "required": True, "disabled": False, "data-x": '"><script>'})
    if widget is forms.Select:
        made.choices = CHOICES
    ours, theirs = (
        Read(made.render("country", value, {"id": "id_country"}, renderer=how)).told
        for how in (get_default_renderer(), DjangoTemplates())
    )
    assert ours == theirs and "select" in ours
