"""What a report says of the images: scanners, days or dates, and what the chosen plan takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.scenes import coloured
from volstrat.case.assess import assess_case
from volstrat.case.discovery import open_case
from volstrat.case.protocol_files import load_protocol, parse_protocol
from volstrat.errors import ProtocolError
from volstrat.pictures.key_slices import first_look, saved_views, slice_pixels
from volstrat.pictures.scene import planned_scene
from volstrat.report.write import render_result
from volstrat.show.styles import PLAN_STYLES

if TYPE_CHECKING:
    from volstrat.case.assess import CaseResult

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
TAKEN = "2026-03-02"  # on both images of S15


def assessed(name: str) -> CaseResult:
    """Return a sample's result."""
    return assess_case(open_case(SAMPLES / name), load_protocol(None))


def test_dates_stand_in_the_report_only_where_the_protocol_says_so() -> None:
    """Else the days between; scanner, tracer, uptake time and factor always, and every CT with its hash."""
    result = assessed("S15_dicom")
    plain = render_result(result, load_protocol(None).protocol)
    dated = parse_protocol(b"[report]\ndates = true\n", name="dated.toml").protocol
    with_dates = render_result(result, dated)
    assert TAKEN not in plain
    assert f"scanner volstrat sample; taken on {TAKEN}</dd>" in with_dates
    for page in (plain, with_dates):
        assert "<dt>Days between CT and PET</dt><dd>0</dd>" in page
        assert "tracer FDG; uptake time 60 min; SUVbw is the value times 0.000365159" in page
        assert page.count('<td class="role">ct</td>') == 1


def test_dates_is_true_or_false() -> None:
    """Another value is refused with the key's path."""
    with pytest.raises(ProtocolError, match=r"report\.dates is 'yes'; it must be true or false"):
        parse_protocol(b'[report]\ndates = "yes"\n', name="p.toml")


def test_key_images_outline_what_the_chosen_plan_takes() -> None:
    """S16 under plan A: remnant and cut, on pictures of some lesion; nothing without a plan."""
    result = assessed("S16_three_plans")
    look = replace(first_look(planned_scene(result), result.record), annotated=False)
    remnant, cut = (PLAN_STYLES[name][0] for name in ("plan:remnant", "plan:cut"))
    drawn = [pixels for _, pixels in slice_pixels(planned_scene(result), look)]
    assert max(coloured(pixels, remnant).sum() for pixels in drawn) > 100
    assert max(coloured(pixels, cut).sum() for pixels in drawn) > 100
    assert "Plan A: unbroken green line" in render_result(result, load_protocol(None).protocol)
    bare = [pixels for _, pixels in slice_pixels(replace(planned_scene(result), planned=()), look)]
    assert max(coloured(pixels, cut).sum() for pixels in bare) == 0


def test_a_view_that_cannot_be_drawn_takes_no_report_along() -> None:
    """What the page wrote is drawn; of rows that somebody edited nothing is, whatever they hold."""
    result = assessed("S01_stratum_1")
    whole = {
        "plane": "axial", "index": 3, "left": 0, "top": 0, "wide": 90, "high": 60, "layer": "fused",
        "window": [40, 400], "suv": 10, "opacity": 0.6, "lesion": "L1",
    }  # fmt: skip
    none: tuple[object, ...] = ("x", None, [])
    broken: list[object] = [[], "x", 1, None, {}]
    broken += [{**whole, key: value} for key in whole if key != "lesion" for value in none]
    broken += [{**whole, "wide": 0}, {**whole, "index": 1e999}, {**whole, "window": [float("nan"), 1]}]
    kept = [json.dumps(view) for view in (*broken, whole)]
    (drawn,) = saved_views(planned_scene(result), result.record, kept)
    assert drawn.name == "L1"
