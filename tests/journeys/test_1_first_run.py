"""Journey 1: from the link that the installer prints to a domain whose records are checked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journeys.traveller import Traveller


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.usefixtures("empty_database", "nothing_in_dns")
def test_first_run(browser: Any, address: str, language: str) -> None:
    from envol.accounts import first

    context = browser.new_context(locale=language)
    one = Traveller(context.new_page(), address, language)
    one.page.goto(f"{address}/setup/{first.token()}")
    one.type(one.say("Your name"), "Zoé Martin")
    one.type(one.say("Your e-mail address"), "zoe@boutique.example")
    one.type(one.say("Password"), "quatre mots bien ordinaires")
    one.type(one.say("Name of the organisation"), "Librairie des Deux Rives")
    one.press(one.say("Make my organisation"))
    one.at("/settings/domains")
    one.type(one.say("Domain"), "lettre.boutique.example")
    one.press(one.say("Declare the domain"))
    one.at(r"/settings/domains/\d+")
    one.press(one.say("All of it as a zone file"))
    one.press(one.say("Copy the zone file"))
    one.page.keyboard.press("Home")
    one.page.locator("main").focus()
    one.press(one.say("Check the records"))
    one.sees(one.say("nothing"))
    one.write_down(1, "First run", 9)
    context.close()
