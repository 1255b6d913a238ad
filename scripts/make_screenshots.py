"""Take the pictures in ``docs/images`` from sample subjects: the MDT page and the first page of a report.

Needs the system's Chromium and the test packages. Run it after a change to how either looks:

    python scripts/make_screenshots.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

from volstrat.case.protocol_files import load_protocol
from volstrat.report.write import report_case

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
SUBJECT = "S08_pet_only_region"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
PAGE: ViewportSize = {"width": 1280, "height": 800}
READY = "() => [...document.querySelectorAll('canvas')].every((c) => c.dataset.shown)"


def small(path: Path) -> None:
    """Write a picture again, as small as it gets without loss."""
    with Image.open(path) as picture:
        plain = picture.convert("RGB")
    plain.save(path, optimize=True)


def take_review(browser: Browser, case: Path) -> None:
    """Serve the case, mark a lesion, and take the page."""
    process = subprocess.Popen(
        [sys.executable, "-m", "volstrat", "review", str(case), "--no-browser"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        page = browser.new_page(viewport=PAGE, color_scheme="dark")
        page.goto(found[0])
        page.wait_for_function(READY)
        page.locator('tr[data-id="P1"] button').click()
        page.wait_for_timeout(1500)
        page.screenshot(path=IMAGES / "review.png")
    finally:
        process.terminate()
        process.wait()
    small(IMAGES / "review.png")


def take_report(browser: Browser, case: Path, out: Path) -> None:
    """Write the report and take its first screen."""
    done = report_case(case, out, load_protocol())
    page = browser.new_page(viewport=PAGE, color_scheme="light")
    page.goto(done.files[0].as_uri())
    page.screenshot(path=IMAGES / "report.png")
    small(IMAGES / "report.png")


def main() -> None:
    """Take both."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        case = Path(shutil.copytree(ROOT / "sample_data" / SUBJECT, Path(folder) / SUBJECT))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        take_review(browser, case)
        take_report(browser, case, Path(folder) / "out")
        browser.close()


if __name__ == "__main__":
    main()
