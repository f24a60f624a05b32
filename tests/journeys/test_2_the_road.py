"""Journeys 2 to 8 in one go: her own file, her permission, her segment, her letter, its report."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.traveller import LOG, WATCH_PAINTS, Traveller, write_paints

pytestmark = [pytest.mark.road, pytest.mark.timeout(280)]

PASSWORD = "quatre mots bien ordinaires"
PEOPLE = 10_000
CITIES = ("Nantes", "Rennes", "Brest", "Angers")


def file_of_people(folder: Path) -> Path:
    path = folder / "clients.csv"
    with open(path, "w", encoding="utf-8") as out:
        out.write("E-mail;Prénom;Nom;Ville\n")
        for n in range(PEOPLE):
            out.write(f"lecteur{n}@poste{n % 3}.example;Zoé;Martin{n};{CITIES[n % 4]}\n")
    return path


def picture(folder: Path) -> Path:
    from PIL import Image

    path = folder / "vitrine.png"
    Image.new("RGB", (640, 320), "#134e5e").save(path)
    return path


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_road(browser: Any, envol: str, language: str, tmp_path: Path) -> None:
    from envol.accounts import first
    from envol.accounts.models import User, Workspace
    from envol.outbound import domains

    name = f"librairie-{secrets.token_hex(3)}"
    owner = f"zoe@{name}.example"
    first.setup(owner, PASSWORD, name)
    User.objects.filter(email=owner).update(language=language)
    workspace = Workspace.objects.get(name=name)
    Workspace.objects.filter(pk=workspace.pk).update(
        postal_address="3 rue des Livres, 44000 Nantes", take_back_seconds=2, language=language
    )
    domains.add(workspace, f"{name}.example", trusted=True)
    context = browser.new_context(locale=language, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.add_init_script(WATCH_PAINTS)
    page = context.new_page()
    page.set_default_timeout(30_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(envol + "/login/")
    page.fill("input[name=login]", owner)
    page.fill("input[type=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(envol + "/")

    try:
        bring_people(Traveller(page, envol, language), file_of_people(tmp_path))
        segment(Traveller(page, envol, language))
        design(Traveller(page, envol, language), picture(tmp_path), owner)
        try_it(Traveller(page, envol, language))
        send(Traveller(page, envol, language))
        measure(Traveller(page, envol, language))
    except BaseException:
        page.screenshot(path=LOG.parent / "journey-failed.png", full_page=True)  # where she stood
        raise
    write_paints(page, language)
    assert not errors
    context.close()


def bring_people(one: Traveller, file: Path) -> None:
    """2 and 3: a file of 10,000 people, and what they agreed to."""
    one.page.goto(f"{one.address}/imports")
    with one.page.expect_file_chooser() as chooser:
        one.press(one.say("Drop the file here, or choose it"))
    chooser.value.set_files(file)
    one.at(r"/imports/\d+")
    one.sees(one.say("Which column is what?"))
    one.press(one.say("Keep these columns"))
    one.sees(one.say("What did these people agree to?"))
    one.pick(one.say("the people themselves"))
    import_clicks = one.clicks
    permission = Traveller(one.page, one.address, one.language)
    permission.pick("Lettre d" if one.language == "fr" else "Newsletter")
    permission.pick(one.say("consent"))
    permission.type(one.say("Where was it given?"), "Formulaire du site")
    one.page.fill("input[type=date]:visible", "2026-01-15")  # typed; the order of its parts is the browser's
    permission.pick(one.say("my statement"))
    permission.type(one.say("Statement: how these people gave their permission"), "Case cochée à l’inscription.")
    permission.write_down(3, "Permission", 3)
    one.press(one.say("State the permission and try the file"))
    one.sees(one.say("What this file will do"))
    one.reach(one.say("Write %(lines)s line").split("%")[0].strip(), ("BUTTON",))
    one.click("Enter", one.say("Write %(lines)s line").split(" %")[0])
    one.sees(one.say("What this file did"))
    assert one.clicks == import_clicks + 2
    one.write_down(2, "Import 10,000 people", 5)


def segment(one: Traveller) -> None:
    """4: who writes from one provider; the count follows while she types."""
    one.page.goto(f"{one.address}/segments")
    one.press(one.say("Make a segment"), tags=("A",))
    one.at("/segments/new")
    one.page.locator("[name='r.0.f']").wait_for(state="attached")
    one.reach(one.say("What the rule is about"))
    one.page.keyboard.type("mail")
    one.click("Enter", "E-mail")
    one.page.locator("[name='r.0.o']").wait_for()
    one.choose(one.say("How it is compared"), "contient" if one.language == "fr" else "contains")
    one.reach("r.0.v")
    one.page.keyboard.type("poste0")
    number = one.page.locator("#count").filter(has_text="3\u202f334" if one.language == "fr" else "3,334")
    number.wait_for()
    one.type(one.say("Name of the segment"), "Chez Poste")
    one.press(one.say("Save the segment"))
    one.at(r"/segments/\d+")
    one.sees("Chez Poste")
    one.write_down(4, "Segment", 6)


def design(one: Traveller, file: Path, owner: str) -> None:
    """5: a letter from a model, in one's own words, with a picture, seen as one person sees it."""
    one.page.goto(one.address + "/")
    one.press(one.say("Write a campaign"))
    one.at("/campaigns/new")
    one.type(one.say("Name"), "Lettre d’hiver")
    one.press(one.say("Make the campaign"))
    one.at(r"/campaigns/\d+")
    one.press(one.say("Change the audience"))
    one.choose(one.say("Segment"), "Chez Poste")
    one.press(one.say("Save the audience"))
    one.at("#audience")
    one.type(one.say("Address of the sender"), owner)
    one.press(one.say("Save sender and subject"))
    one.at("#sender")
    one.press(one.say("Write the content"))
    one.at("/content")
    for field in one.page.locator("main textarea[name*='place'], main textarea[id^='p']").all():
        field.fill("Nos mots à nous.")
    with one.page.expect_file_chooser() as chooser:
        one.press(one.say("Picture from your computer"))
    chooser.value.set_files(file)
    one.sees("vitrine.png")
    one.page.wait_for_load_state()
    one.type(one.say("What it shows, for who does not see it"), "La vitrine de la librairie")
    for field in one.page.locator("main input[name$='.url']").all():
        if field.is_visible():
            field.fill("https://boutique.example/hiver")
    with one.page.expect_navigation():
        one.press(one.say("Save the content"))
    one.write_down(5, "Design", 8)


