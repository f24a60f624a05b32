"""Our shops: where they are and when they are open, for rules about who lives near which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.forms.models import model_to_dict
from django.utils.translation import gettext as _

from envol.accounts import journal, undo
from envol.accounts.models import Member, Undo, Workspace
from envol.audience.models import Segment, Shop
from envol.contacts import places

ADDED, CHANGED, REMOVED = "shop.added", "shop.changed", "shop.removed"
MOST = 200
PARTS = ("name", "address", "postcode", "town", "country", "opening", "lat", "lon")
_LONGEST = {"name": 120, "address": 200, "postcode": 12, "town": 100, "opening": 500}


class ShopProblem(ValueError):
    """A shop that cannot be so: ``wrong`` says what to mend, by part of the form."""

    def __init__(self, wrong: dict[str, str]) -> None:
        self.wrong = wrong
        super().__init__(" ".join(wrong.values()))


@dataclass(frozen=True, slots=True)
class Near:
    shop: Shop
    km: float


def save(
    workspace: Workspace, typed: Mapping[str, str], *, shop: Shop | None = None, actor_id: int | None = None
) -> tuple[Shop, Undo]:
    """Add a shop, or give one these facts. Raises :class:`ShopProblem` with every part that is wrong."""
    values = _read(workspace, typed, shop)
    with transaction.atomic():
        Workspace.objects.select_for_update().only("id").get(pk=workspace.pk)  # two of one name, one too many
        rest = Shop.objects.filter(workspace=workspace).exclude(pk=shop.pk if shop else 0)
        if rest.filter(name__iexact=values["name"]).exists():
            said = _("There is already a shop called “%(name)s”; choose another name.") % {"name": values["name"]}
            raise ShopProblem({"name": said})
        if shop is None and rest.count() >= MOST:
            raise ShopProblem({"name": _("There are %(n)s shops already; remove one first.") % {"n": MOST}})
        before = _facts(shop) if shop else None
        if shop is None:
            shop = Shop.objects.create(workspace=workspace, **values)
        else:
            for part, value in values.items():
                setattr(shop, part, value)
            shop.save()
        kind = CHANGED if before else ADDED
        entry = journal.note(workspace, "member", kind, shop, actor_id=actor_id)
        facts = {"id": shop.pk, "before": before, "after": _facts(shop)}
        return shop, undo.offer(entry, kind, facts)


def _facts(shop: Shop) -> dict[str, Any]:
    return model_to_dict(shop, PARTS)


def _read(workspace: Workspace, typed: Mapping[str, str], shop: Shop | None) -> dict[str, Any]:
    values: dict[str, Any] = {part: typed.get(part, "").strip() for part in PARTS}
    wrong: dict[str, str] = {}
    for part, most in _LONGEST.items():
        if part != "opening":
            values[part] = " ".join(values[part].split())
        if len(values[part]) > most:
            wrong[part] = _("Write at most %(n)s characters.") % {"n": most}
        elif "\0" in values[part]:
            wrong[part] = _("This text holds a character that cannot be stored; type it again.")
    if not values["name"]:
        wrong.setdefault("name", _("Give the shop a name."))
    home = "FR" if workspace.time_zone in places.FRENCH_ZONES else ""
    values["country"] = (values["country"] or home).upper()
    if not (len(values["country"]) == 2 and values["country"].isascii() and values["country"].isalpha()):
        wrong["country"] = _("Write a country as its two letters, for example FR.")
    if values["lat"] or values["lon"]:
        try:
            lat, lon = (float(values[part].replace(",", ".")) for part in ("lat", "lon"))
            if not (math.fabs(lat) <= 90 and math.fabs(lon) <= 180):
                raise ValueError
            values |= {"lat": round(lat, 5), "lon": round(lon, 5)}
        except ValueError:
            wrong["lat"] = _("Give both: a latitude lies between -90 and 90, a longitude between -180 and 180.")
    elif not wrong:
        spot = {"postcode": values["postcode"], "label": values["town"], "country": values["country"]}
        found = places.filled({key: text for key, text in spot.items() if text}, "")
        if "lat" not in found:
            wrong["postcode" if values["postcode"] else "town"] = _(
                "The table of places does not know where this is: correct it, or write latitude and longitude."
            )
        else:
            values |= {"lat": found["lat"], "lon": found["lon"]}
    if wrong:
        raise ShopProblem(wrong)
    return values


def users_of(shop: Shop) -> list[Segment]:
    """Segments whose rule would lose its meaning without this shop."""
    alone = not Shop.objects.filter(workspace=shop.workspace).exclude(pk=shop.pk).exists()

    def means(node: Any) -> bool:
        if not isinstance(node, dict):
            return False
        named = node.get("op") == "nearest_shop" and shop.pk in (node.get("value") or ())
        return named or (alone and node.get("op") == "near_shop") or any(map(means, node.get("rules", ())))

    return [one for one in Segment.objects.filter(workspace=shop.workspace).order_by("name") if means(one.tree)]


def remove(shop: Shop, *, actor_id: int | None = None) -> Undo:
    """Take a shop away that no rule needs. Raises :class:`ShopProblem`."""
    if users := users_of(shop):
        names = ", ".join(one.name for one in users[:10])
        said = _("“%(name)s” is used by %(users)s; change those first.") % {"name": shop.name, "users": names}
        raise ShopProblem({"name": said})
    with transaction.atomic():
        entry = journal.note(shop.workspace, "member", REMOVED, shop, actor_id=actor_id)
        offered = undo.offer(entry, REMOVED, {"id": shop.pk, "before": _facts(shop)})
        shop.delete()
        return offered


def nearest(workspace: Workspace, point: places.Point) -> Near | None:
    """The shop nearest to a point, as the crow flies."""
    found = [Near(shop, places.km(point, (shop.lat, shop.lon))) for shop in Shop.objects.filter(workspace=workspace)]
    return min(found, key=lambda one: one.km, default=None)


# -- taking back


def _again(workspace: Workspace, facts: Mapping[str, Any]) -> Shop:
    shop = Shop.objects.filter(workspace=workspace, pk=facts["id"]).first()
    if shop is None:
        raise undo.CannotUndo(_("This shop is gone already."))
    if _facts(shop) != facts["after"]:
        raise undo.CannotUndo(_("The shop was changed again since."))
    return shop


def _free(workspace: Workspace, name: str, but: int) -> None:
    if Shop.objects.filter(workspace=workspace, name__iexact=name).exclude(pk=but).exists():
        raise undo.CannotUndo(_("There is a new shop called “%(name)s”; rename it first.") % {"name": name})


def take_away(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    shop = _again(workspace, facts)
    try:
        remove(shop, actor_id=member.pk)
    except ShopProblem as error:
        raise undo.CannotUndo(str(error)) from None
    return _("The shop “%(name)s” is gone.") % {"name": facts["after"]["name"]}


def put_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    shop = _again(workspace, facts)
    _free(workspace, facts["before"]["name"], shop.pk)
    Shop.objects.filter(pk=shop.pk).update(**facts["before"])
    return _("The shop “%(name)s” is as it was before.") % {"name": facts["before"]["name"]}


def bring_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    _free(workspace, facts["before"]["name"], facts["id"])
    Shop.objects.create(pk=facts["id"], workspace=workspace, **facts["before"])
    return _("The shop “%(name)s” is back.") % {"name": facts["before"]["name"]}


def register() -> None:
    undo.register(ADDED, take_away)
    undo.register(CHANGED, put_back)
    undo.register(REMOVED, bring_back)
