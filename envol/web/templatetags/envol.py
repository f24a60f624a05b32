"""What templates need: assets by name, icons, figures and times as people write them, status words."""

from __future__ import annotations

import json
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import (
    format_date,
    format_datetime,
    format_skeleton,
    format_time,
    format_timedelta,
    get_timezone_location,
)
from babel.numbers import format_decimal, format_percent
from django import template
from django.conf import settings
from django.template.defaulttags import CsrfTokenNode
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, pgettext
from django.utils.translation import gettext_lazy as _

from envol.contacts.sealing import is_sealed
from envol.web.code_words import STATUS, TYPES, WORDS
from envol.web.meanwhile import hidden
from envol.web.once import token_of
from envol.zones import known_zones

register = template.Library()

_DIST = Path(__file__).resolve().parent.parent / "static" / "dist"


@lru_cache(maxsize=1)
def _manifest() -> dict[str, str]:
    file = _DIST / "manifest.json"
    if not file.exists():
        return {}
    return {entry["name"]: entry["file"] for entry in json.loads(file.read_text()).values() if entry.get("isEntry")}


@register.simple_tag
def asset(name: str) -> str:
    """Address of a built file: ``app``, ``envol`` (styles), ``live``."""
    if settings.DEBUG:
        _manifest.cache_clear()
    return f"{settings.STATIC_URL}dist/{_manifest().get(name, name)}"


# Drawn on a grid of 24, stroke 2, round ends.
_ICONS = {
    "mark": '<path d="M2.500 5.500 12 13.500 21.500 5.500 16.500 19.500 12 16.500 7.500 19.500z"/><path d="M12 13.500v3"/>',  # noqa: E501
    "wing": '<path d="M3 17c6 0 9-3 12-9l6-5c0 9-4 16-13 17-3 .3-5-1-5-3z"/><path d="M9 15c3-.5 5.5-2 7.500-4.500"/>',
    "home": '<path d="M4 11 12 4l8 7v8a1 1 0 0 1-1 1h-4v-6H9v6H5a1 1 0 0 1-1-1z"/>',
    "people": '<circle cx="9" cy="8" r="3.500"/><path d="M2.500 20c.5-4 3-6 6.500-6s6 2 6.500 6"/><path d="M16 5.200a3.500 3.500 0 0 1 0 5.600"/><path d="M18 14.500c2 .8 3.200 2.600 3.500 5.500"/>',  # noqa: E501
    "letter": '<rect x="3" y="5" width="18" height="14" rx="2"/><path d="m3.500 7 8.500 6.500L20.500 7"/>',
    "chart": '<path d="M4 20V4"/><path d="M4 20h16"/><path d="M9 16v-5"/><path d="M13.500 16V8"/><path d="M18 16v-3"/>',
    "inbox": '<path d="M3 13h5l1.500 3h5L16 13h5"/><path d="M5.500 5h13L21 13v5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-5z"/>',
    "gear": '<circle cx="12" cy="12" r="3"/><path d="M12 3v3M12 18v3M3 12h3M18 12h3M5.600 5.600l2.100 2.100M16.300 16.300l2.100 2.100M5.600 18.400l2.100-2.100M16.300 7.700l2.100-2.100"/>',  # noqa: E501
    "shield": '<path d="M12 3 5 6v5c0 5 3 8 7 10 4-2 7-5 7-10V6z"/><path d="m9 12 2 2 4-4"/>',
    "check": '<path d="m5 12 5 5 9-10"/>',
    "cross": '<path d="m6 6 12 12M18 6 6 18"/>',
    "clock": '<circle cx="12" cy="12" r="8.500"/><path d="M12 7v5l3 2"/>',
    "pause": '<path d="M9 6v12M15 6v12"/>',
    "send": '<path d="M4 12 20 4l-5 16-4-7z"/>',
    "pen": '<path d="M4 20h4L19 9l-4-4L4 16z"/>',
    "alert": '<path d="M12 4 2.500 20h19z"/><path d="M12 10v4M12 17v.5"/>',
    "stop": '<rect x="6" y="6" width="12" height="12" rx="1"/>',
    "up": '<path d="M12 19V6"/><path d="m6.500 11 5.500-5.500 5.500 5.500"/>',
    "down": '<path d="M12 5v13"/><path d="m6.500 13 5.500 5.500 5.500-5.500"/>',
    "undo": '<path d="M8 5 3.500 9.500 8 14"/><path d="M4 9.500h10a6 6 0 0 1 0 11h-3"/>',
    "copy": '<rect x="8" y="8" width="12" height="12" rx="2"/><path d="M16 8V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2h2"/>',  # noqa: E501
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "minus": '<path d="M5 12h14"/>',
    "filter": '<path d="M4 6h16M7 12h10M10 18h4"/>',
    "upload": '<path d="M12 16V5"/><path d="m7 10 5-5 5 5"/><path d="M4 19h16"/>',
    "download": '<path d="M12 5v11"/><path d="m7 11 5 5 5-5"/><path d="M4 19h16"/>',
    "table": '<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M3 10h18M9 10v9"/>',
    "list": '<path d="M9 6h11M9 12h11M9 18h11"/><path d="M4.500 6h.01M4.500 12h.01M4.500 18h.01"/>',
    "form": '<rect x="4" y="3" width="16" height="18" rx="2"/><path d="M8 8h8M8 12h8"/><rect x="8" y="15.500" width="4" height="2.500"/>',  # noqa: E501
    "image": '<rect x="3" y="5" width="18" height="14" rx="2"/><circle cx="8.500" cy="10" r="1.500"/><path d="m4 17 5-4 3.500 2.500L16 12l4.500 4"/>',  # noqa: E501
    "globe": '<circle cx="12" cy="12" r="8.500"/><path d="M3.500 12h17"/><path d="M12 3.500c5 5 5 12 0 17c-5-5-5-12 0-17z"/>',  # noqa: E501
    "key": '<circle cx="8" cy="15" r="4"/><path d="m11 12 8-8M15.500 7.500 18.500 10.500"/>',
    "eye": '<path d="M2.500 12c2.500-4.500 5.700-6.500 9.500-6.500s7 2 9.500 6.500c-2.500 4.500-5.700 6.500-9.500 6.500S5 16.500 2.500 12z"/><circle cx="12" cy="12" r="2.700"/>',  # noqa: E501
    "tag": '<path d="M3.500 12.500V4h8.500l8.500 8.500-8.500 8.500z"/><path d="M8 8.500h.01"/>',
    "trash": '<path d="M4 7h16M9 7V4.500h6V7M6.500 7l1 13h9l1-13M10 11v5M14 11v5"/>',
    "phone": '<rect x="7" y="3" width="10" height="18" rx="2"/><path d="M11 18h2"/>',
    "screen": '<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>',
    "moon": '<path d="M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z"/>',
    "play": '<path d="M7 5v14l12-7z"/>',
    "question": '<circle cx="12" cy="12" r="8.500"/><path d="M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.8.4-1 .9-1 1.700M12 16.500v.01"/>',  # noqa: E501
    "left": '<path d="m14.500 5-7 7 7 7"/>',
    "right": '<path d="m9.500 5 7 7-7 7"/>',
    "search": '<circle cx="11" cy="11" r="6.500"/><path d="m20 20-4-4"/>',
}


