"""Evidence that contradicts itself: the verdict stands, and a person must look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.rule_cases import Record, grid_of, judge_masks, rows_of
from tests.rule_lines import along
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.image import Image
from volstrat.geometry.mask import Mask
from volstrat.geometry.runs import LabelRuns, VoxelRuns
from volstrat.rule.lesions import TumourEntry
from volstrat.rule.measure import Avid, CaseMasks
from volstrat.terms.avidity_rules import Avidity
from volstrat.terms.protocol import Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

GRID = grid_of(along(), (80, 1, 1))
L1, L2 = (0, 10), (40, 70)  # voxels: L1 ten, L2 thirty: 25 % of the tumour is L1, so FDG decides
TABLE = {"L1": ("resectable", None), "L2": ("unresectable", None)}


def judged(
    *,
    suv: dict[tuple[int, int], float] | None = None,
    avid: tuple[tuple[int, int], ...] | None = (L1,),
    table: Mapping[str, tuple[str | None, str | None]] | None = None,
    window: VoxelGrid | None = None,
    avid_field: VoxelGrid | None = None,
    **protocol: Any,  # noqa: ANN401 - any protocol field
) -> Record:
    """Return the record of L1 and L2 on a line; ``suv`` sets spans of a PET on the same voxels, else 1."""
    values = np.ones(GRID.shape, np.float32)
    for (start, stop), value in (suv or {}).items():
        values[start:stop] = value
    runs = LabelRuns.from_sets(
        [(n + 1, VoxelRuns.from_intervals([a], [b])) for n, (a, b) in enumerate((L1, L2))]
    )
    spans = np.array(avid or (), dtype=np.int64).reshape(-1, 2)
    drawn = Avid(voxels=VoxelRuns.from_intervals(spans[:, 0], spans[:, 1]), grid=window or GRID)
    masks = CaseMasks(
        grid=GRID,
        tumour=[TumourEntry(mask=Mask(grid=GRID, runs=runs), instances="labels")],
        avid=None if avid is None else drawn,
        pet_field=None if suv is None else GRID,
        avid_field=avid_field,
        suv=None if suv is None else Image(grid=GRID, values=values),
        rows=rows_of(TABLE if table is None else table),
    )
    return judge_masks(masks, Protocol(boundary_shift_mm=(), **protocol))


def found(record: Record, code: str) -> list[tuple[str, str]]:
    """Return where a finding of this code stands, and its severity."""
    return [(one["where"], one["severity"]) for one in record["findings"] if one["code"] == code]


# SUV 5 and more in a lesion that nobody called avid; just below it nothing.
@pytest.mark.parametrize(
    ("suv", "expected"), [(5.0, [("L2", "review")]), (12.0, [("L2", "review")]), (4.99, [])]
)
def test_a_hot_lesion_that_is_not_avid_is_looked_at_again(
    suv: float, expected: list[tuple[str, str]]
) -> None:
    """By the mask: L2 has no avid voxel and the PET covers it."""
    record = judged(suv={L1: 6.0, L2: suv})
    assert record["lesions"][1]["fdg_avidity"] == "not_avid"
    assert found(record, "hot_but_not_avid") == expected
    assert (record["status"], record["stratum"]) == ("review" if expected else "assigned", "stratum_2")


def test_a_hot_lesion_that_the_table_calls_not_avid_is_looked_at_again() -> None:
    """By the table, and under another limit of the protocol."""
    table = {**TABLE, "L2": ("unresectable", "not_avid")}
    assert found(judged(suv={L1: 6.0, L2: 3.1}, table=table), "hot_but_not_avid") == []
    avidity = Avidity(look_again_suv=3.0)
    assert found(judged(suv={L1: 6.0, L2: 3.1}, table=table, avidity=avidity), "hot_but_not_avid") == [
        ("L2", "review")
    ]


def test_what_a_suv_rule_calls_not_avid_is_no_contradiction() -> None:
    """The rule is about SUV itself: from 8 on."""
    avidity = Avidity(rule="fixed", suv_threshold=8.0)
    assert found(judged(suv={L1: 9.0, L2: 6.0}, avidity=avidity), "hot_but_not_avid") == []


@pytest.mark.parametrize(("suv", "expected"), [(1.49, [("L1", "review")]), (1.5, [])])
def test_an_avid_lesion_that_is_cold_is_looked_at(suv: float, expected: list[tuple[str, str]]) -> None:
    """Drawn as avid, SUVmax below 1.5."""
    assert found(judged(suv={L1: suv, L2: 1.0}), "avid_but_cold") == expected


@pytest.mark.parametrize(("suv", "severity"), [(np.nan, "review"), (0.0, "warning"), (0.4, None)])
def test_a_lesion_where_pet_holds_nothing_is_not_avid_by_the_mask_alone(
    suv: float, severity: str | None
) -> None:
    """A PET that was resampled and padded covers the lesion by its grid; a reader's own word needs no PET."""
    expected = [] if severity is None else [("L2", severity)]
    assert found(judged(suv={L1: 6.0, L2: suv}), "suv_not_finite") == expected
    table = {**TABLE, "L2": ("unresectable", "not_avid")}
    assert found(judged(suv={L1: 6.0, L2: suv}, table=table), "suv_not_finite") == []


