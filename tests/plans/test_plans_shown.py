"""Surgical plans in words and in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from volstrat.case.assess import run_case
from volstrat.case.protocol_files import load_protocol
from volstrat.report.report_page import report_html
from volstrat.show.plan_words import plan_rows, remnant_of

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "S16_three_plans"


@pytest.fixture(scope="module")
def record() -> Any:  # noqa: ANN401 - a record
    """Return the sample with three plans."""
    return run_case(SAMPLE, load_protocol(None))


def test_each_plan_is_a_column_of_the_same_rows(record: Any) -> None:  # noqa: ANN401
    """The shares are those worked out apart in scripts/sample_plans.py: FLR 44.35, 20.68 and 96.31 %."""
    rows = {row.name: row.cells for row in plan_rows(record)}
    assert rows["Plan"] == ("A (chosen)", "B", "C")
    assert rows["Stratum"] == ("Stratum 1", "Stratum 1", "Ineligible")
    assert rows["Remnant (FLR)"] == ("44.4 %, limit 25 %", "20.7 %, BELOW 25 %", "96.3 %, limit 25 %")
    assert rows["Cut out"][:2] == ("H5678", "H45678, wedge L9 + 10 mm")
    assert rows["Avid left"] == ("none", "none", "20.54 ml L1")
    assert "map 10 mm off" in remnant_of(record["plans"][0])
    assert "map" not in remnant_of(record["plans"][2])  # wedges alone hang on no border


def test_the_report_has_a_page_that_compares_the_plans(record: Any) -> None:  # noqa: ANN401
    """Every plan by name, a bar for each remnant, and what to look at."""
    page = report_html(record, protocol=load_protocol(None).protocol)
    assert page.count('<svg xmlns="http://www.w3.org/2000/svg" class="remnant"') == 3
    assert "Right trisectionectomy" in page
    assert "below the limit of 25 %" in page
    assert "not advice" in page