@register.simple_tag(takes_context=True)
def csrf_token(context: Any) -> SafeString:
    """Django's tag, and a token that lets a form sent twice be done once (``envol/web/once.py``)."""
    made = CsrfTokenNode().render(context)
    request = context.get("request")
    if not made or request is None:
        return mark_safe(made)  # noqa: S308 - Django's own
    return mark_safe(made) + format_html('<input type="hidden" name="once" value="{}">', token_of(request))  # noqa: S308


@register.simple_tag
def was(*values: Any) -> SafeString:
    """What a form was opened on, so that nobody writes over what she has not seen (``envol/web/meanwhile.py``)."""
    return hidden(*values)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon; without ``label`` it is decoration and stays unspoken."""
    inner = mark_safe(_ICONS.get(name, ""))  # noqa: S308 - our own drawings
    aria = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"'
        ' stroke-linejoin="round" {}>{}</svg>',
        aria,
        inner,
    )


@register.simple_tag
def status(word: str) -> SafeString:
    """Icon, word and colour together, never colour alone."""
    return _status(word, get_language() or "en")


@lru_cache(1024)
def _status(word: str, language: str) -> SafeString:
    """Once for each word and language: a table says the same one on every line."""
    name, tone, text = STATUS.get(word, ("clock", "calm", word))
    return format_html('<span class="status {}">{}{}</span>', tone, icon(name), text)


def _locale() -> str:
    return "fr_FR" if (get_language() or "en").startswith("fr") else "en_GB"


@register.filter
def number(value: Any) -> str:
    """A figure with the separators of the reader's language."""
    return "–" if value is None or value == "" else format_decimal(value, locale=_locale())


@register.filter
def percent(part: Any, whole: Any) -> str:
    """``part`` of ``whole``, one decimal under ten; a dash when there is nothing to divide by."""
    if not whole:
        return "–"
    share = float(part or 0) / float(whole)
    return format_percent(share, "#,##0.0 %" if _locale() == "fr_FR" and share < 0.1 else None, locale=_locale())


