"""The page when something goes wrong: nothing is lost, and nothing old stays in sight as if it held."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.review.conftest import ROOT, settled
from tests.review.pages import choose, radio, saved, stratum, words

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.review.pages import Opened, Sample, Serve


def test_a_mask_that_changes_is_said_and_nothing_is_lost(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """The page names the file and takes no more marks until the case is read again."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.keyboard.press("2")
    saved(page, "L1 ablatable")
    (folder / "resectable.nii.gz").unlink()
    page.get_by_text("resectable.nii.gz changed on disk").wait_for()
    assert radio(page, "unresectable").is_disabled()
    page.get_by_role("button", name="Read the case again").click()
    page.wait_for_function(
        "() => !document.querySelector('#banners').textContent.includes('changed on disk')"
    )
    settled(page)
    assert words(page) == {"L1": "ablatable", "L2": "unknown", "L3": "unknown"}


def test_a_server_that_is_gone_is_said_and_the_mark_waits(
    serve: Serve, sample: Sample, opened: Opened, context: BrowserContext
) -> None:
    """NOT SAVED stands there until it is saved; nothing is dropped."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    context.set_offline(True)
    page.keyboard.press("3")
    page.get_by_text("NOT SAVED: 1 mark").wait_for()
    assert not (folder / "lesions.csv").exists()
    context.set_offline(False)
    saved(page, "L1 unresectable")
    assert "L1,unresectable" in (folder / "lesions.csv").read_text()


def test_a_folder_that_cannot_be_written_is_said(serve: Serve, sample: Sample, opened: Opened) -> None:
    """The mark stays in sight with the reason; tried again, it is saved."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    (folder / "lesions.csv").mkdir()
    choose(page, "L1")
    page.keyboard.press("3")
    page.get_by_text("L1 is not saved").wait_for()
    (folder / "lesions.csv").rmdir()
    page.get_by_role("button", name="Try again").click()
    saved(page, "L1 unresectable")


def test_a_mark_that_waits_is_not_given_to_another_lesion(
    serve: Serve, sample: Sample, opened: Opened, context: BrowserContext
) -> None:
    """Made before the case was read again, sent after it: refused, dropped, and nothing left to undo."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    context.set_offline(True)
    page.keyboard.press("3")
    page.get_by_text("NOT SAVED: 1 mark").wait_for()
    (folder / "resectable.nii.gz").unlink()
    context.set_offline(False)
    page.get_by_text("L1 is not saved: resectable.nii.gz: changed on disk").wait_for()
    page.get_by_role("button", name="Read the case again").click()
    page.wait_for_function(
        "() => !document.querySelector('#banners').textContent.includes('changed on disk')"
    )
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("The case was read again since L1 was marked").wait_for()
    page.get_by_role("button", name="Drop this mark").click()
    settled(page)
    assert words(page)["L1"] == "unknown"
    assert page.get_by_role("button", name="Undo").is_disabled()
    assert not (folder / "lesions.csv").exists()


def test_a_mask_that_is_broken_when_read_again_takes_the_verdict_away(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """No stratum of before stays in sight beside a case that failed."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    whole = (folder / "tumour.nii.gz").read_bytes()
    (folder / "tumour.nii.gz").write_bytes(whole[:200])
    page.get_by_text("tumour.nii.gz changed on disk").wait_for()
    page.get_by_role("button", name="Read the case again").click()
    page.locator("#banners").get_by_text("truncated").wait_for()
    assert stratum(page) == "Failed"
    assert page.locator("#lesions tbody tr").count() == 0
    (folder / "tumour.nii.gz").write_bytes(whole)
    page.get_by_role("button", name="Read the case again").click()
    page.get_by_text("Stratum 1", exact=True).wait_for()


def test_a_failed_case_has_a_page_that_says_why(serve: Serve, sample: Sample, opened: Opened) -> None:
    """And can be read again once the file is whole."""
    folder = sample("S14_broken_file")
    page = opened(serve(folder), pictures=False)
    page.get_by_text("truncated file").wait_for()
    assert stratum(page) == "Failed"
    assert "does not answer" not in page.locator("#banners").inner_text()
    shutil.copytree(ROOT / "sample_data" / "S06_no_pet_not_needed", folder, dirs_exist_ok=True)
    (folder / "tumour.nii.gz").unlink()
    (folder / "resectable.nii.gz").unlink()
    page.get_by_role("button", name="Read the case again").click()
    page.get_by_text("Stratum 1", exact=True).wait_for()
