"""Where one can go: the rail, and everything the palette offers to this member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from envol.accounts.models import Role
from envol.web.doors import may_enter


@dataclass(frozen=True, slots=True)
class Place:
    """A page one can go to.

    ``inside`` are the beginnings of paths that belong to its entry of the rail; ``short`` is its word where six
    entries share the width of a telephone.
    """

    route: str
    label: str | Promise
    icon: str
    inside: tuple[str, ...] = ()
    least: Role = Role.VIEWER
    short: str | Promise = ""
    local: bool = False  # only where mail is captured, or comes in

    @property
    def href(self) -> str:
        """Its address, or nothing in an installation that does not have it."""
        try:
            return reverse(f"web:{self.route}")
        except NoReverseMatch:
            return ""


RAIL = (
    Place("home", _("Home"), "home", ("/",)),
    Place(
        "contacts",
        _("Contacts"),
        "people",
        ("/contacts", "/segments", "/imports", "/exports", "/fields", "/lists", "/forms", "/audience", "/shops"),
    ),
    Place("campaigns", _("Campaigns"), "letter", ("/campaigns", "/media", "/mail")),
    Place("consent", _("Consent"), "shield", ("/consent",), short=pgettext_lazy("narrow", "Consent")),
    Place("inbox", _("Inbox"), "inbox", ("/inbox",), Role.OWNER, pgettext_lazy("narrow", "Inbox"), local=True),
    Place("account", _("Settings"), "gear", ("/settings", "/deliverability")),
)
MORE = (
    Place("segments", _("Segments"), "filter"),
    Place("new_segment", _("Make a segment"), "plus", least=Role.EDITOR),
    Place("rfm", _("Purchases"), "chart"),
    Place("tiers", _("Tiers"), "chart"),
    Place("delays", _("Repurchase delays"), "clock"),
    Place("topics", _("Interests"), "tag"),
    Place("inactivity", _("Inactivity"), "clock"),
    Place("happenings", _("Your own events"), "clock"),
    Place("shops", _("Our shops"), "globe"),
    Place("analysis", _("Ask by SQL"), "table", least=Role.EDITOR),
    Place("imports", _("Import people"), "upload", least=Role.EDITOR),
    Place("moves", _("Moving in"), "upload", least=Role.OWNER),
    Place("exports", _("Exports"), "download", least=Role.EDITOR),
    Place("fields", _("Fields"), "table", least=Role.EDITOR),
    Place("lists", _("Lists"), "list"),
    Place("forms", _("Sign-up forms"), "form", least=Role.EDITOR),
    Place("new_campaign", _("Write a campaign"), "pen", least=Role.EDITOR),
    Place("mail", _("Message log"), "list"),
    Place("deliverability", _("Deliverability"), "chart"),
    Place("held", _("Held for review"), "shield", least=Role.EDITOR),
    Place("queue", _("Queue"), "clock"),
    Place("traffic", _("Traffic"), "chart"),
    Place("mailing_lists", _("Mailing lists"), "list", least=Role.EDITOR),
    Place("media", _("Pictures"), "image", least=Role.EDITOR),
    Place("suppressions", _("Who gets nothing more"), "shield"),
    Place("six_steps", _("Compliance in six steps"), "check"),
    Place("assessments", _("Assessments"), "list"),
    Place("texts", _("Notices and terms"), "form"),
    Place("record", _("Records of processing"), "list"),
    Place("data_map", _("Data map"), "table"),
    Place("processors", _("Processors and transfers"), "globe"),
    Place("breaches", _("Breaches"), "alert", least=Role.EDITOR),
    Place("demands", _("Foreign authorities"), "globe", least=Role.EDITOR),
    Place("settings", _("Organisation"), "gear", least=Role.OWNER),
    Place("domains", _("Domains"), "globe", least=Role.EDITOR),
    Place("stored", _("Mail that waits for its server"), "clock", least=Role.EDITOR),
    Place("team", _("Team"), "people", least=Role.OWNER),
    Place("keys", _("API keys"), "key", least=Role.OWNER),
    Place("developers", _("Developers"), "key", least=Role.EDITOR),
    Place("webhooks", _("Webhooks"), "send", least=Role.OWNER),
    Place("journal", _("Journal"), "list", least=Role.OWNER),
    Place("looks", _("Who looked at whom"), "people", least=Role.OWNER),
)


def open_to(request: HttpRequest, places: tuple[Place, ...]) -> list[Place]:
    """Those of ``places`` that exist here and that this member may enter."""
    member = getattr(request, "member", None)
    local = settings.ENVOL.route == "local" or bool(settings.ENVOL.inbound)
    return [p for p in places if member and (local or not p.local) and p.href and may_enter(member, p.least, p.href)]


def rail(request: HttpRequest) -> list[dict[str, Any]]:
    """The entries of the rail, with the one that holds this page marked."""
    path = request.path
    found = []
    for place in open_to(request, RAIL):
        here = path == "/" if place.inside == ("/",) else path.startswith(place.inside)
        found.append(
            {
                "href": place.href,
                "label": place.label,
                "short": place.short,
                "icon": place.icon,
                "here": here,
                "exactly": path == place.href,
            }
        )
    return found
