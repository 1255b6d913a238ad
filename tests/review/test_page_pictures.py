"""Pictures in a real browser: sides, colours, mouse, and real images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.records import run_case
from tests.report.scenes import affine, block, coloured
from tests.review.conftest import settled
from tests.review.pages import choose, ct_case, fit, pane, saved, stratum
from tests.third_party import third_party
from tests.volume_files import nifti
from volstrat.case.protocol_files import load_protocol
from volstrat.show.styles import STYLES

if TYPE_CHECKING:
    from tests.review.pages import Opened, Serve

    pass


def test_left_is_right_and_the_lesion_has_its_marking_s_colour(
    serve: Serve, opened: Opened, tmp_path: Path
) -> None:
    """On the screen: at the left and top of all three planes, and another colour after a mark."""
    page = opened(serve(ct_case(tmp_path / "ct_case")))
    for word, key in (("ablatable", "2"), ("resectable", "1"), ("unresectable", "3")):
        choose(page, "L1")
        page.keyboard.press(key)
        saved(page, f"L1 {word}")
        fit(page)
        for name in ("axial", "coronal", "sagittal"):
            pixels = pane(page, name)
            y, x = np.nonzero(coloured(pixels, STYLES[word].colour))
            assert x.size > 40, (word, name)
            height, width = pixels.shape[:2]
            assert float(np.median(x)) < width / 2
            assert float(np.median(y)) < height / 2
            for other in STYLES:
                if other not in (word, "unknown"):  # white, as the letters are
                    assert coloured(pixels, STYLES[other].colour).sum() < 20, (word, other)


def test_a_click_moves_all_planes_and_chooses_the_lesion(
    serve: Serve, opened: Opened, tmp_path: Path
) -> None:
    """A click into the lesion on the coronal plane sets the axial slice and chooses its row."""
    case = ct_case(tmp_path / "case")
    two = block()
    two[40:45, 30:35, 5:8] = True  # L2: left, behind, low
    nifti(case / "tumour.nii", two.astype(np.uint8), affine())
    page = opened(serve(case))
    choose(page, "L2")
    box = page.locator("#coronal").bounding_box()
    assert box is not None
    # L1's middle: x = -22.5 of -45..45, z = 37.5 of 60..-60 mm; the plane fills the pane's height.
    scale = max(90 / box["width"], 120 / box["height"])
    left = (box["width"] - 90 / scale) / 2
    top = (box["height"] - 120 / scale) / 2
    choose(page, "L1")
    choose(page, "L2")
    fit(page)
    page.locator("#axial").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    page.locator("#coronal").click(
        position={"x": left + (-22.5 + 45) / scale, "y": top + (60 - 37.5) / scale}
    )
    settled(page)
    shown = str(page.locator("#axial").get_attribute("data-shown"))
    assert re.findall(r"index=(\d+)", shown) == [str(round((37.5 + 58.5) / 3))]
    choose(page, "L1")
    fit(page)
    page.locator("#sagittal").click(
        position={"x": box["width"] / 2 - 30 / scale, "y": top + (60 - 37.5) / scale}
    )
    settled(page)
    assert page.locator("tr.chosen").get_attribute("data-id") == "L1"


def test_wheel_window_and_drag_change_the_picture(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """The wheel goes towards the feet; windows map -100 HU to their greys; a drag changes the window."""
    page = opened(serve(ct_case(tmp_path / "case")))
    canvas = page.locator("#axial")
    fit(page)
    index = int(re.findall(r"index=(\d+)", str(canvas.get_attribute("data-shown")))[0])
    canvas.hover()
    page.mouse.wheel(0, 100)
    expect(canvas).to_have_attribute("data-shown", re.compile(rf"index={index - 1}\b"))
    settled(page)
    grey = int(np.median(pane(page, "axial")[60:-60, 150:-150]))
    page.get_by_role("button", name="lung").click()
    settled(page)
    assert page.get_by_role("button", name="lung").get_attribute("aria-pressed") == "true"
    brighter = int(np.median(pane(page, "axial")[60:-60, 150:-150]))
    assert abs(grey - 38) <= 2  # -100 HU at W 400 L 40
    assert abs(brighter - 212) <= 2  # (-100 + 600 + 750) / 1500 x 255 = 212.5
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 20, steps=4)
    page.mouse.up()
    expect(canvas).not_to_have_attribute("data-shown", re.compile("centre=-600"))


def test_ct_and_pet_that_do_not_overlap_are_told(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """The page works and says so."""
    case = ct_case(tmp_path / "case")
    far = np.diag([4.0, 4.0, 4.0, 1.0])
    far[:3, 3] = 900
    nifti(case / "suv.nii", np.ones((10, 10, 10), dtype=np.float32), far)
    page = opened(serve(case))
    page.get_by_text("CT and PET do not overlap").wait_for()


@pytest.fixture
def real() -> Path:
    """Return the folder of real images."""
    return third_party("sts_001").parent


def test_a_real_ct_and_pet_can_be_reviewed(real: Path, serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """sts_001: CT, PET and RTSTRUCT as DICOM; one mark decides, and the command agrees."""
    case = tmp_path / "sts"
    case.mkdir()
    for name, source in (("CT", "CT_dicom"), ("RT", "CT_rtstruct"), ("PET", "PET_raw_dicom")):
        (case / name).symlink_to(real / "sts_001" / source)
    page = opened(serve(case))
    assert stratum(page) == "1 lesion still to mark"
    # SUVmax 7.91 in the tumour; the PET is shown after the CT
    page.wait_for_function("() => document.querySelector('#suv').value === '8'")
    choose(page, "L1")
    page.keyboard.press("1")
    saved(page, "L1 resectable")
    assert (
        stratum(page)
        == run_case(case, load_protocol())["stratum"].replace("_", " ").capitalize()
        == "Stratum 1"
    )


def test_a_real_abdomen_with_drawn_lesions_can_be_reviewed(
    real: Path, serve: Serve, opened: Opened, tmp_path: Path
) -> None:
    """crlm_ct_1004: two drawn spheres of 20 and 15 mm radius; the larger alone is 70.3 % of both."""
    import SimpleITK as sitk

    case = tmp_path / "crlm"
    case.mkdir()
    source = real / "crlm_ct_1004" / "image"
    (case / "ct").symlink_to(source)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source)))
    ct = reader.Execute()
    dense = np.zeros(ct.GetSize()[::-1], dtype=np.uint8)
    index = np.indices(dense.shape).transpose(1, 2, 3, 0)[..., ::-1] * np.array(ct.GetSpacing())
    for centre, radius in (((150, 240, 20), 20.0), ((300, 240, 20), 15.0)):
        dense[((index - np.array(centre) * ct.GetSpacing()) ** 2).sum(axis=-1) < radius**2] = 1
    mask = sitk.GetImageFromArray(dense)
    mask.CopyInformation(ct)
    sitk.WriteImage(mask, str(case / "tumour.nii.gz"), True)
    page = opened(serve(case))
    assert pane(page, "axial").std() > 30  # a body, not a blank
    choose(page, "L2")
    page.keyboard.press("3")
    saved(page, "L2 unresectable")
    assert stratum(page) == "1 lesion still to mark"
    choose(page, "L1")
    page.keyboard.press("1")
    saved(page, "L1 resectable")
    # 20^3 / (20^3 + 15^3) = 8000 / 11375 = 70.3 %
    record = run_case(case, load_protocol())
    assert stratum(page) == {"stratum_1": "Stratum 1", None: "No stratum"}[record["stratum"]]
    assert f"{record['predicates']['stratum_1']['percent']:.1f} %" in page.locator("#bars").inner_text()
