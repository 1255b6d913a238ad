"""Single changes of a lesion table: the quick way against measuring and judging the case anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from tests.rule_cases import masks_of, protocol_of
from tests.rule_lines import cells, line_case
from tests.rule_random import marked_case
from volstrat.certainty.counting_error import counting_error_percent, equivalent_diameter_mm
from volstrat.certainty.flips import Flip, each_flip, find_flips
from volstrat.certainty.robustness import measure_robustness
from volstrat.rule.measure import measure_case, remark_case
from volstrat.rule.stratify import assess
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from volstrat.rule.measure import Measurements
    from volstrat.terms.protocol import Protocol

AVIDITIES: tuple[Literal["avid", "not_avid"], ...] = ("avid", "not_avid")
WORDS = (Marking.RESECTABLE, Marking.ABLATABLE, Marking.UNRESECTABLE)
CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"both_fit": "stratum_2"},
    {"pet_only_in_total": True},
    {"exclusion_b": "none_resectable"},
)


def one_by_one(measured: Measurements, protocol: Protocol) -> set[Flip]:
    """Return the flips found by marking the whole case anew for each word."""
    before = assess(measured, protocol)
    regions = [f"P{n + 1}" for n in range(len(before.region_marking)) if n not in before.dismissed]
    found = set()
    tumour = [i for i, out in zip(measured.lesions.ids, measured.words.not_tumour, strict=True) if not out]
    for name in (*tumour, *regions):
        row = replace(measured.rows.get(name, LesionRow(lesion_id=name)), belongs_to="")
        rows: dict[str, LesionRow] = {w.word: replace(row, resectability=w) for w in WORDS}
        rows |= {w: replace(row, fdg_avidity=w) for w in AVIDITIES[name in regions :]}
        for to, changed in rows.items():
            again = remark_case(measured, {**measured.rows, name: changed})
            stratum = assess(again, protocol).stratum
            if stratum is not None and stratum != before.stratum:
                found.add(Flip(lesion_id=name, to=to, stratum=stratum))
    return found


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: next(iter(c), "as it is"))
def test_flips_are_what_judging_anew_gives(choice: dict[str, Any]) -> None:
    """Random cases, with and without PET, a tenth of them with lesions that overlap."""
    overlapping = flips = 0
    for seed in range(300, 360):
        case = marked_case(seed)
        protocol = protocol_of(case, **choice)
        measured = measure_case(masks_of(case), protocol)
        found = find_flips(measured, assess(measured, protocol), protocol)
        assert set(found) == one_by_one(measured, protocol), seed
        overlapping += measured.lesions.overlapping
        flips += len(found)
    assert overlapping > 2
    assert flips > 20


def test_flips_without_pet_go_by_the_table() -> None:
    """Random cases without PET in which the table calls two of three lesions avid, a third not."""
    overlapping = flips = 0
    for seed in range(400, 500):
        case = marked_case(seed)
        words = np.random.default_rng(seed).choice(["avid", "avid", "not_avid"], len(case.lesions))
        table = {i: (case.table.get(i, (None,))[0], str(w)) for i, w in zip(case.lesions, words, strict=True)}
        masks = replace(masks_of(replace(case, table=table, belongs_to={})), avid=None, pet_field=None)
        protocol = protocol_of(case)
        measured = measure_case(masks, protocol)
        found = find_flips(measured, assess(measured, protocol), protocol)
        assert set(found) == one_by_one(measured, protocol), seed
        overlapping += measured.lesions.overlapping
        flips += len(found)
    assert overlapping > 2
    assert flips > 20


def test_a_marking_may_free_the_shared_voxels_of_a_partly_marked_lesion() -> None:
    """L1 is voxels 0-5, of which the mask says 3-5 are resectable; L2, 5-6, is unresectable by the table.

    Voxel 5, the only avid one, is in both, so its worst marking is unresectable: ineligible, as
    3-4 of 0-6 are under 70 %. With L2 resectable it is resectable in both: all avid disease is, and
    4 of 7 voxels (57 %) are not enough for stratum 1.
    """
    case = line_case(
        {"L1": cells(9, (0, 5)), "L2": cells(9, (5, 6))},
        resectable=cells(9, (3, 5)),
        avid=cells(9, (5, 5)),
        table={"L2": ("unresectable", None)},
    )
    protocol = protocol_of(case)
    measured = measure_case(masks_of(case), protocol)
    before = assess(measured, protocol)
    assert before.stratum == "ineligible"
    found = find_flips(measured, before, protocol)
    assert Flip(lesion_id="L2", to="resectable", stratum="stratum_2") in found
    assert set(found) == one_by_one(measured, protocol)


def test_alike_specks_are_told_apart_by_what_pet_sees_of_them() -> None:
    """Four lesions of one voxel: L1 avid and resectable, the others unresectable, L4 beyond the PET field.

    One of four is resectable (two with any other), so stratum 1 does not hold. Stratum 2 hangs on L4,
    whose avidity is unknown: resectable or not avid it settles it one way, avid the other way, as does
    anything avid that is not resectable, or no avid disease in L1 (L4 is unresectable either way).
    L2 and L3, called not avid by the table, look like L4 and settle nothing by their marking.
    """
    case = line_case(
        {f"L{n + 1}": cells(40, (at, at)) for n, at in enumerate((0, 4, 6, 38))},
        resectable=cells(40, (0, 0)),
        table={"L3": (None, "not_avid")},
        avid=cells(8, (0, 0)),
    )
    protocol = protocol_of(case)
    measured = measure_case(masks_of(case), protocol)
    assert measured.covered.tolist() == [True, True, True, False]
    before = assess(measured, protocol)
    found = set(find_flips(measured, before, protocol))
    assert before.stratum is None
    assert found == one_by_one(measured, protocol)
    assert {(f.lesion_id, f.to, f.stratum) for f in found} == {
        ("L4", "resectable", "stratum_2"),
        ("L4", "ablatable", "stratum_2"),
        ("L4", "not_avid", "stratum_2"),
        ("L4", "avid", "ineligible"),
        ("L1", "unresectable", "ineligible"),
        ("L1", "not_avid", "ineligible"),
        ("L2", "avid", "ineligible"),
        ("L3", "avid", "ineligible"),
    }


def test_shared_voxels_belong_to_the_first_lesion_when_boundaries_move() -> None:
    """Lesions 1 and 2 overlap; with the overlap cut off lesion 2 the shifted shares are the same.

    So is the interval, which goes by each lesion's volume: lesion 2 keeps its last slice, and with it
    its diameter.
    """
    rng = np.random.default_rng(3)
    lesions = {f"L{n}": np.zeros((20, 18, 12), dtype=bool) for n in (1, 2, 3)}
    lesions["L1"][2:9, 2:9, 2:8] = True
    lesions["L2"][6:14, 5:12, 3:9] = True
    lesions["L3"][15:18, 12:16, 2:10] = True
    resectable = rng.random((20, 18, 12)) < 0.5
    apart = {**lesions, "L2": lesions["L2"] & ~lesions["L1"]}
    shifted, intervals = [], []
    for drawn in (lesions, apart):
        case = line_case(drawn, resectable=resectable)
        protocol = replace(protocol_of(case), boundary_shift_mm=(-1.0, -0.5, 0.5, 1.0))
        measured = measure_case(masks_of(case), protocol)
        assert measured.lesions.overlapping == (drawn is lesions)
        robust = measure_robustness(measured, assess(measured, protocol), protocol)[0]
        shifted.append([s.resectable_fraction for s in robust.boundary_shift])
        intervals.append(robust.interval)
    assert intervals[0] == intervals[1]
    assert shifted[0] == pytest.approx(shifted[1], abs=1e-6)


def test_each_lesion_has_the_counting_error_of_its_own_size() -> None:
    """Of 1, 4, 1 and 2 voxels, out of order."""
    sizes = (1, 4, 1, 2)
    spans = [(6 * n, 6 * n + size - 1) for n, size in enumerate(sizes)]
    case = line_case({f"L{n + 1}": cells(40, span) for n, span in enumerate(spans)})
    protocol = protocol_of(case)
    measured = measure_case(masks_of(case), protocol)
    robust = measure_robustness(measured, assess(measured, protocol), protocol)[0]
    voxel_mm3, spacing = measured.lesions.grid.voxel_volume_mm3, measured.lesions.grid.spacing_mm
    assert robust.counting_error_percent == pytest.approx(
        [counting_error_percent(equivalent_diameter_mm(size * voxel_mm3), spacing) for size in sizes]
    )


@pytest.mark.parametrize("seed", range(6))
def test_flips_of_many_lesions_are_found_in_few_applications(seed: int) -> None:
    """Sixty lesions of 1 to 6 voxels along a line, some avid, some marked: what one by one finds.

    They make over 200 changes; the rule is applied fewer than half as often.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, 60).tolist()
    spans = [(21 * n, 21 * n + size - 1) for n, size in enumerate(sizes)]
    words = rng.choice(["resectable", "ablatable", "unresectable", "unknown"], 60, p=[0.5, 0.1, 0.1, 0.3])
    calls = [(None, "avid", "not_avid")[n] for n in rng.choice(3, 60, p=[0.8, 0.1, 0.1])]
    case = line_case(
        {f"L{n + 1}": cells(1260, span) for n, span in enumerate(spans)},
        avid=cells(1260, *(span for span in spans if rng.random() < 0.5)),
        table={f"L{n + 1}": (str(w), c) for n, (w, c) in enumerate(zip(words, calls, strict=True))},
    )
    protocol = protocol_of(case)
    measured = measure_case(masks_of(case), protocol)
    before = assess(measured, protocol)
    tried = list(each_flip(measured, before, protocol))
    assert {flip for flip in tried if flip is not None} == one_by_one(measured, protocol)
    assert tried.count(None) < 100
