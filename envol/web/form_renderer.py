"""How the fields of forms become HTML: Django's templates, and lists of choices without them.

Django makes each option by two templates. Two lists of countries were half of the time of a page that has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


class Renderer(DjangoTemplates):
    def render(self, template_name: str, context: dict[str, Any], request: Any = None) -> str:
        if template_name == "django/forms/widgets/select.html":
            return _select(context["widget"])
        return super().render(template_name, context, request)


def _select(widget: Mapping[str, Any]) -> SafeString:
    """As `django/forms/widgets/select.html` says it."""
    groups = (
        format_html('<optgroup label="{}">{}</optgroup>', name, options) if name else options
        for name, options in ((name, _options(choices)) for name, choices, _ in widget["optgroups"])
    )
    attrs = flatatt({"name": widget["name"], **widget["attrs"]})
    return format_html("<select{}>{}</select>", attrs, format_html_join("", "{}", ((one,) for one in groups)))


def _options(choices: list[dict[str, Any]]) -> SafeString:
    lines = ((str(one["value"]), flatatt(one["attrs"]), one["label"]) for one in choices)
    return format_html_join("", '<option value="{}"{}>{}</option>', lines)
