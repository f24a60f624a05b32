"""What the pages about buyers show: the map of scores, named segments, tiers and months of first purchases."""

from __future__ import annotations

import calendar
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_date
from babel.numbers import format_currency, format_percent
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from envol.accounts.models import Workspace
from envol.audience import expected, scores
from envol.audience.models import Scoring
from envol.audience.standings import NAMED, TIERS
from envol.web.charts import bar
from envol.web.templatetags.envol import number

FEW = 30  # people below which a share says nothing
MONTHS = 12  # columns of the table of months

ADVICE: dict[str, Any] = {
    "champions": gettext_lazy("Thank them, show them things first, ask what they think; they need no discount."),
    "loyal": gettext_lazy("They come back: propose what goes with what they have, and the way to the next tier."),
    "promising": gettext_lazy("Recent and small: help them to a second choice, soon."),
    "attention": gettext_lazy("Good customers who grow quiet: a reason to come, before they forget you."),
    "at_risk": gettext_lazy("They spent well and are long gone: ask why, and make one honest offer."),
    "sleeping": gettext_lazy("Small and a while ago: write seldom, with your best."),
    "lost": gettext_lazy("Long ago and little: a last question whether they want to stay, then silence."),
}


def word(labels: Mapping[str, tuple[str, str]], key: str, language: str) -> str:
    return labels[key][0 if language.startswith("fr") else 1]


def cash(cents: float | None, currency: str, language: str) -> str:
    """An amount; large ones without cents."""
    if cents is None:
        return "–"
    locale = "fr_FR" if language.startswith("fr") else "en_GB"
    if abs(cents) >= 100_000:
        whole = "#,##0\u00a0¤" if locale == "fr_FR" else "¤#,##0"
        return format_currency(round(cents / 100), currency, whole, locale=locale, currency_digits=False)
    return format_currency(cents / 100, currency, locale=locale)


def share_of(part: float, whole: float, language: str) -> str:
    """A share with one decimal under ten, in both languages; nothing is a plain nought."""
    if whole <= 0:
        return "–"
    share = max(part, 0) / whole
    tenths = "#,##0.0" if 0 < share < 0.0995 else "#,##0"
    french = language.startswith("fr")
    return format_percent(share, tenths + ("\u202f%" if french else "%"), locale="fr_FR" if french else "en_GB")


def day(value: date, language: str) -> str:
    return format_date(value, "long", locale="fr_FR" if language.startswith("fr") else "en_GB")


def opened(name: str, *rules: dict[str, Any]) -> str:
    """The address at which these rules are a new segment."""
    tree = json.dumps({"v": 1, "match": "all", "rules": list(rules)}, ensure_ascii=False)
    return f"{reverse('web:new_segment')}?" + urlencode({"name": name, "tree": tree})


def _between(low: int, high: int) -> str:
    return number(low) if low == high else _("%(low)s–%(high)s") % {"low": number(low), "high": number(high)}


@dataclass(frozen=True, slots=True)
class Square:
    """One field of the map or of the table of months. ``step`` 0 to 8: how dark it is."""

    text: str
    step: int
    href: str = ""
    note: str = ""
    share: str = ""
    spoken: str = ""
    open: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    head: str
    note: str
    squares: list[Square]
    href: str = ""


def _step(value: float, most: float) -> int:
    """Equal steps of the square root: small values stay apart, the largest is darkest."""
    return 0 if value <= 0 or most <= 0 else max(1, min(8, round(8 * (value / most) ** 0.5)))


def of_person(workspace: Workspace, contact_id: int, language: str) -> dict[str, Any] | None:
    """The scores and tiers of one buyer, for her page; None for whoever has none."""
    found = scores.buyer(workspace, contact_id)
    if found is None:
        return None
    return {
        "named": word(NAMED, found.named, language),
        "scores": f"{found.r}-{found.f}-{found.m}",
        "expected": _ahead(workspace, contact_id),
        "stays": [
            (word(TIERS, tier, language), day(since, language), day(until, language) if until else "")
            for tier, since, until in reversed(found.stays)
        ],
    }


def _ahead(workspace: Workspace, contact_id: int) -> dict[str, str] | None:
    """Expected purchases and the chance of another one, where they are computed."""
    told = expected.of_person(workspace, contact_id)
    return {"purchases": number(round(told[0], 2)), "alive": str(told[1])} if told else None


