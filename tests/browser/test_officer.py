"""A data-protection officer's work from one end to the other, as somebody does it who knows only what the pages say.

She is a reader who keeps the desk, so whatever she could not do with those rights stops her here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from envol.consent import tasks
from envol.consent.models import Erasure, RightsRequest
from envol.contacts.models import Contact
from tests.browser.test_pages import signed_in


def _open(page: Any, address: str, *names: str) -> None:
    """From the home page by the links of these names."""
    page.goto(address + "/")
    for name in names:
        page.get_by_role("link", name=name, exact=True).first.click()


def _take_down(page: Any, address: str, person: str, kind: str) -> None:
    """Somebody stands at the counter: her request is taken down, and who she is, is settled."""
    _open(page, address, "Consent", "Requests")
    page.get_by_text("Take a request down", exact=True).click()
    page.get_by_label("Address of the person").fill(person)
    page.get_by_label("What is asked for?").select_option(kind)
    page.get_by_role("button", name="Take it down").click()
    page.get_by_label("How do you know who asks?").fill("called back under the number of the order")
    page.get_by_role("button", name="The identity is settled").click()


def _download(page: Any, button: Any, path: Path) -> Path:
    with page.expect_download() as got:
        button.click()
    got.value.save_as(path)
    return path


def test_an_officer_does_her_whole_work_without_help(browser: Any, address: str, shop: Any, tmp_path: Path) -> None:
    page = signed_in(browser, address, shop, "dpo", accept_downloads=True, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(10_000)
    person, leaving = shop.people[2], shop.people[3]

    # The proof of one person's permission.
    _open(page, address, "Contacts")
    page.get_by_role("searchbox").last.fill(person.email)
    page.keyboard.press("Enter")
    page.wait_for_url("**/contacts?q=*")
    page.locator("table.people tbody th a, table.people tbody a").first.click()
    page.get_by_role("heading", name="May I write to this person?").wait_for()
    page.get_by_role("link", name="See the proof").first.click()
    page.get_by_text("Checked just now").wait_for()
    assert page.get_by_role("link", name=person.email).count() == 1
    proof = json.loads(_download(page, page.get_by_role("link", name="Take it as a file"), tmp_path / "p").read_text())
    assert proof

    # A request for access, answered with everything that is held.
    _take_down(page, address, person.email, "access")
    pack = _download(page, page.get_by_role("link", name="The data as one file"), tmp_path / "access.zip")
    with zipfile.ZipFile(pack) as held:
        assert any(person.email.encode() in held.read(name) for name in held.namelist())
    page.get_by_role("button", name="The data are handed over").click()
    page.locator("button[value=carry_out]").wait_for(state="detached")
    asked = RightsRequest.objects.filter(workspace_id=shop.workspace.pk, kind="access").latest("pk")
    assert asked.state == "answered"

    # Somebody is erased, and the certificate says what went.
    _take_down(page, address, leaving.email, "erasure")
    page.get_by_role("button", name="Erase the person now").click()
    page.get_by_role("link", name="Certificate of the erasure").click()
    page.get_by_role("rowheader", name="contacts_contact", exact=True).wait_for()
    assert leaving.email not in page.content()
    assert not Contact.objects.filter(pk=leaving.pk).exists()
    assert Erasure.objects.filter(workspace_id=shop.workspace.pk).latest("pk").gone["contacts_contact"] == 1

    # A webhook in the United States: refused to whoever declares it, and she reads why.
    _open(page, address, "Consent", "Processors")
    page.get_by_role("link", name="Add a processor").first.click()
    page.get_by_label("Name", exact=True).fill("Hooks Inc.")
    page.get_by_label("What leads there").select_option("webhook")
    page.get_by_label("Host name").fill("hooks.example")
    page.get_by_label("Country where the data lie").select_option("US")
    page.get_by_role("button", name="Add and judge").click()
    page.get_by_text("nothing covers it").first.wait_for()
    page.get_by_text("Ways out").wait_for()
    owner = signed_in(browser, address, shop, "owner")
    owner.goto(address + "/settings/webhooks")
    owner.get_by_label("Address of the program").first.fill("https://in.hooks.example/told")
    owner.locator("input[name=kinds]").first.check()
    owner.locator("button[name=act][value=hook]").click()
    owner.get_by_text("nothing covers it").first.wait_for()
    assert not shop.workspace.endpoints.filter(url__contains="hooks.example").exists()
    owner.context.close()

    # A drill, from the first minute to the notification.
    _open(page, address, "Consent", "Breaches")
    aware = timezone.localtime(timezone=ZoneInfo("Europe/Paris")) - timedelta(hours=2)
    page.get_by_label("What happened, in a few words").fill("Letter to the wrong list")
    page.get_by_label("When you became aware of it").fill(f"{aware:%Y-%m-%dT%H:%M}")
    page.get_by_label("This is a drill").check()
    page.get_by_role("button", name="Start the clock").click()
    page.get_by_text("hours left to notify the authority").wait_for()
    page.get_by_label("Nature of the breach").fill("A letter went to people who had not asked for it.")
    page.get_by_label("Categories of data").fill("addresses")
    page.get_by_label("Likely consequences").fill("Unwanted mail.")
    page.get_by_label("Measures taken or proposed").fill("The sending was stopped.")
    page.get_by_role("button", name="Save the facts").click()
    page.get_by_label("When it was notified").fill(f"{aware + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    page.get_by_role("button", name="Note that it was notified").click()
    page.get_by_role("list").get_by_text("authority notified").wait_for()
    breach = shop.workspace.breaches.latest("pk")
    assert breach.drill and breach.lines.filter(kind="notified").exists()

    # The evidence pack, and its ledger verified by the program in it, with Python alone.
    _open(page, address, "Consent", "Six steps")
    page.get_by_role("button", name="Make an evidence pack").click()
    job = tasks.last_evidence(shop.workspace)
    assert job is not None
    tasks.make_evidence.func(shop.workspace.pk, job.pk, "en")  # what the worker does
    page.reload()
    evidence = _download(page, page.get_by_role("link", name="Download the pack"), tmp_path / "evidence.zip")
    page.context.close()
    with zipfile.ZipFile(evidence) as pack_of_all:
        assert "Letter to the wrong list" in pack_of_all.read("breaches/register.json").decode()
        ledger = Path(pack_of_all.extract("ledger/ledger.zip", tmp_path))
    with zipfile.ZipFile(ledger) as inner:
        verifier = inner.extract("verify.py", tmp_path)
    alone = [sys.executable, "-I", "-S", verifier, str(ledger)]
    done = subprocess.run(alone, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