@pytest.mark.parametrize(
    ("suv", "severity"),
    [(24_000.0, "review"), (200.1, "review"), (200.0, None), (1.0, None), (0.08, "review")],
)
def test_values_that_cannot_be_suv_are_looked_at_where_a_limit_of_suv_decides(
    suv: float, severity: str | None
) -> None:
    """Bq/ml called SUV makes every lesion avid, values scaled to 0..1 none: 0.08 is 1 scaled by 12.5."""
    values = {L1: suv, L2: min(suv, 1.0)}
    by_limit = judged(suv=values, avidity=Avidity(rule="fixed", suv_threshold=2.5))
    assert found(by_limit, "suv_implausible") == ([] if severity is None else [("pet", severity)])
    drawn = judged(suv=values)
    assert found(drawn, "suv_implausible") == ([] if severity is None else [("pet", "warning")])


def test_contradictions_are_beside_the_point_where_stratum_1_holds() -> None:
    """All resectable: FDG does not matter."""
    table = {"L1": ("resectable", None), "L2": ("resectable", None)}
    record = judged(suv={L1: 1.0, L2: 9.0}, table=table)
    assert found(record, "hot_but_not_avid") == [("L2", "info")]
    assert found(record, "avid_but_cold") == [("L1", "info")]
    assert record["status"] == "assigned"


def test_without_suv_nothing_is_hot_or_cold() -> None:
    """An avid mask alone."""
    codes = {one["code"] for one in judged()["findings"]}
    assert not codes & {"hot_but_not_avid", "avid_but_cold"}


def test_a_word_that_takes_drawn_voxels_away_is_looked_at_where_it_decides() -> None:
    """L2 is drawn avid and unresectable: ineligible; the table calls it not avid: stratum 2."""
    table = {**TABLE, "L2": ("unresectable", "not_avid")}
    record = judged(avid=(L1, L2), table=table)
    assert (record["status"], record["stratum"]) == ("review", "stratum_2")
    assert found(record, "avidity_overruled") == [("L2", "review")]
    assert "ineligible" in next(f["message"] for f in record["findings"] if f["code"] == "avidity_overruled")


def test_a_word_that_changes_nothing_is_no_finding() -> None:
    """L1 is resectable: with or without its avid voxels the case is ineligible by L2."""
    table = {"L1": ("resectable", "not_avid"), "L2": ("unresectable", None)}
    record = judged(avid=(L1, L2), table=table)
    assert record["stratum"] == "ineligible"
    assert found(record, "avidity_overruled") == []


def test_a_dismissed_region_whose_marking_would_decide_is_looked_at() -> None:
    """P1, called unresectable and physiological at once: with it the case would be ineligible."""
    table = {**TABLE, "P1": ("unresectable", "not_avid")}
    record = judged(suv={L1: 6.0}, avid=(L1, (22, 26)), table=table)  # 12 mm from L1, 14 mm from L2
    assert record["pet_only_regions"][0]["fdg_avidity"] == "not_avid"
    assert found(record, "avidity_overruled") == [("P1", "review")]


def test_stratum_2_by_a_rule_that_searches_round_ct_tumour_is_looked_at() -> None:
    """PET-only disease was not looked for: as a warning where the case is ineligible."""
    avidity = Avidity(rule="fixed", suv_threshold=4.0)
    assert found(judged(suv={L1: 9.0}, avidity=avidity), "pet_only_not_searched") == [("pet", "review")]
    assert found(judged(suv={L2: 9.0}, avidity=avidity), "pet_only_not_searched") == [("pet", "warning")]


def test_stratum_2_by_the_table_alone_is_looked_at() -> None:
    """Nobody looked at a PET for what CT does not show."""
    table = {"L1": ("resectable", "avid"), "L2": ("unresectable", "not_avid")}
    record = judged(avid=None, table=table)
    assert (record["status"], record["stratum"]) == ("review", "stratum_2")
    assert found(record, "pet_missing") == [("fdg_avid", "review")]


def test_suv_of_an_avid_window_is_that_of_the_whole_mask() -> None:
    """A window that starts at voxel 5 and runs to 30: L1's avid voxels 5 to 9, a PET-only region 22 to 25."""
    suv = {(5, 8): 9.0, (8, 10): 4.0, (22, 26): 7.0, L2: 2.0}
    whole = judged(suv=suv, avid=((5, 10), (22, 26)))
    window = GRID.window(origin_index=(5, 0, 0), shape=(25, 1, 1))
    part = judged(suv=suv, avid=((0, 5), (17, 21)), window=window)
    for kind in ("lesions", "pet_only_regions"):
        for one, other in zip(whole[kind], part[kind], strict=True):
            for key in ("suv_max", "suv_mean", "suv_peak", "tlg_g"):
                assert one[key] == pytest.approx(other[key])
    assert part["lesions"][0]["suv_mean"] == pytest.approx((3 * 9 + 2 * 4) / 5)
    assert part["pet_only_regions"][0]["suv_max"] == pytest.approx(7.0)


def test_a_lesion_beyond_the_avid_mask_is_not_assessed_though_the_pet_covers_it() -> None:
    """The mask ends at voxel 30: it says nothing about L2, whose SUV is known all the same."""
    field = grid_of(along(), (30, 1, 1))
    record = judged(suv={L1: 6.0, L2: 12.0}, window=field, avid_field=field)
    assert record["lesions"][1]["fdg_avidity"] == "not_assessed"
    assert record["lesions"][1]["suv_max"] == pytest.approx(12.0)
    assert record["stratum"] is None
