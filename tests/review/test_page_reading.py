"""Reading on the page: marks from the keyboard, undo over a reload, layouts, values, signing."""

from __future__ import annotations

import csv
import json
import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.lattices import oblique
from tests.pictures.test_shown_images import phases
from tests.report.scenes import affine, block, coloured
from tests.review.conftest import ROOT, settled
from tests.review.pages import choose, ct_case, fit, pane, saved, stratum, words
from tests.volume_files import nifti
from volstrat.case.assess import assess_case
from volstrat.case.discovery import open_case
from volstrat.case.lesion_table import read_lesion_table
from volstrat.case.protocol_files import load_protocol
from volstrat.pictures.key_slices import saved_views
from volstrat.pictures.scene import build_scene
from volstrat.pictures.shown_images import ShownImages
from volstrat.report.report_details import beside
from volstrat.show.styles import STYLES

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext

    from tests.review.pages import Opened, Sample, Serve


ROWS_IN_SIGHT = """() => {
  const box = document.querySelector('#rows-box').getBoundingClientRect();
  const top = document.querySelector('#lesions th').getBoundingClientRect().bottom;
  const rows = [...document.querySelectorAll('#lesions tbody tr:not(.spacer)')];
  const low = Math.min(box.bottom, window.innerHeight) + 1;
  return rows.map((r) => r.getBoundingClientRect()).filter((r) => r.top >= top - 1 && r.bottom <= low).length;
}"""


def many(folder: Path, count: int) -> Path:
    """Write a case of so many lesions of 2 x 2 x 2 voxels, a CT beside them."""
    folder.mkdir()
    dense = np.zeros((60, 48, 12), dtype=np.uint8)
    for n in range(count):
        i, j, k = 5 * (n % 12), 5 * (n // 12 % 9), 5 * (n // 108)
        dense[i : i + 2, j : j + 2, k : k + 2] = 1
    nifti(folder / "tumour.nii", dense, oblique(5, (2.0, 2.0, 3.0), tilt=0.1))
    nifti(folder / "ct.nii", np.where(dense, 90, 40).astype(np.int16), oblique(5, (2.0, 2.0, 3.0), tilt=0.1))
    return folder


def table(path: Path) -> dict[str, str]:
    """Return the marking of each row."""
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["lesion_id"]: row["resectability"] for row in csv.DictReader(stream)}


