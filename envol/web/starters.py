"""Models a new campaign may start from: small, sober, complete with a fallback and a link."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext as _
from django.utils.translation import override


@dataclass(frozen=True, slots=True)
class Starter:
    key: str
    label: str
    mode: str
    subject: str
    source: str
    fallbacks: dict[str, str] = field(default_factory=dict)


_LETTER = """<mjml>
  <mj-head>
    <mj-attributes>
      <mj-all font-family="Georgia, serif" />
      <mj-text font-size="17px" line-height="27px" color="#17212b" />
    </mj-attributes>
  </mj-head>
  <mj-body background-color="#f6f5f1">
    <mj-section background-color="#ffffff" padding="32px 16px">
      <mj-column>
        <mj-text font-size="26px" line-height="32px">{title}</mj-text>
        <mj-text>{hello}</mj-text>
        <mj-text>{body}</mj-text>
        <mj-button background-color="#134e5e" color="#ffffff" href="https://www.example.org/">{button}</mj-button>
        <mj-text>{{{{ workspace.title }}}}</mj-text>
      </mj-column>
    </mj-section>
  </mj-body>
</mjml>
"""
_PLAIN = """<!doctype html>
<html>
<body style="margin:0;padding:24px;font:17px/27px Georgia,serif;color:#17212b">
<p>{hello}</p>
<p>{body}</p>
<p><a href="https://www.example.org/">{button}</a></p>
<p>{{{{ workspace.title }}}}</p>
</body>
</html>
"""


def _words() -> dict[str, str]:
    return {
        "title": _("What is new this month"),
        "hello": _("Hello,"),
        "body": _("Write your message here: one idea, a few short sentences, and one thing to do."),
        "button": _("Read more"),
    }


def all_of(language: str) -> list[Starter]:
    """The models, with their words in this language."""
    with override(language):
        words = _words()
        return [
            Starter("letter", _("A letter with a button (MJML)"), "mjml", words["title"], _LETTER.format(**words)),
            Starter("plain", _("A plain letter (HTML)"), "html", words["title"], _PLAIN.format(**words)),
        ]


def get(key: str, language: str) -> Starter:
    """The model of this name, else the letter."""
    found = all_of(language)
    return next((starter for starter in found if starter.key == key), found[0])


def is_untouched(source: str) -> bool:
    """Is this still a model, with nothing of one's own in it?"""
    return any(source == s.source for language in ("fr", "en") for s in all_of(language))
