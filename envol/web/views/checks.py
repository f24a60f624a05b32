"""Will it work? Everything that is looked at before a campaign leaves, each with what to do and where."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.campaigns import checks as service
from envol.campaigns.checks import BLOCK, GROUPS, Check
from envol.campaigns.models import Campaign
from envol.contacts.models import Contact
from envol.web.doors import MemberRequest, audience
from envol.web.views.contacts import name_of

SHOWN = 3  # people named beside a check


def place_of(campaign: Campaign, check: Check, role: str) -> tuple[str, str]:
    """Where a check is mended: address and words; empty for who may not go there."""
    page = reverse("web:campaign", args=[campaign.pk])
    match check.where:
        case "domains":
            return reverse("web:domains"), _("Go to the domains")
        case "settings":
            return (reverse("web:settings"), _("Go to the settings")) if role == Role.OWNER else ("", "")
        case "content" if role != Role.VIEWER:
            return reverse("web:content", args=[campaign.pk]), _("Go to the content")
        case "sender":
            return f"{page}#sender", _("Go to the sender and the subject")
        case "audience":
            return f"{page}#audience", _("Go to the audience")
        case _:
            return f"{page}#{check.where}", _("Go there")


def _people(campaign: Campaign, check: Check) -> list[dict[str, Any]]:
    """The first few of those a check speaks of, so that one can look at a real person."""
    ids = list(check.facts.get("sample", ()))[:SHOWN]
    found = Contact.objects.filter(workspace_id=campaign.workspace.pk, pk__in=ids).order_by("pk") if ids else ()
    return [{"id": one.pk, "name": name_of(one.props) or one.email} for one in found]


def grouped(campaign: Campaign, found: list[Check], role: str) -> list[dict[str, Any]]:
    """The checks by what they look at, also those that found nothing."""
    language = get_language() or "en"
    names = {
        "audience": _("Audience and permission"),
        "sender": _("Sender and domain"),
        "content": _("Content"),
        "links": _("Links"),
        "images": _("Pictures"),
        "weight": _("Weight"),
        "text": _("Text part"),
        "unsubscribe": _("Unsubscribing"),
        "values": _("Values of people"),
    }
    well = {
        "audience": _("Somebody may be written to, by a purpose that was agreed to."),
        "sender": _("The sender writes from a domain of yours that is ready."),
        "content": _("There is a subject and a content."),
        "links": _("Every link has a whole address."),
        "images": _("Every picture has its words, or is marked as decoration."),
        "weight": _("The message is light enough not to be cut."),
        "text": _("Who reads text only has something to read."),
        "unsubscribe": _("Everybody can leave with one click."),
        "values": _("Nobody reads a hole where a name should be."),
    }
    rows = []
    for group in GROUPS:
        mine = [check for check in found if check.group == group]
        rows.append(
            {
                "key": group,
                "name": names[group],
                "well": well[group],
                "state": "missing" if any(c.level == BLOCK for c in mine) else "look" if mine else "ok",
                "checks": [
                    {
                        "check": c,
                        "sentence": c.sentence(language),
                        "place": place_of(campaign, c, role),
                        "people": _people(campaign, c),
                    }
                    for c in mine
                ],
            }
        )
    return rows


@require_safe
@audience(Role.VIEWER)
def checks(request: MemberRequest, campaign_id: int) -> HttpResponse:
    from envol.web.views.campaigns import AT_ONCE, one

    found = one(request, campaign_id)
    look = service.look(found, None if "whole" in request.GET else AT_ONCE)
    looked = look.checks
    facts = {
        "later": not look.complete,
        "campaign": found,
        "groups": [
            group
            for group in grouped(found, looked, request.member.role)
            if look.complete or group["key"] not in ("audience", "values")
        ],
        "blocked": sum(c.level == BLOCK for c in looked),
        "advice": sum(c.level != BLOCK for c in looked),
    }
    return render(request, "campaigns/all_checks.html", facts)
