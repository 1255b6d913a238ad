"""Which tests `scripts/test --fast` leaves out, and the one browser of all tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from playwright.sync_api import Browser

_ROOT = Path(__file__).resolve().parent
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# Browser, DICOM in and out, cohorts; and what starts the installed program again and again, or draws PDF.
_SLOW = {"cohort", "comparison", "dicom", "review", "verify"}
_SLOW |= {"api", "cli", "export", "report", "test_bad_input.py", "test_benchmark.py", "test_other_systems.py"}
_SLOW_FIXTURES = {"browser", "context", "opened"}


# How long an example takes says how busy the machine is, not whether it holds.
settings.register_profile("volstrat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("volstrat")


def _is_slow(path: Path) -> bool:
    return path.is_relative_to(_ROOT) and not _SLOW.isdisjoint(path.relative_to(_ROOT).parts)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave slow folders and files unread where their tests are not asked for: reading them takes seconds."""
    return True if config.option.markexpr == "not slow" and _is_slow(collection_path) else None


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark tests as slow, by their folder, file or fixture."""
    for item in items:
        if _is_slow(item.path) or _SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
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