class Page:
    """The figures of one workspace, in the reader's language. ``editor``: whether they open as segments."""

    def __init__(self, workspace: Workspace, scoring: Scoring, language: str, editor: bool) -> None:
        self.workspace, self.scoring, self.language, self.editor = workspace, scoring, language, editor
        self.figures = scores.figures(scoring)
        self.groups, self.fifths = self.figures.groups, self.figures.fifths
        self.people = sum(one.people for one in self.groups)
        self.amount = sum(one.amount for one in self.groups)

    def cash(self, cents: float | None) -> str:
        return cash(cents, self.scoring.currency, self.language)

    def part(self, amount: float, whole: float | None = None) -> str:
        """Its share of the revenue, or of ``whole``."""
        return share_of(amount, self.amount if whole is None else whole, self.language)

    def _open(self, name: str, *rules: dict[str, Any]) -> str:
        return opened(name, *rules) if self.editor else ""

    def finding(self) -> str:
        """What the map says, in one sentence."""
        best = self.groups[0]
        if not best.people or self.amount <= 0:
            return ""
        return _("%(people)s of the buyers are champions and bring %(amount)s of the revenue.") % {
            "people": self.part(best.people, self.people),
            "amount": self.part(best.amount),
        }

    def once(self) -> str:
        """The share of buyers with a single day of purchases."""
        return self.part(self.figures.once, self.people)

    def reference(self) -> str:
        return day(self.scoring.reference, self.language)

    # -- the map

    def columns(self) -> list[str]:
        half = "," if self.language.startswith("fr") else "."

        def shown(total: int) -> str:
            return f"{total // 2}" + (f"{half}5" if total % 2 else "")

        return [
            shown(low) if low == high else _("%(low)s to %(high)s") % {"low": shown(low), "high": shown(high)}
            for low, high in scores.BANDS
        ]

    def rows(self) -> list[Row]:
        days = {one.score: (one.low, one.high) for one in self.fifths if one.measure == "r"}
        cells = self.figures.cells
        most = max((c.amount for c in cells), default=0)
        made = []
        for r in range(5, 0, -1):
            note = _("%(days)s days ago") % {"days": _between(*days[r])} if r in days else ""
            made.append(Row(str(r), note, [self._square(c, most) for c in cells if c.r == r]))
        return made

    def _square(self, cell: scores.Cell, most: int) -> Square:
        low, high = scores.BANDS[cell.band - 1]
        name = word(NAMED, cell.named, self.language)
        mean = {"op": "is", "value": low // 2} if low == high else {"op": "between", "value": [low / 2, high / 2]}
        if "value" in mean and isinstance(mean["value"], list):
            mean["value"] = [int(v) if v == int(v) else v for v in mean["value"]]
        rules = ({"field": "rfm.r", "op": "is", "value": cell.r}, {"field": "rfm.fm", **mean})
        called = _("%(named)s, recency %(r)s, frequency and amount %(fm)s") % {
            "named": name, "r": cell.r, "fm": self.columns()[cell.band - 1],
        }  # fmt: skip
        people = ngettext("%(n)s person", "%(n)s people", cell.people) % {"n": number(cell.people)}
        return Square(
            number(cell.people),
            _step(cell.amount, most),
            self._open(called, *rules) if cell.people else "",
            name,
            self.part(cell.amount) if cell.people else "",
            _("%(named)s: %(people)s, %(amount)s")
            % {"named": name, "people": people, "amount": self.cash(cell.amount)},
        )

    def cuts(self) -> list[tuple[int, list[str]]]:
        """For each score, lowest first: its span, people and share of revenue, by measure."""
        found = {(one.measure, one.score): one for one in self.fifths}
        made = []
        for score in range(1, 6):
            cells = []
            for measure in "rfm":
                one = found.get((measure, score))
                if one is None:
                    cells += [_("nobody"), "–", "–"]
                    continue
                if measure == "m":
                    span = _("%(low)s to %(high)s") % {"low": self.cash(one.low), "high": self.cash(one.high)}
                else:
                    span = _between(one.low, one.high)
                cells += [span, number(one.people), self.part(one.amount)]
            made.append((score, cells))
        return made

    # -- names

    def named(self) -> list[dict[str, Any]]:
        most = max((one.amount for one in self.groups), default=0)
        return [
            {
                "key": one.key,
                "name": word(NAMED, one.key, self.language),
                "advice": ADVICE[one.key],
                "href": self._open(
                    word(NAMED, one.key, self.language), {"field": "rfm.segment", "op": "is", "value": one.key}
                )
                if one.people
                else "",
                "people": one.people,
                "share": self.part(one.people, self.people),
                "amount": self.cash(one.amount),
                "part": self.part(one.amount),
                "bar": bar(max(one.amount, 0), most),
                "days": round(one.median_days) if one.median_days is not None else None,
                "orders": round(one.mean_orders, 2) if one.mean_orders is not None else None,
                "mean": self.cash(round(one.mean_amount) if one.mean_amount is not None else None),
            }
            for one in self.groups
        ]

    # -- months of first purchases

    def months(self) -> list[Row]:
        made = []
        end = self.scoring.reference.year * 12 + self.scoring.reference.month
        for cohort in self.scoring.cohorts[-MONTHS:]:
            month, people = date.fromisoformat(cohort["month"]), cohort["people"]
            again = {later: n for later, n, _cents in cohort["later"]}
            age = end - month.year * 12 - month.month
            squares = []
            for later in range(1, MONTHS + 1):
                if later > age:
                    squares.append(Square("", 0))
                    continue
                n = again.get(later, 0)
                spoken = ngettext("%(n)s person bought again", "%(n)s people bought again", n) % {"n": number(n)}
                text = number(n) if people < FEW else self.part(n, people)
                squares.append(Square(text, _step(n, people), spoken=spoken, open=later == age))
            last = month.replace(day=calendar.monthrange(month.year, month.month)[1])
            called = format_date(month, "MMM yyyy", locale="fr_FR" if self.language.startswith("fr") else "en_GB")
            since = {
                "field": "orders.first",
                "op": "between",
                "value": [month.isoformat(), last.isoformat()],
                "where": {"currency": self.scoring.currency},
            }
            named = _("First purchase in %(month)s") % {"month": called}
            href = self._open(named, since, {"field": "rfm.segment", "op": "known"})
            made.append(Row(called, number(people), squares, href))
        return made


def tier_word(key: str, language: str) -> str:
    return word(TIERS, key, language)
