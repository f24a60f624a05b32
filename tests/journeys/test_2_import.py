"""Journeys 2 and 3: a file of people from the drop to the result, without and with a permission."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.journeys.traveller import Traveller

LINES = 10_000


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A shop for each language, so that neither meets the other's people."""
    from tests.web.shop import open_shop

    return {language: open_shop(readers=30, folder=tmp_path_factory.mktemp(language)) for language in ("fr", "en")}


def _file(folder: Path, name: str) -> Path:
    head = "courriel;prénom;nom;ville;date du consentement;preuve du consentement\n"
    rows = (f"{name}{n}@lecteurs.example;Zoé;Martin;Nantes;2026-03-14;bulletin {n}\n" for n in range(LINES))
    file = folder / f"{name}.csv"
    file.write_text(head + "".join(rows), "utf-8")
    return file


def _signed_in(browser: Any, shop: Any, address: str, language: str) -> Traveller:
    from django.conf import settings
    from django.test import Client

    user = shop.members["editor"].user
    user.language = language
    user.save(update_fields=["language"])
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    context = browser.new_context(locale=language)
    name = settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": address}])
    return Traveller(context.new_page(), address, language)


def _bring(one: Traveller, file: Path) -> Any:
    """Dropping or choosing the file is one click: it goes at once, and the columns are proposed."""
    from envol.contacts.models import Import

    one.page.goto(f"{one.address}/imports")
    one.clicks += 1
    one.steps.append(file.name)
    one.page.locator("#file").set_input_files(file)
    one.page.wait_for_url("**/imports/*")
    return Import.objects.latest("id")


def _work(imp: Any, act: Any) -> None:
    """What the worker does meanwhile; its page is open and sees the end by itself."""
    imp.refresh_from_db()
    act(imp.pk, imp.job_id)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_import(browser: Any, address: str, shops: dict[str, Any], tmp_path: Path, language: str) -> None:
    from envol.contacts.models import Contact
    from envol.contacts.tasks import dry_run_import, run_import

    shop = shops[language]
    one = _signed_in(browser, shop, address, language)
    imp = _bring(one, _file(tmp_path, "sans"))
    one.press(one.say("Keep these columns"))
    one.sees(one.say("What did these people agree to?"))
    one.pick(one.say("the people themselves"))
    one.press(one.say("Without permission: keep them, write to nobody"))
    one.sees(one.say("This page can be left: the work goes on."))
    _work(imp, dry_run_import)
    one.sees(one.say("What this file will do"))
    with_figure = one.page.locator("button[value=run]").inner_text()
    assert "10" in with_figure and "000" in with_figure
    one.press(with_figure)
    one.sees(one.say("This page can be left: the work goes on."))
    _work(imp, run_import)
    one.sees(one.say("What this file did"))
    people = Contact.objects.filter(workspace_id=shop.workspace.pk, email_key__startswith="sans")
    assert people.count() == LINES and not people.filter(allowed__gt=0).exists()
    one.write_down(2, "Import 10,000 people", 5)
    one.page.context.close()


@pytest.mark.parametrize("language", ["fr", "en"])
def test_permission(browser: Any, address: str, shops: dict[str, Any], tmp_path: Path, language: str) -> None:
    """Three clicks more than an import without permission: the purpose, the basis, the proof."""
    from envol.contacts.models import Contact
    from envol.contacts.tasks import dry_run_import, run_import

    shop = shops[language]
    one = _signed_in(browser, shop, address, language)
    imp = _bring(one, _file(tmp_path, "avec"))
    one.press(one.say("Keep these columns"))
    one.sees(one.say("What did these people agree to?"))
    one.pick(one.say("the people themselves"))
    for name, value in (("purpose", "newsletter"), ("basis", "consent"), ("evidence", "line")):
        # Groups of radios are walked with the arrows once the focus is inside; Space chooses.
        one.page.locator(f"input[name={name}][value={value}]").focus()
        one.click("Space", value)
        if name == "basis":
            one.type(one.say("Where was it given?"), "Salon du livre")
    one.press(one.say("State the permission and try the file"))
    one.sees(one.say("This page can be left: the work goes on."))
    _work(imp, dry_run_import)
    one.press(one.page.locator("button[value=run]").inner_text())
    one.sees(one.say("This page can be left: the work goes on."))
    _work(imp, run_import)
    one.sees(one.say("What this file did"))
    people = Contact.objects.filter(workspace_id=shop.workspace.pk, email_key__startswith="avec")
    assert people.filter(allowed__gt=0).count() == LINES
    one.write_down(3, "Permission (with its import)", 8)
    one.page.context.close()


def test_a_table_is_chosen_from_with_keys_alone(browser: Any, address: str, shops: dict[str, Any]) -> None:
    """j, x and k; the bar says how many; a tag goes to them and comes back by the message."""
    from envol.contacts.models import Contact

    shop = shops["en"]
    one = _signed_in(browser, shop, address, "en")
    one.page.goto(f"{address}/contacts?q=martin")
    bar = one.page.locator(".bulk")
    assert not bar.is_visible()
    for key in "jxjx":
        one.page.keyboard.press(key)
    bar.wait_for()
    assert bar.locator("output").inner_text().startswith("2 ")
    one.press("Add a tag", tags=("BUTTON",))
    one.page.wait_for_url("**/contacts/act*")
    one.page.keyboard.type("vip")
    one.page.keyboard.press("Enter")
    one.page.wait_for_url("**/contacts?q=martin")
    tagged = Contact.objects.filter(workspace_id=shop.workspace.pk, tags__contains=["vip"])
    assert tagged.count() == 2
    one.page.locator("undo-notice button").focus()
    one.page.keyboard.press("Enter")
    one.sees("Taken back for 2 people")
    assert not tagged.exists()
    one.page.context.close()


def test_a_filter_answers_while_one_types_and_keeps_the_focus(
    browser: Any, address: str, shops: dict[str, Any]
) -> None:
    one = _signed_in(browser, shops["en"], address, "en")
    one.page.goto(f"{address}/contacts")
    one.page.keyboard.press("/")
    one.page.keyboard.type("girard")
    one.page.get_by_text("Matches “girard”").wait_for()
    assert one.page.evaluate("document.activeElement.id") == "q"
    one.page.wait_for_url("**/contacts?*q=girard*")
    one.page.context.close()
