"""What happens at once: another reader, a reading anew, a restart, and a text that is being written."""

from __future__ import annotations

import csv
import shutil
from typing import TYPE_CHECKING

import numpy as np

from tests.review.conftest import ROOT, settled
from tests.review.pages import choose, pane, saved, stratum, words

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

    from tests.review.pages import Opened, Sample, Serve

HEAD = "lesion_id,resectability,fdg_avidity,reader,reason,recorded_at"


def rows_of(folder: Path) -> dict[str, tuple[str, str]]:
    """Return marking and reason of each row of the table."""
    with (folder / "lesions.csv").open(encoding="utf-8", newline="") as file:
        return {r["lesion_id"]: (r["resectability"], r["reason"]) for r in csv.DictReader(file)}


def by_another(folder: Path, *rows: str) -> None:
    """Write the table as another program would."""
    (folder / "lesions.csv").write_text("\n".join((HEAD, *rows, "")))


def keep_theirs(page: Page) -> None:
    """Answer the question whose mark stands."""
    page.locator("#keep").click()
    settled(page)
    page.wait_for_timeout(1200)  # longer than a text waits to be saved


def test_a_reason_box_that_was_only_entered_takes_nothing_away(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """Another reader's reason comes while the cursor stands in the box: leaving it changes nothing."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.locator("#reason").focus()
    by_another(folder, "L1,unresectable,,B,vein,2026-01-01T00:00:00Z")
    page.locator("#lesions").get_by_text("vein").wait_for()
    page.locator("#axial").focus()
    page.wait_for_timeout(1200)
    assert rows_of(folder) == {"L1": ("unresectable", "vein")}
    assert page.locator("#reason").input_value() == "vein"


def test_a_reason_written_beside_another_s_is_asked_about(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """The row changes in the middle of a word, and the page knows: it asks all the same."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.locator("#reason").focus()
    page.keyboard.type("a")
    by_another(folder, "L1,unresectable,,B,vein,2026-01-01T00:00:00Z")
    for _ in range(20):
        page.keyboard.type("r")
        page.wait_for_timeout(200)
    assert "vein" in page.locator("#lesions").inner_text()
    page.get_by_role("dialog", name="Marked by somebody else").wait_for()
    keep_theirs(page)
    page.locator("#axial").focus()
    page.wait_for_timeout(1200)
    assert rows_of(folder) == {"L1": ("unresectable", "vein")}
    assert page.locator("#reason").input_value() == "vein"
    assert not page.locator("#conflict").is_visible()


def test_theirs_kept_is_not_covered_by_the_text_in_the_box(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """A conflict found while one writes the reason: the question takes the cursor, and that saves nothing."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    page.route("**/state*", lambda route: route.abort())
    choose(page, "L1")
    by_another(folder, "L1,unresectable,,B,vein,2026-01-01T00:00:00Z")
    page.locator("#reason").focus()
    page.keyboard.type("artery")
    page.get_by_role("dialog", name="Marked by somebody else").wait_for()
    keep_theirs(page)
    page.locator("#axial").focus()
    page.wait_for_timeout(1200)
    assert rows_of(folder) == {"L1": ("unresectable", "vein")}


def test_a_row_clicked_while_a_reason_is_written_is_chosen(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """The reason goes to the lesion it was written for, the next key to the one that was clicked."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.locator("#reason").focus()
    page.keyboard.type("vein")
    page.locator('#lesions tr[data-id="L2"] td.number').first.click()
    page.keyboard.press("3")
    saved(page, "L2 unresectable")
    assert rows_of(folder) == {"L1": ("", "vein"), "L2": ("unresectable", "")}


def test_undo_does_not_cover_what_another_marked_since(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Mine, then theirs, then undo: the page asks."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.keyboard.press("3")
    saved(page, "L1 unresectable")
    by_another(folder, "L1,ablatable,,B,vein,2026-01-01T00:00:00Z")
    page.locator("#lesions").get_by_text("vein").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("dialog", name="Marked by somebody else").wait_for()
    keep_theirs(page)
    assert rows_of(folder) == {"L1": ("ablatable", "vein")}


def test_undo_after_mine_went_over_theirs_brings_theirs_back(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """What the mark replaced is what undo puts back."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    page.route("**/state*", lambda route: route.abort())
    choose(page, "L1")
    by_another(folder, "L1,unresectable,,B,vein,2026-01-01T00:00:00Z")
    page.keyboard.press("2")
    page.locator("#replace").click()
    saved(page, "L1 ablatable")
    page.get_by_role("button", name="Undo").click()
    saved(page, "L1 unresectable")
    assert rows_of(folder) == {"L1": ("unresectable", "vein")}


def test_several_marks_on_a_row_that_changed_are_one_question(
    serve: Serve, sample: Sample, opened: Opened, context: BrowserContext
) -> None:
    """Three marks wait on L1, one on L2; theirs kept drops the three, and the other is saved."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    context.set_offline(True)
    page.locator("#axial").focus()
    for key in "123":
        page.keyboard.press(key)
    page.locator('#lesions tr[data-id="L2"] button').click()  # its pictures cannot come
    page.keyboard.press("2")
    page.get_by_text("NOT SAVED: 4 marks").wait_for()
    by_another(folder, "L1,unknown,,B,vein,2026-01-01T00:00:00Z")
    context.set_offline(False)
    dialog = page.get_by_role("dialog", name="Marked by somebody else")
    dialog.get_by_text("B changed L1 to unknown").wait_for()
    assert "Yours: unresectable." in dialog.inner_text()  # the last of the three
    keep_theirs(page)
    assert not page.locator("#conflict").is_visible()
    assert rows_of(folder) == {"L1": ("unknown", "vein"), "L2": ("ablatable", "")}
    saved(page, "L2 ablatable")
    page.get_by_role("button", name="Undo").click()
    saved(page, "L2 no mark")
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_nothing_of_another_reading_can_be_undone(serve: Serve, sample: Sample, opened: Opened) -> None:
    """L1 may be another lesion once the case was read again."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.keyboard.press("3")
    saved(page, "L1 unresectable")
    (folder / "resectable.nii.gz").unlink()
    page.get_by_text("resectable.nii.gz changed on disk").wait_for()
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.get_by_role("button", name="Read the case again").click()
    page.wait_for_function(
        "() => !document.querySelector('#banners').textContent.includes('changed on disk')"
    )
    settled(page)
    assert page.get_by_role("button", name="Undo").is_disabled()


def test_a_program_started_again_is_believed(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Another case by the same link's port: an old tab shows it, and its mark that waited is refused."""
    folder = sample("S01_stratum_1")
    first = serve(folder)
    page = opened(first)
    choose(page, "L1")
    for key, word in (("3", "unresectable"), ("2", "ablatable"), ("3", "unresectable")):
        page.keyboard.press(key)
        saved(page, f"L1 {word}")
    first.process.terminate()
    first.process.wait()
    page.get_by_text("volstrat does not answer").wait_for()
    page.keyboard.press("1")
    (folder / "lesions.csv").unlink()
    shutil.copy(ROOT / "sample_data" / "S04_ineligible_nothing_avid" / "tumour.nii.gz", folder)
    second = serve(folder, "--port", str(first.port))
    other = page.context.new_page()
    other.goto(second.link)
    settled(other)
    page.bring_to_front()
    page.get_by_text("L1 is not saved: The case was read again").wait_for()
    page.get_by_role("button", name="Drop this mark").click()
    settled(page)
    assert (stratum(page), words(page)) == (stratum(other), words(other))
    assert not (folder / "lesions.csv").exists()


def test_no_picture_of_an_earlier_reading_stays(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Another PET by the same name: the projection is drawn anew. A case that fails: no picture at all."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    whole = (folder / "tumour.nii.gz").read_bytes()
    before = pane(page, "projection")
    import SimpleITK as sitk

    pet = sitk.ReadImage(str(folder / "suv.nii.gz"))
    sitk.WriteImage(pet * 0, str(folder / "suv.nii.gz"))
    page.get_by_text("suv.nii.gz changed on disk").wait_for()
    page.get_by_role("button", name="Read the case again").click()
    page.wait_for_function(
        "() => !document.querySelector('#banners').textContent.includes('changed on disk')"
    )
    settled(page)
    page.wait_for_timeout(500)
    middle = (slice(100, -60), slice(60, -90))
    assert before[middle].min() < 100
    assert np.median(pane(page, "projection")[middle]) > 250
    (folder / "tumour.nii.gz").write_bytes(whole[:200])
    page.get_by_text("tumour.nii.gz changed on disk").wait_for()
    page.get_by_role("button", name="Read the case again").click()
    page.locator("#banners").get_by_text("truncated").wait_for()
    for name in ("axial", "coronal", "sagittal", "projection"):
        assert page.evaluate(
            "(id) => { const c = document.getElementById(id);"
            " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.every((x) => x === 0); }",
            name,
        ), name


def test_a_mark_that_leaves_the_filter_leaves_the_keys_in_the_table(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """Only unknown ones shown, the first marked: it goes, and the arrow goes to the next."""
    folder = sample("S01_stratum_1")
    by_another(folder, *(f"L{n},unknown,,,," for n in (1, 2, 3)))
    page = opened(serve(folder))
    page.locator("#only").select_option("unknown")
    choose(page, "L2")
    page.keyboard.press("1")
    saved(page, "L2 resectable")
    assert list(words(page)) == ["L1", "L3"]
    page.keyboard.press("ArrowDown")
    assert page.locator("tr.chosen").get_attribute("data-id") == "L3"
