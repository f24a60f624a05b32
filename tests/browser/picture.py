"""The picture of the README: the report of a running `make demo`, in headless Chromium.

make demo                     # in one terminal
make picture                  # in another
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS

OWNER = "zoe@boutique.envol-demo.example"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=Path("demo-data"))
    options.add_argument("--base", default="http://localhost:8025")
    options.add_argument("--out", type=Path, default=Path("docs/report.png"))
    chosen = options.parse_args()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = chromium.new_page(viewport={"width": 1120, "height": 660}, color_scheme="light", locale="en-GB")
        page.goto(f"{chosen.base}/login/")
        page.fill("input[name=login]", OWNER)
        page.fill("input[name=password]", (chosen.data / "demo-password").read_text())
        page.keyboard.press("Enter")
        page.wait_for_url(f"{chosen.base}/")
        page.wait_for_load_state()
        if page.locator("html").get_attribute("lang") == "fr":
            page.get_by_role("button", name="English").click()
        page.goto(f"{chosen.base}/campaigns")
        page.get_by_role("link", name="La lettre de novembre").first.click()
        page.wait_for_load_state()
        page.goto(page.url.rstrip("/") + "/report" if not page.url.endswith("report") else page.url)
        page.screenshot(path=chosen.out)
        chromium.close()


if __name__ == "__main__":
    main()
