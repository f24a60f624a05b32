"""Our shops: where they are, when they are open, how many people live near each; adding, changing, removing."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from babel import Locale
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role
from envol.audience import shops as service
from envol.audience.catalogue import Catalogue
from envol.audience.models import Shop
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.meanwhile import moved, sentence

NEAR_KM = 15


@require_safe
@audience(Role.VIEWER)
def shops(request: MemberRequest) -> HttpResponse:
    return _page(request)


def _page(request: MemberRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    catalogue = Catalogue(request.workspace)
    place = next((f for f in catalogue.fields.values() if f.kind == "place" and not f.sensitive), None)
    countries = Locale.parse("fr_FR" if (get_language() or "en").startswith("fr") else "en_GB").territories
    lines = [
        {
            "shop": shop,
            "country": countries.get(shop.country, shop.country),
            "nearest": _rule(place.key, "nearest_shop", [shop.pk], _("Nearest shop: %(name)s") % {"name": shop.name})
            if place
            else "",
        }
        for shop in catalogue.shops.values()
    ]
    near = _("Within %(km)s km of a shop") % {"km": NEAR_KM}
    facts = {
        "lines": lines,
        "place": place,
        "near": _rule(place.key, "near_shop", NEAR_KM, near) if place and lines else "",
        "near_km": NEAR_KM,
        "given": {"country": "FR"} if not lines else {"country": lines[-1]["shop"].country},
        "wrong": {},
    }
    return render(request, "shops/list.html", facts | more, status=status)


def _rule(field: str, op: str, value: Any, name: str) -> str:
    """The address of the builder with this rule and name."""
    tree = {"v": 1, "match": "all", "rules": [{"field": field, "op": op, "value": value}]}
    return f"{reverse('web:new_segment')}?{urlencode({'name': name, 'tree': json.dumps(tree, ensure_ascii=False)})}"


def _one(request: MemberRequest, shop_id: int) -> Shop:
    found = Shop.objects.filter(workspace=request.workspace, pk=shop_id).first()
    if found is None:
        raise Http404
    return found


def _typed(request: MemberRequest) -> dict[str, str]:
    return {part: request.POST.get(part, "").replace("\r\n", "\n") for part in service.PARTS}


@require_POST
@audience(Role.EDITOR)
def new_shop(request: MemberRequest) -> HttpResponse:
    typed = _typed(request)
    try:
        made, undo = service.save(request.workspace, typed, actor_id=request.member.pk)
    except service.ShopProblem as error:
        return _page(request, status=422, given=typed, wrong=error.wrong)
    said = _("The shop “%(name)s” is added; rules of segments may speak of it.") % {"name": made.name}
    return see(request, "shops", said=said, undo=undo)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def shop(request: MemberRequest, shop_id: int) -> HttpResponse:
    """One shop: its facts to change, and its removal."""
    one = _one(request, shop_id)
    now = {part: getattr(one, part) for part in service.PARTS}
    if request.method != "POST":
        return _shop(request, one, now)
    typed = _typed(request)
    if moved(request, *now.values()):
        return _shop(request, one, typed, problem=sentence(one.name), status=409)
    # Coordinates that were not touched belong to the place before: a new postcode finds its own.
    if (typed["postcode"], typed["town"]) != (one.postcode, one.town) and _same_spot(one, typed):
        typed |= {"lat": "", "lon": ""}
    try:
        _shop_saved, undo = service.save(request.workspace, typed, shop=one, actor_id=request.member.pk)
    except service.ShopProblem as error:
        return _shop(request, one, typed, wrong=error.wrong, status=422)
    return see(request, "shops", said=_("The shop “%(name)s” is changed.") % {"name": typed["name"].strip()}, undo=undo)


def _same_spot(one: Shop, typed: dict[str, str]) -> bool:
    return (typed["lat"], typed["lon"]) == (str(one.lat), str(one.lon))


def _shop(request: MemberRequest, one: Shop, given: dict[str, Any], *, status: int = 200, **more: Any) -> HttpResponse:
    facts = {"shop": one, "given": given, "wrong": {}, "problem": "", "used_by": service.users_of(one)}
    return render(request, "shops/one.html", facts | more, status=status)


@require_POST
@audience(Role.EDITOR)
def remove_shop(request: MemberRequest, shop_id: int) -> HttpResponse:
    one = _one(request, shop_id)
    try:
        undo = service.remove(one, actor_id=request.member.pk)
    except service.ShopProblem as error:
        return refuse(request, "shop", one.pk or shop_id, said=str(error))
    return see(request, "shops", said=_("The shop “%(name)s” is gone.") % {"name": one.name}, undo=undo)
