"""The page in a real browser: marks, readers, keyboard, and what axe says."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.lattices import oblique
from tests.pictures.test_shown_images import phases
from tests.review.conftest import ROOT, settled
from tests.review.pages import choose, radio, saved, stratum, words
from tests.volume_files import nifti, nrrd_header
from volstrat.case.assess import run_case
from volstrat.case.protocol_files import load_protocol
from volstrat.show.words import STRATA

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.review.pages import Opened, Sample, Serve


SCRIPT = "<img src=x onerror=alert(1)><script>alert(1)</script>"


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


@pytest.mark.parametrize("name", ["S01_stratum_1", "S08_pet_only_region"])
@pytest.mark.parametrize("seed", range(2))
def test_a_random_sitting_ends_as_its_marks_say(
    serve: Serve, sample: Sample, opened: Opened, name: str, seed: int
) -> None:
    """Clicks, keys, reasons, undos, reloads in any order: the table holds what a plain model holds."""
    folder = sample(name)
    page = opened(serve(folder))
    rng = np.random.default_rng(seed)
    lesions = sorted(words(page))
    rows = dict.fromkeys(lesions, ("", "", ""))
    past: list[tuple[str, tuple[str, str, str]]] = []
    at = ""

    def becomes(row: tuple[str, str, str]) -> None:
        if row != rows[at]:
            past.append((at, rows[at]))
            rows[at] = row

    for _ in range(30):
        marking, called, reason = rows.get(at, ("", "", ""))
        act = rng.choice(
            ["row", "key", "click", "call", "reason", "undo", "reload"],
            p=[0.2, 0.3, 0.1, 0.1, 0.1, 0.16, 0.04],
        )
        if act == "row" or not at:
            at = str(rng.choice(lesions))
            page.locator(f'#lesions tr[data-id="{at}"] button').click()
        elif act == "key":
            n = int(rng.integers(5))
            page.locator(f'#lesions tr[data-id="{at}"] button').press(str(n))
            becomes((["", "resectable", "ablatable", "unresectable", "unknown"][n], called, reason))
        elif act == "click":
            word = str(rng.choice(["resectable", "ablatable", "unresectable", "unknown"]))
            radio(page, word).check()
            becomes((word, called, reason))
        elif act == "call":
            word = str(rng.choice(["", "avid", "not_avid"]))
            page.locator("#called").select_option(word)
            becomes((marking, word, reason))
        elif act == "reason":
            word = str(rng.choice(["", "vein", "1 wedge, deep"]))
            page.locator("#reason").fill(word)
            page.locator("#reason").press("Enter")
            becomes((marking, called, word))
        elif act == "undo":
            if past:
                at, rows_before = past.pop()
                rows[at] = rows_before
                page.get_by_role("button", name="Undo").click()
        else:
            settled(page)
            page.reload()
            settled(page)
            at, past = "", []
    settled(page)
    with (folder / "lesions.csv").open(encoding="utf-8", newline="") as file:
        held = {
            r["lesion_id"]: (r["resectability"], r["fdg_avidity"], r["reason"]) for r in csv.DictReader(file)
        }
    assert held == {lesion: row for lesion, row in rows.items() if row != ("", "", "")}
    record = run_case(folder, load_protocol())
    assert stratum(page) == STRATA[record["stratum"]]


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
    radio(second, "ablatable").click()  # the answer may take the dot back before one looks
    dialog = second.get_by_role("dialog", name="Marked by somebody else")
    dialog.get_by_text("A changed L1 to unresectable").wait_for()
    dialog.get_by_role("button", name="Keep theirs").click()
    assert stratum(second) == "Ineligible"
    assert "ablatable" not in (folder / "lesions.csv").read_text()
    first.bring_to_front()
    first.keyboard.press("4")
    saved(first, "L1 unknown")
    second.bring_to_front()
    radio(second, "ablatable").click()  # the answer may take the dot back before one looks
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
    """Of many only the rows in sight are in the document; sorted, scrolled, filtered, marked."""
    case = tmp_path / "many"
    case.mkdir()
    dense = np.zeros((120, 60, 60), dtype=np.uint8)
    for n in range(300):
        i, j, k = 4 * (n % 30), 6 * (n // 30 % 5), 6 * (n // 150)
        dense[i : i + 2, 2 + j : 4 + j, 2 + k : 3 + k + n % 3] = 1
    nifti(case / "tumour.nii", dense, oblique(8, (1.0, 1.0, 2.0), tilt=0.1))
    page = opened(serve(case))
    assert 20 < page.locator("#lesions tbody tr").count() < 100  # those in sight, and some round them
    assert page.locator("#count").inner_text() == "300 lesions"
    page.get_by_role("button", name="ml").click()
    volumes = [float(x) for x in page.locator("#lesions tbody tr[data-id] td:nth-child(3)").all_inner_texts()]
    assert volumes == sorted(volumes, reverse=True)
    page.get_by_role("button", name="Lesion").click()
    page.locator("#rows-box").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    page.locator('#lesions tr[data-id="L300"]').wait_for()
    page.locator("#rows-box").press("Home")
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
    assert page.locator("#count").inner_text() == "2 lesions and 1 PET region"
    choose(page, "P1")
    page.locator("#called").select_option("not_avid")
    saved(page, "P1 no mark")
    assert words(page)["P1"] == "dismissed"
    assert page.locator("#status").inner_text() == "assigned; nothing to review"
    assert run_case(folder, load_protocol())["status"] == "assigned"


@pytest.mark.parametrize("name", ["S01_stratum_1", "S09_unknown_not_needed", "phases"])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious(
    serve: Serve, sample: Sample, opened: Opened, name: str, theme: str, tmp_path: Path
) -> None:
    """No finding that axe calls serious or critical; nothing is cut off at 1280 x 800."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(serve(phases(tmp_path / "case") if name == "phases" else sample(name)))
    if name == "phases":  # another CT in place
        page.locator("#which-ct").select_option("late")
        page.locator("#shown").get_by_text("CT shown: late.").wait_for()
    if name != "S09_unknown_not_needed":  # which has no image
        page.locator("#images-box summary").click()
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
