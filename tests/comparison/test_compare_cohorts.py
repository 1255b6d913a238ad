"""Statistics, order and page of readings of many subjects."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.comparison.comparisons import LARGER, compared, only_subject
from tests.comparison.readers import (
    L1,
    L2,
    L3,
    filled,
    stratum_1,
    write_case,
)
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import run_cohort
from volstrat.comparison import compare_readings
from volstrat.report.write import report_cohort

if TYPE_CHECKING:
    from tests.comparison.readers import Box


def test_statistics_of_one_subject_are_null_with_a_reason(tmp_path: Path) -> None:
    """Kappa, AC1, ICC and limits of agreement need two subjects; wSD does not."""
    a, b = stratum_1(tmp_path / "a"), stratum_1(tmp_path / "b", tumour=filled(L1, LARGER))
    cohort = compared(tmp_path, a, b)["cohort"]
    volume = cohort["quantities"][0]
    for estimate in (
        cohort["strata"]["ac1"],
        cohort["strata"]["pairs"][0]["kappa"],
        volume["icc"]["log"]["icc_2_1"],
        volume["bland_altman"][0]["lower_limit"],
    ):
        assert estimate["value"] is None
        assert "two subjects" in estimate["reason"]
    assert volume["bland_altman"][0]["bias"]["value"] == pytest.approx(math.log(1.03), rel=1e-9)
    # s^2 of 1.28 and 1.3184 ml is their difference squared, halved.
    assert volume["within_subject"]["wsd"]["value"] == pytest.approx(0.0384 / math.sqrt(2), rel=1e-6)


def test_readings_of_the_same_files_are_said_to_be_one(tmp_path: Path) -> None:
    """A copied folder agrees with itself: kappa 1 says nothing of two readers."""
    a = stratum_1(tmp_path / "a")
    copy = shutil.copytree(a, tmp_path / "copy")
    other = stratum_1(tmp_path / "b", tumour=filled(L1, LARGER))
    codes = [[one["code"] for one in compared(tmp_path, a, b)["findings"]] for b in (copy, other)]
    assert ["readings_alike" in found for found in codes] == [True, False]


def cohort_of(root: Path, tumours: list[tuple[Box, ...]], resectable: list[tuple[Box, ...]]) -> Path:
    """Write a cohort, a subject for each entry."""
    for n, (tumour, part) in enumerate(zip(tumours, resectable, strict=True), start=1):
        write_case(root / f"S{n}", tumour=filled(*tumour), resectable=filled(*part), fdg_avid=filled(*tumour))
    return root


def test_statistics_over_subjects_follow_from_the_readings(tmp_path: Path) -> None:
    """Four subjects; B doubles every volume of S2. Strata 1, 1, ineligible, ineligible against 1, x, x, x."""
    half: Box = ((2, 7), *L1[1:])  # 350
    a = cohort_of(tmp_path / "a", [(L1,), (half,), (L1, L2), (L2,)], [(L1,), (half,), (L2,), ()])
    b = cohort_of(tmp_path / "b", [(L1,), (L1,), (L1, L2), (L2,)], [(L1,), (half,), (L2,), ()])
    cohort = compared(tmp_path, a, b)["cohort"]
    (pair,) = cohort["strata"]["pairs"]
    # B's S2: 350 of 700 resectable, and not all avid disease: ineligible.
    assert pair["table"] == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    assert cohort["strata_given"]["pairs"][0]["table"] == [[1, 0, 1], [0, 0, 0], [0, 0, 2]]
    assert pair["agreement"]["value"] == 0.75
    # po 3/4; pe = 2/4 x 1/4 + 2/4 x 3/4 = 1/2; kappa 1/2
    assert pair["kappa"]["value"] == pytest.approx(0.5, rel=1e-12)
    volume = cohort["quantities"][0]
    assert volume["quantity"] == "total_tumour_ml"
    (limits,) = volume["bland_altman"]
    # ln ratios 0, ln 2, 0, 0
    assert limits["bias"]["value"] == pytest.approx(math.log(2) / 4, rel=1e-9)
    assert limits["sd"] == pytest.approx(math.log(2) / 2, rel=1e-9)
    assert limits["as_ratio"]["bias"] == pytest.approx(2**0.25, rel=1e-9)
    # s^2 / m^2 of S2 (x, 2x): (x^2 / 2) / (9 x^2 / 4) = 2 / 9; the mean over four is 1 / 18
    assert volume["within_subject"]["wcv"]["value"] == pytest.approx(math.sqrt(1 / 18), rel=1e-9)
    fraction = cohort["quantities"][1]
    assert fraction["bland_altman"][0]["bias"]["value"] == pytest.approx(-0.5 / 4, rel=1e-9)


def test_two_subjects_that_differ_widely_have_a_page(tmp_path: Path) -> None:
    """Of fractions that differ by 0.7 and by 0, the limits of agreement lie several times 100 % apart."""
    for subject, resectable in (("S1", filled()), ("S2", filled(L1))):
        stratum_1(tmp_path / "a" / subject)
        stratum_1(tmp_path / "b" / subject, resectable=resectable)
    compare_readings([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert (tmp_path / "out" / "agreement.html").stat().st_size > 0


def test_the_adjudication_list_is_ordered_by_what_is_at_stake(tmp_path: Path) -> None:
    """Trial entry before a failed reading before a predicate; within one, the larger volume first."""
    a, b = tmp_path / "a", tmp_path / "b"
    stratum_1(a / "S1"), stratum_1(b / "S1", fdg_avid=filled(L1))  # a predicate
    stratum_1(a / "S2"), stratum_1(b / "S2", tumour=filled(L1, LARGER))  # 30 voxels decide entry
    stratum_1(a / "S3"), stratum_1(b / "S3", tumour=filled(L1, L2, L3))  # 300 voxels decide entry
    stratum_1(a / "S4")  # in one reading only
    stratum_1(a / "S5"), stratum_1(b / "S5")  # nothing
    found = compared(tmp_path, a, b)
    listed = [(item["subject"], item["stake"]) for item in found["adjudication"]]
    assert listed == [
        ("S3", "trial_entry"), ("S2", "trial_entry"), ("S4", "not_comparable"), ("S1", "predicates"),
    ]  # fmt: skip
    assert [item["order"] for item in found["adjudication"]] == [1, 2, 3, 4]
    (look,) = found["adjudication"][0]["look_at"]
    assert look.split(" ", 1)[1].startswith("in B, not in A (0.38 ml, at ")
    with (tmp_path / "out" / "adjudication.csv").open(newline="") as stream:
        assert [row["subject"] for row in csv.DictReader(stream)] == ["S3", "S2", "S4", "S1"]


def test_three_readings_are_compared_two_by_two(tmp_path: Path) -> None:
    """Three pairs a subject; the difference of the odd one is named."""
    paths = [stratum_1(tmp_path / name / "S1") for name in "ab"]
    paths.append(stratum_1(tmp_path / "c" / "S1", tumour=filled(L1, LARGER)))
    found = compared(tmp_path, *paths)
    subject = only_subject(found)
    assert [(p["a"], p["b"], p["discordance"]["level"]) for p in subject["pairs"]] == [
        ("A", "B", None), ("A", "C", "stratum"), ("B", "C", "stratum"),
    ]  # fmt: skip
    assert subject["attributed_to"] == "contour"
    assert found["cohort"]["quantities"][0]["within_subject"]["readers"] == 3


def test_the_same_readings_give_the_same_bytes(tmp_path: Path) -> None:
    """Nothing depends on time, host or the order of files."""
    a, b = stratum_1(tmp_path / "a" / "S1"), stratum_1(tmp_path / "b" / "S1", tumour=filled(L1, L2, L3))
    written = []
    for name in ("one", "two"):
        compare_readings([a, b], tmp_path / name)
        files = [path for path in (tmp_path / name).iterdir() if path.is_file()]
        written.append({p.name: p.read_bytes() for p in files if p.name not in {"run.json", "audit.jsonl"}})
        assert {"run.json", "audit.jsonl"} < {path.name for path in files}
    assert written[0] == written[1]
    assert sorted(written[0]) == [
        "adjudication.csv", "adjudication.parquet", "agreement.csv", "agreement.html", "agreement.json",
        "agreement.parquet", "agreement_lesions.csv", "agreement_lesions.parquet", "columns.csv",
    ]  # fmt: skip


def test_the_page_is_self_contained_and_escapes_names(tmp_path: Path) -> None:
    """A subject called like markup stays text; nothing is fetched."""
    name = "<script>alert(1)<b>"
    a, b = stratum_1(tmp_path / "a" / name), stratum_1(tmp_path / "b" / name, tumour=filled(L1, L2, L3))
    compare_readings([a.parent, b.parent], tmp_path / "out")
    page = (tmp_path / "out" / "agreement.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_a_subject_that_left_a_cohort_is_not_compared(tmp_path: Path) -> None:
    """Its folder stays in the output, but it is in no table of the reading, and so in no statistic."""
    for reader in ("a", "b"):
        for subject in ("S1", "S2", "S3"):
            stratum_1(tmp_path / reader / subject)
        run_cohort(tmp_path / reader, tmp_path / f"out_{reader}", load_protocol(), workers=1)
        shutil.rmtree(tmp_path / reader / "S2")
        for _ in range(2):
            run_cohort(tmp_path / reader, tmp_path / f"out_{reader}", load_protocol(), workers=1)
        assert (tmp_path / f"out_{reader}" / "S2" / "case.json").exists()
    found = compared(tmp_path, tmp_path / "out_a", tmp_path / "out_b")
    assert [subject["subject"] for subject in found["subjects"]] == ["S1", "S3"]
    written = report_cohort(tmp_path / "out_a", tmp_path / "reports", load_protocol())
    assert [report.subject for report in written] == ["S1", "S3"]
