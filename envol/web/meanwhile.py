"""Two people, or one in two tabs, at the same thing: nobody writes over what she has not seen.

A form carries a digest of what it was opened on (``{% was … %}``). When that has changed by the time it is sent, the
page comes back (409) with what was typed in its fields and a sentence that says what stands there now; sent once
more, it takes its place. Longer things (campaigns, content, segments, sign-up forms) count their revisions instead.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

FIELD = "was"


def stamp(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]


def hidden(*values: Any) -> SafeString:
    return format_html('<input type="hidden" name="was" value="{}">', stamp(*values))


def moved(request: HttpRequest, *values: Any) -> bool:
    """Is this something else than what the form was opened on? A form that does not say it is taken at its word."""
    return bool(request.POST.get(FIELD)) and request.POST[FIELD] != stamp(*values)


def sentence(now: str) -> str:
    said = _(
        "Somebody else changed this meanwhile: it is now “%(value)s”. What you typed still stands here;"
        " save it again to put it in its place."
    )
    return said % {"value": now or "–"}


class Unchanged(forms.BaseForm):
    """A form of many fields that carries what each was opened on.

    A field that only somebody else changed keeps her value; one that both changed is shown with both.
    """

    def __init__(self, data: Any = None, *args: Any, **more: Any) -> None:
        super().__init__(data, *args, **more)
        self.clashes: dict[str, str] = {}
        self._now = {name: self._text(name) for name in self.fields}
        was = self._opened_on()
        if not was:
            return
        posted = self.data = QueryDict(mutable=True)
        posted.update(data)
        for name, now in self._now.items():
            typed = posted.get(name, "").replace("\r\n", "\n")
            if was.get(name, now) == now or typed == now:
                continue
            if typed == was[name]:
                posted[name] = now
            else:
                self.clashes[name] = now

    def _text(self, name: str) -> str:
        value = self.get_initial_for_field(self.fields[name], name)
        return "" if value is None else str(value)

    def _opened_on(self) -> dict[str, str]:
        try:
            found = json.loads(self.data.get(FIELD, "") or "{}")
        except (ValueError, RecursionError):  # it is a field of the form, so anybody may have written it
            return {}
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    def was(self) -> str:
        return json.dumps(self._now)

    def full_clean(self) -> None:
        super().full_clean()
        for name, now in self.clashes.items():
            choices = dict(getattr(self.fields[name], "choices", ()))
            self.add_error(name, sentence(str(choices.get(now, now))))

    @property
    def status(self) -> int:
        return (409 if self.clashes else 422) if self.is_bound else 200