def test_sixty_lesions_are_marked_with_sixty_keys(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """Each mark goes on to the next; undo, a reload, and undo again take back the last two."""
    folder = many(tmp_path / "case", 60)
    page = opened(serve(folder, "--reader", "R"))
    assert stratum(page) == "60 lesions still to mark"
    assert page.locator("#progress").inner_text() == "0 of 60 marked"
    assert page.evaluate(ROWS_IN_SIGHT) >= 12  # at 1280 x 800
    page.locator("#rows-box").focus()
    for n in range(60):
        page.keyboard.press("13"[n % 2])
    page.wait_for_function("() => document.querySelector('#progress').textContent === '60 of 60 marked'")
    settled(page)
    marks = table(folder / "lesions.R.csv")
    assert [marks[f"L{n}"] for n in (1, 2, 59, 60)] == ["resectable", "unresectable"] * 2
    assert len(marks) == 60
    page.keyboard.press("Control+z")
    saved(page, "L60 no mark")
    page.reload()
    settled(page)
    page.locator("#rows-box").focus()
    page.keyboard.press("Control+z")
    saved(page, "L59 no mark")
    assert sorted(set(marks) - set(table(folder / "lesions.R.csv"))) == ["L59", "L60"]
    page.keyboard.press("Enter")
    assert page.locator("tr.chosen").get_attribute("data-id") == "L60"  # L59 is chosen by its undo


def test_all_shown_are_marked_and_undone_as_one(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """The filter says which: L1 and L10 to L12 of twelve."""
    folder = many(tmp_path / "case", 12)
    page = opened(serve(folder, "--reader", "R"))
    page.locator("#find").fill("L1")
    page.locator("#rows-box").focus()
    page.keyboard.press("a")
    dialog = page.get_by_role("dialog", name="Mark 4 lesions shown in the table")
    dialog.get_by_role("button", name="ablatable").click()
    saved(page, "4 lesions ablatable")
    assert table(folder / "lesions.R.csv") == dict.fromkeys(("L1", "L10", "L11", "L12"), "ablatable")
    page.get_by_role("button", name="Undo").click()
    saved(page, "4 lesions no mark")
    assert table(folder / "lesions.R.csv") == {}


def pet_case(folder: Path) -> Path:
    """Write the phantom of the pictures with a PET, hot in the lesion: right, in front, high."""
    ct_case(folder)
    dense = block()
    nifti(folder / "suv.nii", np.where(dense, 9.0, 1.0).astype(np.float32), affine())
    nifti(folder / "fdg_avid.nii", dense.astype(np.uint8), affine())
    return folder


def test_left_is_right_in_every_layout(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """CT, PET and both of the axial plane: the lesion lies left of and above the middle in each."""
    page = opened(serve(pet_case(tmp_path / "case"), "--reader", "R"))
    choose(page, "L1")
    page.keyboard.press("1")
    saved(page, "L1 resectable")
    for layout in ("2 x 2", "1 x 4", "3 planes"):
        page.get_by_role("button", name=layout).click()
        fit(page)
        for name in ("axial", "coronal", "sagittal"):
            pixels = pane(page, name)
            y, x = np.nonzero(coloured(pixels, STYLES["resectable"].colour))
            assert x.size > 20, (layout, name)
            assert float(np.median(x)) < pixels.shape[1] / 2, (layout, name)
            assert float(np.median(y)) < pixels.shape[0] / 2, (layout, name)
    page.get_by_role("button", name="2 x 2").click()
    settled(page)
    shown = [
        str(page.locator(f"#{name}").get_attribute("data-shown")) for name in ("axial", "coronal", "sagittal")
    ]
    assert [re.findall(r"plane=(\w+).*layer=(\w+)", url)[0] for url in shown] == [
        ("axial", "ct"), ("axial", "pet"), ("axial", "fused"),
    ]  # fmt: skip
    # From the front the hot lesion is on the left and high; from behind it is on the right.
    for view, left in ((0, True), (12, False)):
        while f"view={view}&" not in str(page.locator("#projection").get_attribute("data-shown")):
            page.locator("#projection").focus()
            page.keyboard.press("ArrowRight")
            settled(page)
        pixels = pane(page, "projection")[20:-60, 20:-60]
        y, x = np.nonzero(pixels.max(axis=2) < 60)
        assert (float(np.median(x)) < pixels.shape[1] / 2) == left, view
        assert float(np.median(y)) < pixels.shape[0] / 2


def test_the_cursor_reads_hu_suv_and_lesion(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """Over the lesion: 300 HU, SUV 9, L1; a ruler drawn over 45 mm measures them."""
    page = opened(serve(pet_case(tmp_path / "case"), "--reader", "R"))
    choose(page, "L1")
    box = page.locator("#axial").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2 + 3)
    page.locator("#cursor").get_by_text("L1").wait_for()
    told = page.locator("#cursor").inner_text().split("\N{MIDDLE DOT}")
    assert [part.strip() for part in told][:3] == ["300 HU", "SUV 9.00", "L1"]
    fit(page)
    page.get_by_role("button", name="Ruler").click()
    scale = float(re.findall(r"scale=([\d.]+)", str(page.locator("#axial").get_attribute("data-shown")))[0])
    y, x = box["y"] + box["height"] / 2, box["x"] + box["width"] / 2
    page.mouse.move(x - 45 / scale / 2, y)
    page.mouse.down()
    page.mouse.move(x + 45 / scale / 2, y, steps=5)
    page.mouse.up()
    mm = float(page.locator("#cursor").inner_text().removesuffix(" mm"))
    assert abs(mm - 45) < 1.5 * scale  # to a pixel at either end


def test_the_name_is_asked_once_before_the_first_mark(
    serve: Serve, sample: Sample, opened: Opened, context: BrowserContext
) -> None:
    """And stands beside the mark; not asked again, nor with ``--reader``."""
    context.add_init_script("localStorage.removeItem('nameless')")
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.keyboard.press("3")
    page.get_by_role("dialog", name="Who is reading?").get_by_label("Name").fill("Dr. Ö")
    page.keyboard.press("Enter")
    saved(page, "L1 unresectable")
    page.locator("#rows-box").focus()
    page.keyboard.press("2")
    saved(page, "L1 ablatable")
    assert "Dr. Ö" in (folder / "lesions.csv").read_text(encoding="utf-8")
    other = opened(serve(folder, "--reader", "B"))
    choose(other, "L1")
    other.keyboard.press("1")
    saved(other, "L1 resectable")


def test_a_complete_reading_is_signed_and_opened_again(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Keys do nothing then; opened with a reason they do again; both stand in the history."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder, "--reader", "R"))
    page.get_by_role("button", name="Reading complete").click()
    page.get_by_text("signed by R").wait_for()
    choose(page, "L1")
    page.keyboard.press("3")
    page.wait_for_timeout(400)
    assert words(page)["L1"] == "resectable"
    page.get_by_role("button", name="Open it again").click()
    page.get_by_role("dialog", name="Open the reading again").get_by_label("Reason").fill("late phase seen")
    page.get_by_role("button", name="Save", exact=True).last.click()
    page.wait_for_function("() => !document.querySelector('#banners').textContent.includes('signed by')")
    choose(page, "L1")
    page.keyboard.press("3")
    saved(page, "L1 unresectable")
    history = (folder / "lesions.history.csv").read_text(encoding="utf-8")
    assert "complete" in history
    assert "late phase seen" in history


@pytest.mark.parametrize("masks", ["same", "others"])
def test_marks_that_the_program_did_not_take_are_offered_to_the_next(
    serve: Serve, sample: Sample, opened: Opened, masks: str
) -> None:
    """The page names them, and the new link saves their words whole; not where L1 is another lesion now."""
    folder, why = (
        sample("S01_stratum_1"),
        "close to the hepatic vein confluence, and to the inferior caval vein",
    )
    first = serve(folder, "--reader", "R")
    page = opened(first)
    choose(page, "L1")
    first.process.kill()
    first.process.wait(timeout=20)
    page.keyboard.press("3")
    page.locator("#site-word").select_option("node")
    page.locator("#reason").fill(why)
    page.locator("#reason").press("Enter")
    page.get_by_text("Not saved: L1 unresectable. They are kept").wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    if masks == "others":
        for name in ("tumour", "resectable"):
            shutil.copy(ROOT / "sample_data" / "S02_stratum_2" / f"{name}.nii.gz", folder)
    again = opened(serve(folder, "--reader", "R"))
    again.get_by_text("was not saved when the program ended: L1 unresectable").wait_for()
    save = again.get_by_role("button", name="Save them now")
    if masks == "others":
        again.get_by_text("The masks are others now: look at L1").wait_for()
        assert save.count() == 0
        return
    save.click()
    saved(again, "L1 unresectable")
    (row,) = read_lesion_table((folder / "lesions.R.csv").read_bytes(), name="lesions.R.csv")
    assert (row.word, row.site, row.reason) == ("unresectable", "node", why)


def test_small_windows_stay_usable(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """At 1280 x 800 twelve rows; nothing wider than the window there, at 200 % zoom, and on a phone."""
    page = opened(serve(many(tmp_path / "case", 60), "--reader", "R"))
    rows = """() => { const box = document.querySelector('#rows-box').getBoundingClientRect();
      const inside = (b) => b.top >= box.top && b.bottom <= box.bottom;
      const rows = [...document.querySelectorAll('#lesions tbody tr')];
      return rows.filter((r) => inside(r.getBoundingClientRect())).length; }"""
    assert page.evaluate(rows) >= 12
    for width, height in ((1280, 800), (960, 540), (820, 1180), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, height)
        panes, table_box = (page.locator(x).bounding_box() for x in ("#panes", "#rows-box"))
        assert panes is not None
        assert table_box is not None
        over = panes["x"] + panes["width"] > table_box["x"] + 1
        below = panes["y"] + panes["height"] <= table_box["y"] + 1
        assert below or not over, (width, height)  # the table never lies over the pictures
        assert table_box["height"] >= 80


def test_long_and_strange_names_are_shown(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """180 characters, right to left, and Chinese: as text, without widening the page."""
    folder = ct_case(tmp_path / "case")
    name = "患者" * 30 + "חולה" * 15 + "x" * 60
    (folder / "case.toml").write_text(
        f'subject = "{name}"\n[inputs]\ntumour = "tumour.nii"\nct = "ct.nii"\n', encoding="utf-8"
    )
    page = opened(serve(folder, "--reader", "R"))
    assert page.locator("#subject").inner_text() == name
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_uptake_is_given_to_a_lesion_and_a_finding_is_closed(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """P1 belongs to L1 and takes its marking; undone, its finding is closed with a reason."""
    folder = sample("S08_pet_only_region")
    page = opened(serve(folder, "--reader", "R"))
    choose(page, "P1")
    page.locator("#belongs").select_option("L1")
    saved(page, "P1 no mark")
    assert words(page)["P1"] == "resectable"
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("() => document.querySelector('#progress').textContent === '2 of 3 marked'")
    settled(page)
    page.locator("#findings-box summary").click()
    page.locator("#findings").get_by_role("button", name="Close").first.click()
    page.get_by_role("dialog", name="Close this finding").get_by_label("Reason").fill("looked at: bowel")
    page.locator("#words-ok").click()
    page.locator("#findings").get_by_text("R: looked at: bowel").wait_for()
    assert "pet_only_region" in (folder / "reviews.csv").read_text(encoding="utf-8")
    choose(page, "L1")
    page.locator("#site-word").select_option("liver")
    page.locator("#marking").get_by_text("not tumour").click()
    saved(page, "L1 not_tumour")
    with (folder / "lesions.R.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["lesion_id"]: row for row in csv.DictReader(stream)}
    assert (rows["L1"]["resectability"], rows["L1"]["site"]) == ("not_tumour", "liver")


def test_phases_and_another_pet_are_shown_in_place(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """C and O put them in place, named, with their own values under the cursor; a kept view is of them."""
    folder = phases(tmp_path / "case")
    page = opened(serve(folder, "--reader", "R"))
    page.locator("#which-ct").wait_for()
    choose(page, "L1")
    page.keyboard.press("3")
    saved(page, "L1 unresectable")
    word = page.locator("#stratum").inner_text()
    page.keyboard.press("c")
    page.locator("#shown").get_by_text("CT shown: late.").wait_for()
    page.keyboard.press("o")
    page.locator("#shown").get_by_text("PET shown: DOTATOC; it does not count.").wait_for()
    settled(page)
    box = page.locator("#axial").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2 + 3)
    page.locator("#cursor").get_by_text("L1").wait_for()
    told = page.locator("#cursor").inner_text().split("\N{MIDDLE DOT}")
    assert [part.strip() for part in told][:3] == ["700 HU (late)", "DOTATOC SUV 30.00", "L1"]
    page.keyboard.press("k")
    page.locator("#saved").get_by_text(re.compile("key image$")).wait_for()
    page.locator("#rows-box").focus()
    page.keyboard.press("c")
    page.locator("#shown").get_by_text(re.compile("^PET shown")).wait_for()
    assert page.locator("#which-ct").input_value() == "0"
    assert page.locator("#stratum").inner_text() == word
    case = open_case(folder, lesions="lesions.R.csv")
    result = assess_case(case, load_protocol(None))
    kept = beside(result, dates=False).views
    scene, images = build_scene(result), ShownImages(case)
    (drawn,) = saved_views(scene, result.record, kept, images)
    own = json.dumps({k: v for k, v in json.loads(kept[0]).items() if k not in ("ct", "pet")})
    assert drawn.uri != saved_views(scene, result.record, [own], images)[0].uri
    assert saved_views(scene, result.record, kept) == ()  # nothing else in its place
