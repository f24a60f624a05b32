"""Do providers accept me? One page for what receivers do with our mail, our domains, lists, and what to do next."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.campaigns.brake import RECEIVER_NAMES
from envol.insight import deliverability as insight
from envol.insight.deliverability import Provider, Standing, Step
from envol.outbound.reputation import OTHERS, THRESHOLDS
from envol.web import charts
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import number, percent

PERIODS = (7, 30)
_TONES = {"few": "calm", "good": "ok", "watch": "calm", "warn": "warn", "stop": "bad"}
_ICONS = {"few": "clock", "good": "check", "watch": "eye", "warn": "alert", "stop": "stop"}
# Where a receiver tells senders what it thinks of them.
POSTMASTERS = {
    "google": "https://postmaster.google.com/",
    "microsoft": "https://sendersupport.olc.protection.outlook.com/snds/",
    "yahoo": "https://senders.yahooinc.com/",
    "orange": "https://postmaster.orange.fr/",
    "laposte": "https://postmaster.laposte.net/",
    "icloud": "https://support.apple.com/102322",
}


@require_safe
@audience(Role.VIEWER)
def deliverability(request: MemberRequest) -> HttpResponse:
    wanted = request.GET.get("days", "")
    days = int(wanted) if wanted in {str(p) for p in PERIODS} else 7
    found = insight.standing(request.workspace, days)
    most = max((sum(day) for one in found.providers for day in one.days), default=0)
    facts = {
        "standing": found,
        "days": days,
        "periods": PERIODS,
        "headline": _headline(found, captured=settings.ENVOL.route == "local"),
        "steps": [_step(step) for step in found.steps],
        "providers": [_provider(one, most, days) for one in found.providers],
        "thresholds": [(_word(name), limits) for name, limits in THRESHOLDS.items()],
        "local": settings.ENVOL.route == "local",
        "watched": bool(settings.ENVOL.blocklists),
    }
    return render(request, "insight/deliverability.html", facts)


def label_of(receiver: str) -> str:
    return _("All the others") if receiver == OTHERS else RECEIVER_NAMES.get(receiver, receiver)


def _in_sentence(receiver: str) -> str:
    return _("the other providers") if receiver == OTHERS else label_of(receiver)


def _headline(found: Standing, *, captured: bool) -> str:
    """The answer to the page's question, in a sentence. captured: nobody was asked, so nobody can have said yes."""
    if not found.providers:
        return ""
    troubled = [_in_sentence(one.name) for one in found.providers if one.level in ("warn", "stop")]
    facts = {"n": number(found.whole.tried), "share": percent(found.whole.delivered, found.whole.tried)}
    if troubled:
        facts["names"] = ", ".join(troubled)
        return (
            ngettext(
                "%(share)s of %(n)s messages arrived; %(names)s needs you.",
                "%(share)s of %(n)s messages arrived; %(names)s need you.",
                len(troubled),
            )
            % facts
        )
    if captured:
        return _("No provider was asked yet: of %(n)s messages %(share)s would have arrived.") % facts
    return _("Yes: %(share)s of %(n)s messages arrived, and no provider objects.") % facts


def _word(name: str) -> str:
    return {
        "hard": _("Dead addresses"),
        "complained": _("Complaints"),
        "deferred": _("Had to wait"),
        "blocked": _("Blocked"),
    }[name]


def _level(level: str) -> dict[str, str]:
    words = {
        "few": _("too few to judge"),
        "good": _("good"),
        "watch": _("to watch"),
        "warn": _("too high"),
        "stop": _("stop"),
    }
    return {"word": words[level], "tone": _TONES[level], "icon": _ICONS[level]}


def _provider(one: Provider, most: int, days: int) -> dict[str, Any]:
    figures = one.figures
    parts = [
        charts.Part("", figures.delivered, "ok"),
        charts.Part("", figures.bounced + figures.expired, "bad"),
    ]
    finding = _("%(share)s of %(n)s arrived at %(name)s") % {
        "share": percent(figures.delivered, figures.tried),
        "n": number(figures.tried),
        "name": _in_sentence(one.name),
    }
    return {
        "name": one.name,
        "label": label_of(one.name),
        "figures": figures,
        "level": _level(one.level),
        "metrics": [
            {"label": _word(key), "n": getattr(figures, key), "level": _level(level), "raw": level}
            for key, level in one.levels.items()
        ],
        "strip": charts.strip(parts),
        "finding": finding,
        "columns": charts.columns(
            f"days-{one.name}",
            one.days,
            ("ok", "bad", "warn"),
            most,
            title=label_of(one.name),
            desc=finding,
        ),
        "table": [(days - 1 - n, *day) for n, day in enumerate(one.days) if any(day)],
        "words": one.words,
        "postmaster": POSTMASTERS.get(one.name, ""),
    }


def _step(step: Step) -> dict[str, Any]:
    share = percent(step.facts.get("share", 0), 1)
    facts = {"about": step.about, "name": _in_sentence(step.about), "share": share, "zone": step.facts.get("zone", "")}
    said = {
        "listed": _("%(about)s is on the blocklist %(zone)s. Find out what was sent, then ask to be taken off."),
        "not_ready": _("%(about)s may not send: publish its records, then check them."),
        "records_gone": _("Records of %(about)s have vanished from DNS. Put them back today, or its mail waits."),
        "no_return": _("Bounces of %(about)s do not come home: publish the records of its return host."),
        "unaligned": _("Only %(share)s of the mail in the name of %(about)s passes DMARC. See who sends the rest."),
        "stricter": _("The mail of %(about)s passes DMARC: a stricter policy now keeps others from using your name."),
        "hard": _(
            "%(share)s of the addresses at %(name)s do not exist. Leave out old and bought addresses; ask new people to"
            " confirm theirs."
        ),
        "complained": _(
            "%(share)s of the people at %(name)s complained. Write to the active ones only, and show the way out at the"
            " top of the message."
        ),
        "deferred": _(
            "%(name)s makes %(share)s of your mail wait. Sending slows down by itself; spread large sendings over days,"
            " the most active people first."
        ),
        "blocked": _(
            "%(name)s refuses %(share)s of your mail for what we are. Read its words below, mend what they name, then"
            " write to its postmaster."
        ),
    }[step.code]
    return {"said": said % facts, "level": _level(step.level), "code": step.code, "domain_id": step.domain_id}
