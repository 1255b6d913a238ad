"""``index.html`` in a real browser: the system's Chromium, without any network."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.cohort.cohorts import InlineRunner, write_case
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import run_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]

NO_NUMBER = "\N{EN DASH}"
SCRIPT = "<script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a cohort of twelve subjects, one of them failed, one with a name that is markup."""
    tmp_path = tmp_path_factory.mktemp("cohort")
    for n in range(10):
        write_case(tmp_path / "in" / f"S{n + 1}", n)
    case = write_case(tmp_path / "in" / "markup", 12)
    (case / "case.toml").write_text(f'subject = "{SCRIPT}"\n[inputs]\ntumour = "tumour.nii.gz"\n')
    (tmp_path / "in" / "broken").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("volstrat.cohort.cohort_run.LocalRunner", InlineRunner)
        run_cohort(tmp_path / "in", tmp_path / "out", load_protocol(), workers=1)
    return tmp_path / "out"


@pytest.fixture
def page(browser: Browser, out: Path) -> Iterator[Page]:
    """Open the page; whatever it asks of a network, and whatever it complains of, fails the test."""
    said: list[str] = []
    asked: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((out / "index.html").as_uri())
    yield page
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith("file:")] == []


def column(page: Page, place: int) -> list[str]:
    """Return the texts of a column of the table, as shown."""
    return page.locator(f"#subjects tbody tr > :nth-child({place})").all_inner_texts()


def test_it_shows_every_subject_and_the_counts(page: Page, out: Path) -> None:
    """One row a subject, numbers within names in their order; counts as in the summary."""
    names = ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10"]
    assert [name for name in column(page, 1) if name.startswith("S")] == names
    assert page.locator("#count").inner_text() == "12 of 12 subjects"
    summary = json.loads((out / "summary.json").read_bytes())
    shown = [int(text) for text in page.locator(".cards b").all_inner_texts()]
    assert shown == list(summary["stratum"].values())
    assert page.title() == "Cohort: volstrat cohort"


def test_what_nobody_marked_is_no_percentage(tmp_path: Path, run: Run) -> None:
    """Neither of tumour nor of avid disease: its lower bound, 0 %, would read as "none of it"."""
    case = write_case(tmp_path / "in" / "unmarked")
    (case / "resectable.nii.gz").unlink(missing_ok=True)
    (case / "lesions.csv").unlink(missing_ok=True)
    if not (case / "fdg_avid.nii.gz").exists():
        shutil.copy(case / "tumour.nii.gz", case / "fdg_avid.nii.gz")
    run(tmp_path / "in", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "unmarked" / "case.json").read_bytes())
    assert [record["predicates"][f"stratum_{n}"]["percent"] for n in (1, 2)] == [None, None]
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    keys = json.loads(html.split('"keys":')[1].split("]")[0] + "]")
    row = dict(
        zip(keys, json.loads(re.findall(r'^(\["unmarked".*\]),?$', html, re.MULTILINE)[0]), strict=True)
    )
    assert (row["percent"], row["low"], row["high"], row["avidPercent"]) == (None, 0.0, 100.0, None)


def test_heads_sort(page: Page) -> None:
    """Up, then down; numbers as numbers; subjects without a number come last either way."""
    head = page.get_by_role("button", name="Tumour ml")
    head.click()
    up = column(page, 6)
    numbers = [float(text) for text in up if text != NO_NUMBER]
    assert numbers == sorted(numbers)
    assert up[-1] == NO_NUMBER
    head.click()
    assert column(page, 6) == [f"{n:.2f}" for n in sorted(numbers, reverse=True)] + [NO_NUMBER]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"


