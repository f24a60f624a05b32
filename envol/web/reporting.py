"""A report put into words, charts and tables. Each chart comes with the sentence it shows and the table behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape, escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from envol.campaigns.models import Campaign
from envol.insight.kept import Figures
from envol.insight.report import FINE, HOURS, SMALL, SOON, Share, minutes
from envol.insight.usual import usual
from envol.outbound.models import Sending
from envol.web import charts
from envol.web.charts import Part, Series
from envol.web.figures import sendings_of
from envol.web.tables import Cell, Table, figure, words
from envol.web.templatetags.envol import city, number, percent, word

TONES = {
    "delivered": "ok",
    "deferred": "warn",
    "waiting": "rest",
    "bounced": "bad",
    "expired": "bad",
    "cancelled": "calm",
    "suppressed": "calm",
}
SITES = 20
HEAT_STEPS = 8


class Reading:
    """One reader's view of a report of ``sendings``; ``only`` is the sending chosen alone, or None."""

    def __init__(self, campaign: Campaign, sendings: Sequence[Sending], only: Sending | None, made: Figures) -> None:
        self.campaign = campaign
        self.sendings = sendings
        self.only = only
        self.report, self._heat = made.report, made.heat
        self.chosen = f"&sending={only.id}" if only else ""
        self._people = reverse("web:people", args=[campaign.pk])

    def people(self, show: str) -> str:
        """Address of the people behind a figure."""
        query = {"show": show} | ({"sending": str(self.only.id)} if self.only else {})
        return f"{self._people}?{urlencode(query)}"

    def tables(self) -> Iterator[Table]:
        """All tables of the page, in its order."""
        yield self.outcome()["table"]
        for part in (self.left_out(), self.funnel(), self.when(), self.links(), self.heat(), self.usual()):
            if part:
                yield part["table"]
        for part in (self.sites(), self.causes()):
            if part:
                yield part["table"]

    def choices(self) -> list[tuple[str, str, bool]]:
        """Label, address, chosen: the first sending with its remainders, and each resend; none when there is one."""
        base = reverse("web:report", args=[self.campaign.pk])
        resends = [sending for sending in sendings_of(self.campaign) if sending.kind == "resend"]
        if not resends:
            return []
        made = [(_("First sending"), base, self.only is None)]
        for n, sending in enumerate(reversed(resends), 1):
            chosen = self.only is not None and self.only.id == sending.id
            made.append((_("Resend %(n)s") % {"n": n}, f"{base}?sending={sending.id}", chosen))
        return made

    # ---- shares

    def share(self, share: Share | None, show: str) -> SafeString | str:
        """« 41 % of the 3,204 who agreed », both sides open their people; few people: counts only."""
        if share is None:
            return ""
        of = self._link(number(share.of), f"agreed_{show}") if share.of else number(0)
        if share.of < SMALL:
            people = self._link(number(share.people), f"agreed_{show}:reacted") if share.people else number(0)
            return _safely(_("%(n)s of the %(of)s who agreed"), n=people, of=of)
        rate = percent(share.people, share.of)
        shown = self._link(rate, f"agreed_{show}:reacted") if share.people else rate
        return _safely(_("%(rate)s of the %(of)s who agreed"), rate=shown, of=of)

    def _link(self, text: str, show: str) -> SafeString:
        return format_html('<a href="{}">{}</a>', self.people(show), text)

    @property
    def clicked_share(self) -> SafeString | str:
        return self.share(self.report.clicked.agreed, "clicks")

    @property
    def opened_share(self) -> SafeString | str:
        return self.share(self.report.opened.agreed, "opens")

    # ---- what happened to the messages

    def outcome(self) -> dict[str, Any]:
        found = self.report.outcome
        said = {
            "delivered": _("delivered"),
            "bounced": _("bounced"),
            "expired": _("given up"),
            "deferred": _("tried again later"),
            "waiting": _("waiting"),
            "cancelled": _("cancelled by stopping"),
            "suppressed": _("refused just before"),
        }
        parts = [
            Part(text, found.get(name, 0), TONES[name], self.people(name))
            for name, text in said.items()
            if found.get(name, 0) or name in ("delivered", "bounced")
        ]
        finding = _("%(share)s delivered.") % {"share": _of(found["delivered"], found["accepted"])}
        table = Table("outcome", _("Where everybody stands"), [_("Outcome"), _("People"), _("Share")])
        table.rows = [
            [words(part.label), figure(part.value, part.href), _rate(part.value, found["accepted"])] for part in parts
        ]
        return {
            "parts": parts,
            "returned": figure(self.report.returned, self.people("returned")),
            "finding": finding,
            "svg": charts.stacked(
                "outcome",
                parts,
                title=_("What happened to the messages"),
                desc=_listed((p.label, p.value) for p in parts),
            ),
            "table": table,
        }

    def left_out(self) -> dict[str, Any] | None:
        if not self.report.excluded:
            return None
        table = Table("left_out", _("Left out before sending, by reason"), [_("Reason"), _("People")])
        table.rows = [
            [words(str(word(reason))), figure(n, self.people(f"excluded:{reason}"))]
            for reason, n in self.report.excluded.items()
        ]
        return {"people": sum(self.report.excluded.values()), "href": self.people("excluded"), "table": table}

    # ---- where do people stop

    def funnel(self) -> dict[str, Any]:
        found, agreed = self.report.outcome, self.report.clicked.agreed
        steps = [
            (pgettext("step", "sent"), found["accepted"], self.people("accepted")),
            (pgettext("step", "delivered"), found["delivered"], self.people("delivered")),
        ]
        if agreed is not None:
            steps.append((pgettext("step", "clicks measured"), agreed.of, self.people("agreed_clicks")))
            steps.append((pgettext("step", "clicked"), agreed.people, self.people("agreed_clicks:reacted")))
            finding = (
                _("%(share)s of those who agreed to be measured clicked.") % {"share": _of(agreed.people, agreed.of)}
                if agreed.of
                else _("Nobody it was delivered to agreed that clicks are measured.")
            )
        else:
            finding = _("Clicks are not measured by person here, so the way ends at the delivery.")
        table = Table("funnel", _("From sent to clicked"), [_("Step"), _("People"), _("Of the step before")])
        before = 0
        rates = []
        for i, (label, n, href) in enumerate(steps):
            share = _of(n, before) if i else ""
            rates.append({"label": label, "n": number(n), "href": href if n else "", "share": share})
            table.rows.append([words(label), figure(n, href), Cell(share, share or "–")])
            before = n
        svg = charts.funnel(
            "funnel",
            [(label, n) for label, n, _href in steps],
            title=_("From sent to clicked"),
            desc=_listed((label, n) for label, n, _href in steps),
            number=number,
        )
        return {"svg": svg, "finding": finding, "steps": rates, "table": table}

    # ---- when

    def when(self, *, cumulative: bool = False) -> dict[str, Any]:
        start = self.sendings[-1].started_at or self.sendings[-1].created_at
        elapsed = (timezone.now() - start).total_seconds()
        fine = elapsed < SOON and bool(self.report.hours)
        hours = list(minutes(self.report) if fine else self.report.hours)
        step, most = (FINE, SOON // FINE) if fine else (3600, HOURS)
        count = max(len(hours), min(most, int(elapsed / step) + 1)) if hours else 0
        clicked = [hours[i].clicked if i < len(hours) else 0 for i in range(count)]
        opened = [hours[i].opened if i < len(hours) else 0 for i in range(count)]
        peak = max(range(count), key=lambda i: clicked[i]) if any(clicked) else None
        table = Table(
            "hours",
            _("The first hours, by five minutes since the start")
            if fine
            else _("The first 72 hours, by hour since the start"),
            [_("Minutes") if fine else _("Hour"), _("Delivered"), _("Clicks"), _("People who clicked"), _("Opens")],
        )
        for h in hours:
            named = f"{5 * h.hour}–{5 * h.hour + 5}" if fine else str(h.hour + 1)
            clickers = figure(h.clickers, self.people(h.figure))
            table.rows.append([words(named), figure(h.delivered), figure(h.clicked), clickers, figure(h.opened)])
        if peak is None:
            finding = _("Nobody has clicked yet.")
        elif fine:
            finding = _("Most clicks came between minute %(from)s and minute %(to)s after the start.") % {
                "from": 5 * peak,
                "to": 5 * peak + 5,
            }
        else:
            finding = _("%(share)s of the clicks came in the first 24 hours, most of them in hour %(hour)s.") % {
                "share": _of(sum(clicked[:24]), sum(clicked)),
                "hour": peak + 1,
            }
        ended = max((s.ended_at for s in self.sendings if s.ended_at), default=None)
        length = ((ended - start).total_seconds() if ended else elapsed) / step
        unfinished = 0 < elapsed < most * step
        lines = [(_("clicks"), clicked, "one"), (_("opens"), opened, "two")]
        svg = charts.lines(
            "when",
            [Series(label, _summed(values) if cumulative else values, kind) for label, values, kind in lines],
            title=_("Clicks and opens since the start, added up") if cumulative else _("Clicks and opens by hour"),
            desc=finding,
            ticks=lambda value: number(round(value, 1) if value % 1 else int(value)),
            labels=[
                (f"{5 * i} min" if fine else f"{i + 1} h") if i % (1 if count < 10 else 3 if fine else 6) == 0 else ""
                for i in range(count)
            ],
            window=(0.0, min(length, count - 1), _("sending")) if count > 1 else None,
            open_from=count - 2 if unfinished and count > 1 else None,
        )
        return {
            "svg": svg,
            "finding": finding,
            "table": table,
            "cumulative": cumulative,
            "fine": fine,
            "unfinished": unfinished,
        }

    # ---- which link

    def links(self) -> dict[str, Any] | None:
        found = self.report.links
        if not found:
            return None
        most = max((link.people or link.events for link in found), default=0)
        table = Table(
            "links",
            _("Links by people; clicks counted without a name stand apart"),
            [_("Link"), _("People"), _("Clicks"), _("Without a name"), _("Machines"), _("Address")],
        )
        rows = []
        for link in found:
            href = self.people(link.figure)
            label = link.label or link.url
            rows.append(
                {
                    "label": label,
                    "url": link.url,
                    "people": number(link.people),
                    "href": href if link.people else "",
                    "bar": charts.bar(link.people, most),
                }
            )
            table.rows.append(
                [
                    words(label), figure(link.people, href), figure(link.events), figure(link.nameless),
                    figure(link.machine_events), words(link.url),
                ]
            )  # fmt: skip
        best = found[0]
        finding = (
            ngettext(
                "“%(label)s” was followed by %(n)s person, more than any other link.",
                "“%(label)s” was followed by %(n)s people, more than any other link.",
                best.people,
            )
            % {"label": (best.label or best.url)[:80], "n": number(best.people)}
            if best.people
            else _("No link was followed by anybody whose clicks are measured.")
        )
        return {"rows": rows, "finding": finding, "table": table}

    # ---- which day and hour

    def heat(self) -> dict[str, Any] | None:
        """None below 500 clicks: chance, not habit."""
        found = self._heat
        if not found.enough:
            return None
        from babel.dates import get_day_names

        names = get_day_names("wide", locale=(get_language() or "en")[:2])
        most = found.best.events
        days = []
        table = Table("heat", _("Clicks by day and hour"), [_("Day"), _("Hour"), _("Clicks"), _("People")])
        for day in range(7):
            cells = found.cells[day * 24 : day * 24 + 24]
            days.append(
                {
                    "name": names[day],
                    "cells": [
                        {
                            "hour": cell.hour,
                            "events": number(cell.events),
                            "people": number(cell.people),
                            "href": self.people(cell.figure) if cell.people else "",
                            "step": -(-cell.events * HEAT_STEPS // most) if cell.events else 0,
                        }
                        for cell in cells
                    ],
                }
            )
            table.rows += [
                [
                    words(names[day]),
                    figure(cell.hour),
                    figure(cell.events),
                    figure(cell.people, self.people(cell.figure)),
                ]
                for cell in cells
                if cell.events
            ]
        finding = _("Most clicks came on %(day)s between %(from)s and %(to)s h (%(zone)s).") % {
            "day": names[found.best.day - 1],
            "from": found.best.hour,
            "to": found.best.hour + 1,
            "zone": city(found.zone),
        }
        return {"days": days, "hours": range(24), "finding": finding, "table": table, "total": number(found.total)}

    # ---- better than usual

    def usual(self) -> dict[str, Any] | None:
        found = usual(self.campaign.workspace, self.campaign.pk) if self.only is None else ()
        if not found:
            return None
        names = {"clicked": _("clicked"), "bounced": _("bounced"), "unsubscribed": _("unsubscribed")}
        table = Table(
            "usual",
            _("Beside your own earlier campaigns"),
            [
                _("Rate"),
                _("This campaign"),
                _("People"),
                _("Of"),
                _("Usually at least"),
                _("Median"),
                _("Usually at most"),
            ],
        )
        rows = []
        for one in found:
            where = {
                "above": _("above your usual range"),
                "below": _("below your usual range"),
                "within": _("within your usual range"),
            }[one.standing]
            sentence = _("%(name)s: %(share)s, %(where)s") % {
                "name": names[one.metric],
                "share": _of(one.own.people, one.own.of),
                "where": where,
            }
            svg = charts.band(
                f"usual-{one.metric}", one.own.rate or 0.0, one.low, one.median, one.high,
                title=names[one.metric], desc=sentence, percent=_fine,
            )  # fmt: skip
            rows.append({"sentence": sentence, "svg": svg})
            table.rows.append(
                [
                    words(names[one.metric]), Cell(one.own.rate, _fine(one.own.rate or 0.0), "", True),
                    figure(one.own.people), figure(one.own.of),
                    *(Cell(value, _fine(value), "", True) for value in (one.low, one.median, one.high)),
                ]
            )  # fmt: skip
        first = found[0]
        finding = {
            "above": _("More people clicked than usual."),
            "below": _("Fewer people clicked than usual."),
            "within": _("About as many people clicked as usual."),
        }[first.standing]
        return {"rows": rows, "finding": finding, "table": table, "campaigns": first.campaigns}

    # ---- by destination, and why not

    def sites(self) -> dict[str, Any] | None:
        if not self.report.sites:
            return None
        heads = [_("Destination"), _("People"), _("Delivered"), _("Bounced"), _("Deferred"), _("Clicked")]
        names = ["delivered", "bounced", "deferred", "clicked"]
        for name, head in (("returned", _("Came back later")), ("complained", _("Complained"))):
            if any(getattr(site, name) for site in self.report.sites):
                heads.append(head)
                names.append(name)
        table = Table("sites", _("By destination"), heads)
        for site in self.report.sites:
            at = f"site:{site.site}"
            bar = charts.strip([Part(name, getattr(site, name), tone) for name, tone in TONES.items()])
            table.rows.append(
                [
                    words(site.site, bar=bar),
                    figure(site.accepted, self.people(at)),
                    *(figure(getattr(site, name), self.people(f"{at}:{name}")) for name in names),
                ]
            )
        shown = Table(table.key, table.caption, table.head, table.rows[:SITES])
        return {"table": table, "shown": shown, "more": max(0, len(table.rows) - SITES)}

    def causes(self) -> dict[str, Any] | None:
        if not self.report.causes:
            return None
        table = Table("causes", _("Why some were not delivered"), [_("Cause"), _("People"), _("For example")])
        for cause in self.report.causes:
            said = str(word(cause.cause or cause.state))
            show = f"{cause.state}:{cause.cause}" if cause.cause else cause.state
            table.rows.append([words(said), figure(cause.people, self.people(show)), words(cause.example)])
        return {"table": table}


def _safely(sentence: str, **parts: str) -> SafeString:
    """A translated sentence with HTML at its places; everything else is escaped."""
    return mark_safe(escape(sentence) % {name: conditional_escape(part) for name, part in parts.items()})  # noqa: S308


def _of(part: int, whole: int) -> str:
    """« 41 % (1,313 of 3,204) »; below 30 people the numbers alone."""
    numbers = {"n": number(part), "of": number(whole)}
    if whole < SMALL:
        return _("%(n)s of %(of)s") % numbers
    return _("%(rate)s (%(n)s of %(of)s)") % {**numbers, "rate": percent(part, whole)}


def _rate(part: int, whole: int) -> Cell:
    if whole < SMALL:
        return Cell("", "–", "", True)
    return Cell(round(part / whole, 6), percent(part, whole), "", True)


def _fine(rate: float) -> str:
    return percent(round(rate * 10_000), 10_000)


def _listed(parts: Any) -> str:
    return ", ".join(f"{number(n)} {label}" for label, n in parts)


def _summed(values: Sequence[int]) -> list[int]:
    made, total = [], 0
    for value in values:
        total += value
        made.append(total)
    return made
