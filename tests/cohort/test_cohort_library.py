"""Cohorts and comparisons from the library are those of the commands."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest

import volstrat as vs

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
NAMES = ("S02_stratum_2", "S05_exactly_70_percent", "S14_broken_file")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> vs.Cohort:
    """Run three cases, of which one fails."""
    folder = tmp_path_factory.mktemp("library")
    for name in NAMES:
        shutil.copytree(SAMPLES / name, folder / "cases" / name)
    return vs.run_cohort(str(folder / "cases"), folder / "out", workers=1)


def test_a_cohort_is_its_tables(cohort: vs.Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    """One row a subject, the failed one too; records by subject; nothing is printed."""
    again = vs.read_cohort(cohort.out)
    assert again.subjects == cohort.subjects == NAMES
    assert dict(again.counts) == {"assigned": 1, "failed": 1, "review": 1}
    frame = again.to_pandas()
    assert frame["status"].tolist() == ["assigned", "review", "failed"]
    assert frame["volumes.total_tumour_ml"].isna().tolist() == [False, False, True]
    assert again.to_arrow().equals(cohort.to_arrow())
    assert again.record("S02_stratum_2") == vs.read_case(SAMPLES / "S02_stratum_2").record
    assert set(again.lesions.to_pandas()["subject"]) == {"S02_stratum_2", "S05_exactly_70_percent"}
    assert repr(again) == "Cohort('out': 3 subjects; 1 assigned, 1 failed, 1 review)"
    assert "S14_broken_file" in again._repr_html_()
    assert pickle.loads(pickle.dumps(again)).subjects == NAMES
    assert capsys.readouterr().out == ""
    with pytest.raises(KeyError, match="S99"):
        again.record("S99")
    with pytest.raises(AttributeError):
        again.out = Path()  # type: ignore[misc]


def test_what_is_no_cohort_is_refused(tmp_path: Path) -> None:
    """In one sentence, as an error of volstrat."""
    with pytest.raises(vs.VolstratError, match=r"no cohort\.parquet"):
        vs.read_cohort(tmp_path)


def test_a_comparison_is_the_agreement_file(cohort: vs.Cohort, tmp_path: Path) -> None:
    """Its record is ``agreement.json``; without ``out`` nothing stays on the disk."""
    found = vs.compare(cohort.out, cohort.out, out=tmp_path / "agreement")
    assert found.record == json.loads((tmp_path / "agreement" / "agreement.json").read_bytes())
    assert found.subjects == NAMES
    assert dict(found.stakes) == {"none": 2, "not_comparable": 1}
    assert found.to_pandas()["subject"].tolist() == list(NAMES)
    assert vs.compare(cohort.out, cohort.out).record["subjects"] == found.record["subjects"]
    assert pickle.loads(pickle.dumps(found)).stakes == found.stakes
    assert repr(found).startswith("Comparison(A and B: 3 subjects")
    assert "S02_stratum_2" in found._repr_html_()
