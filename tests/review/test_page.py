"""The page in a real browser: marks, pictures, keyboard, and what happens when something goes wrong."""

from __future__ import annotations

import io
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.lattices import oblique
from tests.report.scenes import affine, block, coloured
from tests.review.conftest import ROOT, settled
from tests.volume_files import nifti, nrrd_header
from volstrat.case import run_case
from volstrat.io.protocol_files import load_protocol
from volstrat.report.styles import STYLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from playwright.sync_api import BrowserContext, Locator, Page

    from tests.review.conftest import Served

    Serve = Callable[..., Served]
    Sample = Callable[[str], Path]
    Opened = Callable[..., Page]

SCRIPT = "<img src=x onerror=alert(1)><script>alert(1)</script>"


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
    return {str(row.get_attribute("data-id")): row.locator("td.word span").first.inner_text() for row in rows}


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


def test_marks_move_the_verdict_and_the_command_agrees(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Stratum 1 until L1 cannot be resected; saved, reloaded, and the same from ``volstrat case``."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    assert stratum(page) == "Stratum 1"
    choose(page, "L1")
    radio(page, "unresectable").check()
    saved(page, "L1 unresectable")
    assert stratum(page) == "Ineligible"
    assert "18.1 %" in page.locator("#bars").inner_text()
    page.locator("#reason").fill("encases the vein")
    page.locator("#reason").press("Enter")
    page.locator("#last").get_by_text("Last:").wait_for()
    assert run_case(folder, load_protocol())["stratum"] == "ineligible"
    page.reload()
    settled(page)
    assert (stratum(page), words(page)["L1"]) == ("Ineligible", "unresectable")
    assert "encases the vein" in page.locator("#lesions").inner_text()


def test_undo_takes_back_mark_by_mark(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Two marks, two undos: the verdict and the table are as before, and the history keeps all."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    radio(page, "ablatable").check()
    saved(page, "L1 ablatable")
    radio(page, "unresectable").check()
    saved(page, "L1 unresectable")
    page.get_by_role("button", name="Undo").click()
    saved(page, "L1 ablatable")
    assert stratum(page) == "Stratum 1"
    page.get_by_role("button", name="Undo").click()
    saved(page, "L1 no mark")
    assert words(page)["L1"] == "resectable"  # by the mask
    assert page.get_by_role("button", name="Undo").is_disabled()
    assert len((folder / "lesions.history.csv").read_text().splitlines()) == 1 + 3
    assert "L1" not in (folder / "lesions.csv").read_text()


def test_a_mark_may_come_back_again_and_again(serve: Serve, sample: Sample, opened: Opened) -> None:
    """The row returns to what it was twice over, as often as one likes; the page goes on."""
    page = opened(serve(sample("S01_stratum_1")))
    choose(page, "L1")
    for _ in range(3):
        radio(page, "ablatable").check()
        saved(page, "L1 ablatable")
        page.get_by_role("button", name="Undo").click()
        saved(page, "L1 no mark")


def test_marks_faster_than_the_disk_are_all_saved(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Six marks before the first is answered, some of them alike: none conflicts, the last one counts."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder))
    choose(page, "L1")
    page.locator("#axial").focus()
    for key in "121203":
        page.keyboard.press(key)
    saved(page, "L1 unresectable")
    assert not page.locator("#conflict").is_visible()
    assert words(page)["L1"] == "unresectable"
    assert len((folder / "lesions.history.csv").read_text().splitlines()) == 1 + 4  # two rows were new


def test_the_keyboard_is_enough(serve: Serve, sample: Sample, opened: Opened) -> None:
    """From the page's start to a mark, a reason, an undo and a scrolled slice without a mouse."""
    page = opened(serve(sample("S01_stratum_1")))
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('tbody') !== null"):
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "L3"
    page.keyboard.press("1")
    saved(page, "L3 resectable")
    page.keyboard.press("r")
    page.keyboard.type("1 wedge")
    page.keyboard.press("Enter")
    page.locator("#lesions").get_by_text("1 wedge").wait_for()
    assert words(page)["L3"] == "resectable"  # the digit went into the reason
    page.keyboard.press("Control+z")
    page.wait_for_function("() => !document.querySelector('#lesions').textContent.includes('wedge')")
    page.keyboard.press("Control+z")
    saved(page, "L3 no mark")
    page.locator("#axial").focus()
    before = page.locator("#axial").get_attribute("data-shown")
    page.keyboard.press("ArrowUp")
    settled(page)
    index = [
        int(re.findall(r"index=(\d+)", str(x))[0])
        for x in (before, page.locator("#axial").get_attribute("data-shown"))
    ]
    assert index[1] == index[0] + 1  # up is towards the head


def ct_case(folder: Path) -> Path:
    """Write the phantom of the pictures' tests as a case: a CT, and one lesion right, in front, high."""
    folder.mkdir()
    dense = block()
    nifti(folder / "ct.nii", np.where(dense, 300, -100).astype(np.int16), affine())
    nifti(folder / "tumour.nii", dense.astype(np.uint8), affine())
    return folder


def test_left_is_right_and_the_lesion_has_its_marking_s_colour(
    serve: Serve, opened: Opened, tmp_path: Path
) -> None:
    """On the screen: at the left and top of all three planes, and another colour after a mark."""
    page = opened(serve(ct_case(tmp_path / "ct_case")))
    for word, key in (("unknown", "4"), ("resectable", "1"), ("unresectable", "3")):
        choose(page, "L1")
        page.keyboard.press(key)
        saved(page, f"L1 {word}")
        for name in ("axial", "coronal", "sagittal"):
            pixels = pane(page, name)
            y, x = np.nonzero(coloured(pixels, STYLES[word].colour))
            assert x.size > 40, (word, name)
            height, width = pixels.shape[:2]
            assert float(np.median(x)) < width / 2
            assert float(np.median(y)) < height / 2
            for other in STYLES:
                if other != word:
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
    page.locator("#axial").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    page.locator("#coronal").click(
        position={"x": left + (-22.5 + 45) / scale, "y": top + (60 - 37.5) / scale}
    )
    settled(page)
    shown = str(page.locator("#axial").get_attribute("data-shown"))
    assert re.findall(r"index=(\d+)", shown) == [str(round((37.5 + 58.5) / 3))]
    choose(page, "L1")
    page.locator("#sagittal").click(
        position={"x": box["width"] / 2 - 30 / scale, "y": top + (60 - 37.5) / scale}
    )
    settled(page)
    assert page.locator("tr.chosen").get_attribute("data-id") == "L1"


def test_wheel_window_and_drag_change_the_picture(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """The wheel goes towards the feet; windows map -100 HU to their greys; a drag changes the window."""
    page = opened(serve(ct_case(tmp_path / "case")))
    canvas = page.locator("#axial")
    index = int(re.findall(r"index=(\d+)", str(canvas.get_attribute("data-shown")))[0])
    canvas.hover()
    page.mouse.wheel(0, 100)
    settled(page)
    assert int(re.findall(r"index=(\d+)", str(canvas.get_attribute("data-shown")))[0]) == index - 1
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
    settled(page)
    assert "centre=-600" not in str(canvas.get_attribute("data-shown"))


def test_two_readers_on_one_table(
    serve: Serve, sample: Sample, opened: Opened, context: BrowserContext
) -> None:
    """What the other saved since is never covered silently: keep theirs, or save over it on purpose."""
    folder = sample("S01_stratum_1")
    first, second = opened(serve(folder)), opened(serve(folder))
    second.route("**/state*", lambda route: route.abort())  # has not heard of anything since
    first.bring_to_front()
    first.locator("#reader").fill("A")
    choose(first, "L1")
    first.keyboard.press("3")
    saved(first, "L1 unresectable")
    second.bring_to_front()
    second.locator("#chosen").get_by_text("L1").wait_for()
    radio(second, "ablatable").check()
    dialog = second.get_by_role("dialog", name="Marked by somebody else")
    dialog.get_by_text("A changed L1 to unresectable").wait_for()
    dialog.get_by_role("button", name="Keep theirs").click()
    assert stratum(second) == "Ineligible"
    assert "ablatable" not in (folder / "lesions.csv").read_text()
    first.bring_to_front()
    first.keyboard.press("4")
    saved(first, "L1 unknown")
    second.bring_to_front()
    radio(second, "ablatable").check()
    dialog.get_by_role("button", name="Save mine over it").click()
    saved(second, "L1 ablatable")
    assert "L1,ablatable" in (folder / "lesions.csv").read_text()
    assert "unknown" in (folder / "lesions.history.csv").read_text()
    first.bring_to_front()
    first.wait_for_function(
        "() => document.querySelector('tr[data-id=L1]').textContent.includes('ablatable')"
    )


def test_a_second_reader_has_a_table_of_her_own(serve: Serve, sample: Sample, opened: Opened) -> None:
    """``--reader`` writes lesions.R.csv and shows the others; ``--blind`` does not."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder, "--reader", "A"))
    choose(page, "L1")
    page.keyboard.press("3")
    saved(page, "L1 unresectable")
    assert "lesions.A.csv" in page.locator("footer").inner_text()
    seeing = opened(serve(folder, "--reader", "B"))
    assert "A: unresectable" in seeing.locator("#lesions").inner_text()
    blind = opened(serve(folder, "--blind", "C"))
    assert "unresectable" not in blind.locator('tr[data-id="L1"]').inner_text()
    assert stratum(blind) == "Stratum 1"
    assert run_case(folder, load_protocol(), lesions="A")["stratum"] == "ineligible"


def test_read_only_marks_nothing(serve: Serve, sample: Sample, opened: Opened) -> None:
    """Neither by mouse nor by key."""
    folder = sample("S01_stratum_1")
    page = opened(serve(folder, "--read-only"))
    choose(page, "L1")
    assert radio(page, "unresectable").is_disabled()
    page.keyboard.press("3")
    page.wait_for_timeout(400)
    assert stratum(page) == "Stratum 1"
    assert not list(folder.glob("*.csv"))


def test_a_label_that_is_markup_is_text(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """Segment name, subject and reason: shown as written, nothing runs."""
    case = tmp_path / "case"
    case.mkdir()
    labels = np.zeros((8, 7, 6), dtype=np.uint8)
    labels[1:4, 1:4, 1:4], labels[5:7, 5:6, 4:6] = 1, 2
    fields = {f"Segment{n}_{key}": value for n in (0, 1) for key, value in (("ID", f"s{n}"), ("Layer", "0"))}
    fields |= {
        "Segment0_LabelValue": "1",
        "Segment1_LabelValue": "2",
        "Segment0_Name": SCRIPT,
        "Segment1_Name": "b",
    }
    head = nrrd_header(labels.shape, oblique(4, tilt=0.2)).decode().rstrip("\n")
    told = "\n".join(f"{key}:={value}" for key, value in fields.items())
    (case / "tumour.seg.nrrd").write_bytes(f"{head}\n{told}\n\n".encode() + labels.tobytes(order="F"))
    (case / "case.toml").write_text(
        f'subject = "{SCRIPT}"\n[inputs]\ntumour = "tumour.seg.nrrd"\nlesions = "lesions.csv"\n'
    )
    (case / "lesions.csv").write_text(f'lesion_id,resectability,reason\nL1,unknown,"{SCRIPT}"\n')
    page = opened(serve(case))
    alerts: list[str] = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    assert page.locator("#subject").inner_text() == SCRIPT
    assert page.locator("#lesions").get_by_text(SCRIPT).count() == 2
    page.locator("#find").fill("<img")
    assert page.locator("#lesions tbody tr").count() == 1
    assert page.locator("img, main script").count() == 0
    assert alerts == []


def test_three_hundred_lesions(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """All in the table; sorted, filtered, marked; a mark is answered within a second even so."""
    case = tmp_path / "many"
    case.mkdir()
    dense = np.zeros((120, 60, 60), dtype=np.uint8)
    for n in range(300):
        i, j, k = 4 * (n % 30), 6 * (n // 30 % 5), 6 * (n // 150)
        dense[i : i + 2, 2 + j : 4 + j, 2 + k : 3 + k + n % 3] = 1
    nifti(case / "tumour.nii", dense, oblique(8, (1.0, 1.0, 2.0), tilt=0.1))
    page = opened(serve(case))
    assert page.locator("#lesions tbody tr").count() == 300
    assert page.locator("#count").inner_text() == "300 lesions"
    page.get_by_role("button", name="ml").click()
    volumes = [float(x) for x in page.locator("#lesions tbody tr td:nth-child(3)").all_inner_texts()]
    assert volumes == sorted(volumes, reverse=True)
    page.locator("#find").fill("L29")
    assert set(words(page)) == {"L29", *(f"L29{n}" for n in range(10))}
    choose(page, "L299")
    page.keyboard.press("1")
    saved(page, "L299 resectable")
    page.locator("#find").fill("")
    page.locator("#only").select_option("resectable")
    assert list(words(page)) == ["L299"]


def test_a_pet_only_region_is_dismissed_from_the_page(serve: Serve, sample: Sample, opened: Opened) -> None:
    """P1 as not tumour: nothing to review any more, as the command says."""
    folder = sample("S08_pet_only_region")
    page = opened(serve(folder))
    assert "to review" in page.locator("#status").inner_text()
    choose(page, "P1")
    page.locator("#called").select_option("not_avid")
    saved(page, "P1 no mark")
    assert words(page)["P1"] == "dismissed"
    assert page.locator("#status").inner_text() == "assigned; nothing to review"
    assert run_case(folder, load_protocol())["status"] == "assigned"


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


def test_a_failed_case_has_a_page_that_says_why(serve: Serve, sample: Sample, opened: Opened) -> None:
    """And can be read again once the file is whole."""
    folder = sample("S14_broken_file")
    page = opened(serve(folder), pictures=False)
    page.get_by_text("truncated file").wait_for()
    assert stratum(page) == "Failed"
    shutil.copytree(ROOT / "sample_data" / "S06_no_pet_not_needed", folder, dirs_exist_ok=True)
    (folder / "tumour.nii.gz").unlink()
    (folder / "resectable.nii.gz").unlink()
    page.get_by_role("button", name="Read the case again").click()
    page.get_by_text("Stratum 1", exact=True).wait_for()


def test_ct_and_pet_that_do_not_overlap_are_told(serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """The page works and says so."""
    case = ct_case(tmp_path / "case")
    far = np.diag([4.0, 4.0, 4.0, 1.0])
    far[:3, 3] = 900
    nifti(case / "suv.nii", np.ones((10, 10, 10), dtype=np.float32), far)
    page = opened(serve(case))
    page.get_by_text("CT and PET do not overlap").wait_for()


@pytest.mark.parametrize("name", ["S01_stratum_1", "S09_unknown_not_needed"])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious(
    serve: Serve, sample: Sample, opened: Opened, name: str, theme: str
) -> None:
    """No finding that axe calls serious or critical; nothing is cut off at 1280 x 800."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(serve(sample(name)))
    if theme == "light":
        page.get_by_role("button", name="Light / dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(f"() => {{ {script} }}")  # as the debugger, which the page's policy does not bind
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    grave = [
        (v["id"], [n["html"] for n in v["nodes"]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert grave == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.evaluate("document.documentElement.scrollHeight") <= 800


def test_a_report_stands_alone_in_the_browser(context: BrowserContext, tmp_path: Path) -> None:
    """Opened as a file: every picture is there, nothing is asked of a network, axe finds nothing serious."""
    from volstrat.report.write import report_case

    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    done = report_case(ROOT / "sample_data" / "S08_pet_only_region", tmp_path, load_protocol())
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url.split(":")[0]))
    page.goto(done.files[0].as_uri())
    widths = page.evaluate("() => [...document.images].map((i) => i.naturalWidth)")
    assert len(widths) == 7
    assert min(widths) > 200
    assert (said, set(asked) - {"data"}) == ([], {"file"})
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    page.evaluate(f"() => {{ {script} }}")
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    assert [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")] == []


@pytest.fixture
def real() -> Path:
    """Return the folder of real images."""
    folder = Path(os.environ.get("VOLSTRAT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "sts_001").is_dir():
        pytest.skip("no real images beside the checkout (VOLSTRAT_TEST_DATA names them)")
    return folder


def test_a_real_ct_and_pet_can_be_reviewed(real: Path, serve: Serve, opened: Opened, tmp_path: Path) -> None:
    """sts_001: CT, PET and RTSTRUCT as DICOM; one mark decides, and the command agrees."""
    case = tmp_path / "sts"
    case.mkdir()
    for name, source in (("CT", "CT_dicom"), ("RT", "CT_rtstruct"), ("PET", "PET_raw_dicom")):
        (case / name).symlink_to(real / "sts_001" / source)
    page = opened(serve(case))
    assert stratum(page) == "No stratum"
    assert page.locator("#suv").input_value() == "8"  # SUVmax 7.91 in the tumour
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
    assert stratum(page) == "No stratum"
    choose(page, "L1")
    page.keyboard.press("1")
    saved(page, "L1 resectable")
    # 20^3 / (20^3 + 15^3) = 8000 / 11375 = 70.3 %
    record = run_case(case, load_protocol())
    assert stratum(page) == {"stratum_1": "Stratum 1", None: "No stratum"}[record["stratum"]]
    assert f"{record['predicates']['stratum_1']['percent']:.1f} %" in page.locator("#bars").inner_text()
