"""A message that tells people where their data came from (GDPR art. 14): a paragraph before its footer.

The paragraph is part of the version, in both languages, so that previews and tests show what people will read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from django.db import transaction
from django.db.models import Max
from django.utils import translation
from django.utils.translation import gettext as _

from envol.content.language import variables
from envol.content.models import Attachment, Template, Version
from envol.content.templates import before_body_end

_STYLE = (
    "font-family:Arial,sans-serif;font-size:13px;line-height:20px;color:#4d5b68;padding:16px 24px;max-width:552px;"
    "margin:0 auto"
)
_BRACES = str.maketrans({"{": "(", "}": ")"})  # a name is no template


def with_words(
    version: Version, template: Template, said: Mapping[str, Sequence[str]], origins: Sequence[int]
) -> Version:
    """A further version of ``template``: this one with the sentences (by language, ``fr`` and ``en``) at its end."""
    html, text = {}, {}
    for code in ("fr", "en"):
        lines = [one.translate(_BRACES) for one in said[code]]
        with translation.override(code):
            own = _("See, correct or object on your own page")
        paragraphs = "".join(f"<p>{escape(one)}</p>" for one in lines)
        html[code] = f'{paragraphs}<p><a href="{{{{ preferences_url }}}}" style="color:#4d5b68">{escape(own)}</a></p>'
        text[code] = "\n".join([*lines, f"{own}: {{{{ preferences_url }}}}"])
    chosen = [f'{{% if language == "fr" %}}{of["fr"]}{{% else %}}{of["en"]}{{% endif %}}' for of in (html, text)]
    with transaction.atomic():
        Template.objects.select_for_update().get(pk=template.pk)  # one number at a time
        last = Version.objects.filter(template=template).aggregate(last=Max("no"))["last"] or 0
        made = Version.objects.get(pk=version.pk)
        files = list(Attachment.objects.filter(version=version))
        made.pk, made._state.adding = None, True
        made.template, made.no, made.informs = template, last + 1, list(origins)
        if made.html:
            made.html = before_body_end(made.html, f'<div style="{_STYLE}">{chosen[0]}</div>')
        made.text = f"{made.text.rstrip()}\n\n---\n{chosen[1]}\n"
        made.variables = sorted({*made.variables, *variables(chosen[0])})
        made.save()
        made.refresh_from_db()
        for file in files:
            file.pk, file._state.adding, file.version = None, True, made
            file.save()
    return made
