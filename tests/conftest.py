"""Which tests `scripts/test --fast` leaves out, and the one browser of all tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from playwright.sync_api import Browser

_ROOT = Path(__file__).resolve().parent
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
_SLOW_FOLDERS = {"cohort", "compare", "dicom", "review", "verify"}
_SLOW_FIXTURES = {"browser", "context", "opened"}


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark the tests of browser, DICOM folders and cohorts as slow, by their folder or fixture."""
    for item in items:
        inside = item.path.relative_to(_ROOT).parts if item.path.is_relative_to(_ROOT) else ()
        fixtures = getattr(item, "fixturenames", ())
        if _SLOW_FOLDERS.intersection(inside) or _SLOW_FIXTURES.intersection(fixtures):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the system's Chromium, once a process: two of its drivers would not bear each other."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    driver = subprocess.run(
        [sys.executable, "-m", "playwright", "--version"], capture_output=True, text=True, check=False
    )
    if driver.returncode:
        pytest.skip(f"playwright cannot run on this machine: {driver.stderr.strip()}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
