"""Pictures of every page, to be looked at: ``make screenshots`` writes them into ``screenshots/``, which git ignores.

French and English, light and dark, 320, 768 and 1280 px; the names say which: ``contacts-fr-dark-320.png``. With
``ENVOL_SHOTS="contacts en light 1280"`` only those whose name has all these words.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from tests.browser.every_page import every_page
from tests.browser.test_pages import signed_in, speak

FOLDER = Path(__file__).resolve().parents[2] / "screenshots"
WIDTHS = (320, 768, 1280)


def test_write_them_all(browser: Any, address: str, shop: Any) -> None:
    FOLDER.mkdir(exist_ok=True)
    wanted = os.environ.get("ENVOL_SHOTS", "").split()
    changes_of_processors(shop)
    a_high_risk(shop)
    pages = every_page(shop)
    assert len(pages) > 30
    for language in ("fr", "en"):
        page = signed_in(browser, address, shop, locale=language, reduced_motion="reduce")
        speak(page, address, language)
        for path in pages:
            name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\d{2,}", "n", path.lower())).strip("-") or "home"
            shots = [
                (theme, width, f"{name}-{language}-{theme}-{width}")
                for theme in ("light", "dark")
                for width in WIDTHS
                if all(word in f"{name}-{language}-{theme}-{width}" for word in wanted)
            ]
            if not shots:
                continue
            page.goto(address + path)
            for theme, width, shot in shots:
                page.emulate_media(color_scheme=theme)
                page.set_viewport_size({"width": width, "height": 900})
                page.screenshot(path=FOLDER / f"{shot}.png", full_page=True)
        page.context.close()


def changes_of_processors(shop: Any) -> None:
    """One that was told to this workspace and one that waits to be told: other tests count what is planned."""
    from datetime import timedelta

    from django.utils import timezone

    from envol.consent import tenants

    today = timezone.localdate()
    words = "Vos données passent à Hébergeur du Ponant (Brest). Objectez depuis cette page."
    tenants.tell("processor", "Nouvel hébergeur", words, on=today + timedelta(days=35), among=[shop.workspace])
    tenants.plan("Nouveau relais de courrier", words, today + timedelta(days=90))


def a_high_risk(shop: Any) -> None:
    """An impact assessment after which a high risk stays, so that the authority is asked."""
    from envol.consent import assessments
    from envol.consent.models import Purpose
    from tests.web.test_doors import address

    number = int(address("consent/assessments/<int:purpose_id>", shop).rpartition("/")[2])
    purpose = Purpose.objects.get(workspace=shop.workspace, pk=number)
    met = dict.fromkeys(assessments.CRITERIA, False) | dict.fromkeys(list(assessments.CRITERIA)[:3], True)
    assessments.screen(shop.workspace, purpose, met, "Profils croisés avec les achats.")
    words = "Les achats révèlent des opinions. Mesures : thèmes sensibles écartés, profils gardés six mois."
    assessments.done(shop.workspace, purpose, words, high=True)
