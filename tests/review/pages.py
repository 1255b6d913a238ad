"""What the tests of the page do again and again."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.report.scenes import affine, block
from tests.review.conftest import settled
from tests.volume_files import nifti

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from playwright.sync_api import Locator, Page

    from tests.review.conftest import Served

    Serve = Callable[..., Served]
    Sample = Callable[[str], Path]
    Opened = Callable[..., Page]


def stratum(page: Page) -> str:
    """Return the stratum that the page shows."""
    return page.locator("#stratum").inner_text()


def saved(page: Page, told: str) -> None:
    """Wait until the page says that a mark is saved."""
    page.locator("#saved").get_by_text(re.compile(f"saved .*: {re.escape(told)}$")).wait_for()
    settled(page)


def words(page: Page) -> dict[str, str]:
    """Return the marking of each lesion in the table."""
    rows = page.locator("#lesions tbody tr").all()
    said = {str(row.get_attribute("data-id")): row.locator("td.word span").first.inner_text() for row in rows}
    return {lesion: "unknown" if word == "not marked" else word for lesion, word in said.items()}


def pane(page: Page, name: str) -> NDArray[np.uint8]:
    """Return a pane's pixels as they are on the screen."""
    shot = page.locator(f"#{name}").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))


def radio(page: Page, word: str) -> Locator:
    """Return the button of a marking."""
    return page.locator(f'#marking input[value="{word}"]')


def choose(page: Page, lesion: str) -> None:
    """Click a row."""
    page.locator(f'#lesions tr[data-id="{lesion}"] button').click()
    settled(page)


def fit(page: Page) -> None:
    """Show all of each plane again: choosing a lesion zooms to it."""
    page.get_by_role("button", name="Fit all").click()
    settled(page)


def ct_case(folder: Path) -> Path:
    """Write the phantom of the pictures' tests as a case: a CT, and one lesion right, in front, high."""
    folder.mkdir()
    dense = block()
    nifti(folder / "ct.nii", np.where(dense, 300, -100).astype(np.int16), affine())
    nifti(folder / "tumour.nii", dense.astype(np.uint8), affine())
    return folder