@register.filter
def share(value: float) -> str:
    """A small share such as 0.05 %; a dash for one that no number reaches."""
    if value > 1:
        return "–"
    return format_percent(value, "#,##0.## %" if _locale() == "fr_FR" else "#,##0.##%", locale=_locale())


@register.filter
def weight(octets: Any) -> str:
    """Octets as people count them: 17 kB, 1.2 MB."""
    kilo = int(octets or 0) / 1000
    if kilo < 1000:
        return gettext("%(n)s kB") % {"n": format_decimal(round(kilo, 1 if kilo < 10 else 0), locale=_locale())}
    return gettext("%(n)s MB") % {"n": format_decimal(round(kilo / 1000, 1), locale=_locale())}


@register.filter
def money(cents: Any, currency: str = "EUR") -> str:
    from babel.numbers import format_currency

    return "–" if cents is None else format_currency(int(cents) / 100, currency, locale=_locale())


@lru_cache(2048)
def _minute(local: datetime, zone: str, locale: str) -> str:
    """A moment in full; those of a table often are of one minute, and Babel asks for the name of the zone each time."""
    return format_datetime(local, "d MMMM yyyy, HH:mm zzz", locale=locale)


@lru_cache(2048)
def _day(day: date, locale: str) -> str:
    return format_date(day, "d MMM yyyy", locale=locale)


@register.filter
def when(value: datetime | None, zone: str = "") -> SafeString | str:
    """Relative under seven days, with the full date and its zone to read and to copy."""
    if value is None:
        return "–"
    local = timezone.localtime(value)
    full = _minute(local.replace(second=0, microsecond=0), str(local.tzinfo), _locale())
    age = timezone.now() - value
    if abs(age.total_seconds()) < 7 * 86400:
        text = format_timedelta(-age, add_direction=True, locale=_locale())
    else:
        text = _day(local.date(), _locale())
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), full, text)


@register.filter
def kilometres(km: float) -> str:
    """A distance that says no more than a postcode knows: one decimal below ten."""
    return format_decimal(km, format="#,##0.0" if km < 9.95 else "#,##0", locale=_locale())


@register.filter
def tone(reason: str) -> str:
    """Colour class of a reason of the gate: a refusal of her own weighs more than a permission never asked."""
    return {"suppressed": "bad", "objected": "bad", "silenced": "warn", "withdrawn": "warn"}.get(reason, "calm")


@register.filter
def get(mapping: Any, key: Any) -> Any:
    return mapping.get(key) if hasattr(mapping, "get") else None


@register.simple_tag(takes_context=True)
def here(context: dict[str, Any], prefix: str) -> SafeString:
    """``aria-current`` for the entry of the rail that holds this page."""
    path = context["request"].path
    inside = path == prefix if prefix == "/" else path.startswith(prefix)
    return mark_safe('aria-current="page"') if inside else mark_safe("")


@register.filter
def label(thing: Any) -> str:
    """A label in the reader's language, of things that keep both."""
    return str(thing.label_fr if _locale() == "fr_FR" else thing.label_en)


@register.simple_tag
def role_word(role: str) -> str:
    return {
        "owner": pgettext("role", "owner"),
        "editor": pgettext("role", "editor"),
        "viewer": pgettext("role", "viewer"),
        "dpo": pgettext("role", "data-protection officer"),
    }.get(role, role)


@register.simple_tag(takes_context=True)
def shown(context: dict[str, Any], value: Any) -> str:
    """A text that may hold addresses, as this member may read it: a viewer sees none whole."""
    from envol.web.masking import shown as by_member

    return by_member(context["request"], value)


@register.filter
def word(code: Any) -> Any:
    """A code of the rooms (basis, strength, reason) in the reader's words."""
    return WORDS.get(str(code or ""), code or "–")


@register.filter
def value(thing: Any, kind: str = "") -> Any:
    """A property's value as people write it: dates, money, places, yes and no."""
    if thing is None or thing == "":
        return "–"
    if is_sealed(thing):
        return "•••"
    if isinstance(thing, bool):
        return _("yes") if thing else _("no")
    if kind == "money":
        return money(thing)
    if kind == "date":
        from babel.dates import format_date

        try:
            return format_date(datetime.strptime(str(thing), "%Y-%m-%d"), "long", locale=_locale())  # noqa: DTZ007
        except ValueError:
            return thing
    if isinstance(thing, int | float):
        return number(thing)
    if isinstance(thing, dict):
        return thing.get("label") or ", ".join(str(part) for part in thing.values())
    if isinstance(thing, list):
        return ", ".join(str(part) for part in thing)
    return thing


