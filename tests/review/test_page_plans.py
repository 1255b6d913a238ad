"""Surgical plans on the page, in a real browser."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import numpy as np

from tests.review.conftest import settled
from tests.review.pages import pane, stratum

if TYPE_CHECKING:
    from tests.review.pages import Opened, Sample, Serve

ROWS_IN_SIGHT = """() => {
    const box = document.querySelector("#rows-box").getBoundingClientRect();
    const top = document.querySelector("#lesions thead").getBoundingClientRect().bottom;
    const rows = [...document.querySelectorAll("#lesions tbody tr")].map((x) => x.getBoundingClientRect());
    return rows.filter((one) => one.top > top - 1 && one.bottom < box.bottom + 1).length;
}"""


def test_plans_are_compared_tried_and_chosen_without_scrolling(
    serve: Serve, sample: Sample, opened: Opened
) -> None:
    """Three columns at 1280 x 800 below eight lesions; segments 2, 3 are a fourth; B is chosen, and why."""
    folder = sample("S16_three_plans")
    page = opened(serve(folder))
    page.set_viewport_size({"width": 1280, "height": 800})
    page.locator("#plans td").first.wait_for()
    assert stratum(page) == "Stratum 1"
    assert [cell.inner_text() for cell in page.locator("#plans tr").first.locator("th").all()][1:] == [
        "A chosen",
        "B",
        "C",
    ]
    assert page.evaluate(ROWS_IN_SIGHT) >= 8
    tall = page.evaluate("document.documentElement.scrollHeight - innerHeight")
    box = page.locator("#plans-box").bounding_box()
    assert tall <= 0
    assert box is not None
    assert box["y"] + box["height"] <= 800
    drawn = pane(page, "axial")
    before = (folder / "case.toml").read_bytes()
    for segment in "23":
        page.locator("#plan-segments").get_by_role("button", name=segment, exact=True).click()
        page.locator(f"#plan-segments button[aria-pressed=true]:text-is('{segment}')").wait_for()
    page.locator("#plans").get_by_text("Tried").wait_for()
    settled(page)
    assert "8.4 %" in page.locator("#plans").inner_text()  # the primary, which nobody marked, stays
    assert not np.array_equal(pane(page, "axial"), drawn)
    assert (folder / "case.toml").read_bytes() == before
    page.locator("#plans tr").last.locator("td").nth(1).get_by_role("button", name="Choose").click()
    page.locator("#plan-by").fill("surgeon 2")
    page.locator("#plan-ok").click()
    page.locator("#plan-wrong").get_by_text("a name and a reason").wait_for()
    page.locator("#plan-reason").fill("nothing left in 4")
    page.locator("#plan-ok").click()
    page.locator("#plan-choice").get_by_text("surgeon 2, nothing left in 4").wait_for()
    chosen = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))["chosen"]
    assert (chosen["plan"], chosen["by"], chosen["reason"]) == ("B", "surgeon 2", "nothing left in 4")