def try_it(one: Traveller) -> None:
    """6: to oneself first."""
    from envol.outbound.models import Captured

    number = one.page.url.split("/campaigns/")[1].split("/")[0]
    one.page.goto(f"{one.address}/campaigns/{number}")
    before = Captured.objects.count()
    with one.page.expect_navigation():
        one.press(one.say("Send me a test"))
    for _ in range(100):
        if Captured.objects.count() > before:
            break
        one.page.wait_for_timeout(200)
    assert Captured.objects.count() == before + 1
    one.write_down(6, "Test", 2)


def send(one: Traveller) -> None:
    """7: one sentence, then send."""
    one.press(one.say("Look and send"))
    one.at("/send")
    assert one.page.locator(".sentence strong").first.inner_text().replace("\u202f", "").replace(",", "") == "3334"
    if one.page.locator("#typed").count():
        one.page.fill("#typed", "3334")
    one.reach(one.say("Send to %(people)s person").split(" %")[0], ("BUTTON",))
    one.click("Enter", one.say("Send to %(people)s person").split(" %")[0])
    one.at("/live")
    one.page.get_by_text(one.say("Read the report")).first.wait_for(timeout=120_000)
    one.write_down(7, "Send", 3)


def measure(one: Traveller) -> None:
    """8: the report, the people behind a figure, a segment of them."""
    one.press(one.say("Read the report"))
    one.at("/report")
    one.reach("3\u202f334" if one.language == "fr" else "3,334", ("A",))
    one.click("Enter", "3 334")
    one.at("/people")
    one.press(one.say("Save as a segment"))
    one.at(r"/segments/\d+")
    one.write_down(8, "Measure", 3)