@register.filter
def moment(when_: datetime | None) -> str:
    """Day and hour in full, and whose hour it is by the name of a city: for what an action depends on."""
    if when_ is None:
        return "–"
    day = format_datetime(timezone.localtime(when_), "EEEE d MMMM yyyy, HH:mm", locale=_locale())
    return f"{day} ({city(timezone.get_current_timezone_name())})"


@register.simple_tag
def behind(reading: Any, show: str) -> str:
    """Address of the people behind a figure of a report."""
    return str(reading.people(show))


@register.filter
def header(message: Any, name: str) -> str:
    """A header field of a message that was read, by its name."""
    return message.get(name) or ""


@register.filter
def hour_at(when_: datetime | None, zone: str = "") -> str:
    """The hour alone, by the reader's clock or by that of ``zone``."""
    if when_ is None:
        return "–"
    local = timezone.localtime(when_, ZoneInfo(zone) if zone in known_zones() else None)
    return format_time(local, "HH:mm", locale=_locale())


@register.filter
def day_at(when_: datetime, zone: str) -> str:
    """The day by the calendar of ``zone``: a minute before midnight there is not the reader's today."""
    return format_datetime(when_.astimezone(ZoneInfo(zone)), "EEEE d MMMM", locale=_locale())


@register.filter
def city(zone: str) -> str:
    """A time zone by the city it is named after, in the reader's language: Europe/Paris → Paris."""
    if zone == "UTC":
        return zone
    try:
        return str(get_timezone_location(zone, locale=_locale(), return_city=True))
    except LookupError:
        return zone


@register.filter
def short_day(value: Any) -> str:
    """A day under a chart, such as 3 Nov."""
    return format_skeleton("MMMd", value, locale=_locale())


@register.filter
def clock(when_: datetime | None) -> str:
    """The hour of today, with seconds: for what happens within minutes."""
    return "–" if when_ is None else format_time(timezone.localtime(when_), "HH:mm:ss", locale=_locale())


@register.filter
def of_language(line: Any, key: str) -> Any:
    """``line["key_fr"]`` or ``line["key_en"]``, by the reader's language."""
    return line[f"{key}_{'fr' if _locale() == 'fr_FR' else 'en'}"]


@register.filter
def words(text: str) -> list[str]:
    """``"a b c"`` as a list, for short loops."""
    return text.split()


@register.filter
def join_names(things: Any) -> str:
    return ", ".join(thing.name for thing in things)


@register.filter
def rate(value_: Any) -> str:
    """Messages a second: one decimal under ten."""
    number_ = float(value_ or 0)
    return format_decimal(round(number_, 1 if number_ < 10 else 0), locale=_locale())


@register.filter
def navigation(request: Any) -> list[dict[str, Any]]:
    """The entries of the rail for who asks."""
    from envol.web.navigation import rail

    return rail(request)


@register.filter
def offered_undo(request: Any) -> dict[str, Any] | None:
    """The act that the page before offered to take back; told once."""
    session = getattr(request, "session", None)
    found: dict[str, Any] | None = session.pop("undo", None) if session is not None else None
    return found


@register.simple_tag
def delivered_bar(part: Any, whole: Any) -> SafeString:
    """A thin bar of what was delivered of what was accepted, and its sentence; nothing when there was nothing."""
    if not whole:
        return mark_safe("")
    share = min(1.0, float(part or 0) / float(whole))
    sentence = _("%(share)s delivered") % {"share": percent(part, whole)}
    return format_html(
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="ground" width="100" height="4"/><rect class="piece ok" width="{}" height="4"/></svg>'
        '<small class="muted">{}</small>',
        f"{100 * share:.2f}",
        sentence,
    )


@register.filter
def join_labels(things: Any) -> str:
    """The labels of things that keep both languages (rows or dictionaries), as one list of words."""
    key = "label_fr" if _locale() == "fr_FR" else "label_en"
    return ", ".join(str(thing[key] if isinstance(thing, dict) else getattr(thing, key)) for thing in things)


@register.filter
def language_word(code: Any) -> str:
    """The name of a language in the reader's own; the code itself when it is none we know."""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(str(code), sep="-").get_display_name(_locale()) or str(code)
    except (UnknownLocaleError, ValueError):
        return str(code)


@register.filter
def type_word(code: Any) -> Any:
    """A property's type in the reader's words."""
    return TYPES.get(str(code), code)


@register.simple_tag
def state_word(code: str) -> Any:
    """The word of a state alone, where no icon can stand: in a choice."""
    return STATUS[one_state(code)][2] if code in STATUS else code


@register.filter
def one_state(code: str) -> str:
    """The state of one message, for `status`: French says it in the singular."""
    return "bounced_one" if code == "bounced" else code