def test_filters_narrow_table_and_figure(page: Page) -> None:
    """By stratum, by status, by words in name and remarks; together; and back."""
    page.select_option("#stratum", "stratum_1")
    assert set(column(page, 3)) == {"Stratum 1"}
    shown = len(column(page, 1))
    assert page.locator("#count").inner_text() == f"{shown} of 12 subjects"
    assert f"of {shown} subjects" in str(page.locator("#figure").get_attribute("aria-label"))
    page.select_option("#stratum", "")
    page.select_option("#status", "failed")
    assert column(page, 1) == ["broken"]
    page.select_option("#status", "")
    page.fill("#search", "s1 ")
    assert column(page, 1) == ["S1", "S10"]
    page.fill("#search", "no tumour mask")
    assert column(page, 1) == ["broken"]
    page.fill("#search", "nothing is called so")
    assert column(page, 1) == []
    page.fill("#search", "")
    assert len(column(page, 1)) == 12


def test_names_are_text(page: Page) -> None:
    """Markup in a name is shown, not obeyed."""
    assert SCRIPT in column(page, 1)
    assert page.title() != "taken"


def test_links_lead_to_the_records(page: Page, out: Path) -> None:
    """Of that subject, whatever its name."""
    for link in page.locator("#subjects tbody a").all():
        subject = link.inner_text()
        target = page.evaluate("a => decodeURIComponent(new URL(a.href).pathname)", link.element_handle())
        record = json.loads((out.parent / target).read_bytes())
        assert record["subject"] == subject


def test_the_figure_tells_the_threshold_and_each_subject(page: Page, out: Path) -> None:
    """Dots for all subjects with a fraction, intervals where there are any; pointing reads one out."""
    records = [json.loads(path.read_bytes()) for path in out.glob("*/case.json")]
    with_percent = [r for r in records if r["volumes"] and r["volumes"]["resectable_fraction"] is not None]
    with_interval = [r for r in with_percent if (r["robustness"] or {}).get("resectable_fraction_95")]
    assert page.locator("#figure .named").text_content() == "threshold 70 %"
    drawn = "".join(str(p.get_attribute("d")) for p in page.locator("#figure path.dot").all())
    assert drawn.count("M") == len(with_percent) > 5
    lines = "".join(str(p.get_attribute("d")) for p in page.locator("#figure path.interval").all())
    assert lines.count("V") == len(with_interval) > 5
    page.locator("#figure").hover(position={"x": 70, "y": 50})
    lowest = min(with_percent, key=lambda r: r["predicates"]["stratum_1"]["percent"])
    assert f"{lowest['predicates']['stratum_1']['percent']:.1f} %" in page.locator("#pointed").inner_text()


def test_it_can_be_used_by_keyboard(page: Page) -> None:
    """Heads are buttons, fields have labels."""
    page.get_by_label("Find in name or remarks").focus()
    page.keyboard.type("S2")
    assert column(page, 1) == ["S2"]
    page.get_by_role("button", name="Status").focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort]").inner_text().startswith("Status")


def test_long_cohorts_come_in_pages(browser: Browser, tmp_path: Path) -> None:
    """A hundred rows at a time; sorting goes over all of them."""
    from volstrat.cohort.results import IndexPage, Summary

    record: Any = {
        "status": "failed", "stratum": None, "predicates": None, "volumes": None, "robustness": None,
        "lesions": [], "pet_only_regions": [], "findings": [],
        "error": {"code": "x", "message": "m", "hint": ""},
        "protocol": {"id": "p", "version": "1", "sha256": "0"}, "environment": {"volstrat": "0"},
    }  # fmt: skip
    summary = Summary()
    with (tmp_path / "index.html").open("wb") as stream:
        made = IndexPage(stream)
        for n in range(250):
            record["subject"] = f"S{n}"
            summary.add(record)
            made.add(record, folder=f"S{n}")
        made.close(summary.as_json())
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    assert len(column(page, 1)) == 100
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert column(page, 1)[-1] == "S249"
    assert len(column(page, 1)) == 50
    assert page.get_by_role("button", name="Next").is_disabled()
    page.get_by_role("button", name="Subject").click()
    assert column(page, 1)[0] == "S249"
    assert page.locator("#page").inner_text() == "Page 1 of 3"
    page.close()


def test_the_page_names_its_scripts_and_styles_by_hash(out: Path) -> None:
    """A strict policy: nothing else runs, nothing is loaded."""
    import base64
    import hashlib
    import re

    text = (out / "index.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none';")
    for element, rule in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "unsafe" not in policy
