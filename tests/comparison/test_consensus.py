"""One reading from three: voxels by majority or STAPLE, markings by majority of the readers."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import SimpleITK as sitk

from tests.comparison.readers import AFFINE, L1, L2, L3, SHAPE, filled, stratum_1, write_case
from tests.dense import voxel_runs
from tests.records import run_case
from volstrat.case.protocol_files import load_protocol
from volstrat.comparison import write_consensus
from volstrat.comparison.consensus import staple
from volstrat.errors import UsageError
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import VoxelRuns

if TYPE_CHECKING:
    from pathlib import Path

    from tests.comparison.readers import Box

GRID = VoxelGrid(shape=SHAPE, affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE)
PART: Box = ((2, 9), *L1[1:])  # 490 of L1's 700


def table_of(out: Path) -> list[dict[str, str]]:
    """Return the rows of the consensus lesion table."""
    with (out / "S1" / "lesions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def record_of(out: Path) -> dict[str, Any]:
    """Return the record of the consensus as a case of its own."""
    return run_case(out / "S1", load_protocol(None))


def test_the_majority_is_a_case_of_its_own(tmp_path: Path) -> None:
    """Two of three draw L1 whole, one in part; L3 is seen by one alone. A and B can resect L1, C cannot."""
    a = stratum_1(tmp_path / "a" / "S1")
    b = stratum_1(tmp_path / "b" / "S1", tumour=filled(PART, L2), resectable=filled(PART))
    c = stratum_1(tmp_path / "c" / "S1", tumour=filled(L1, L2, L3), resectable=filled(L2))
    result = write_consensus([a, b, c], tmp_path / "out")
    assert (result.written, result.failed) == (("S1",), ())
    record = record_of(tmp_path / "out")
    assert [(lesion["voxels"], lesion["resectability"]) for lesion in record["lesions"]] == [
        (700, "resectable"), (300, "unresectable"),
    ]  # fmt: skip
    assert record["stratum"] == "stratum_1"
    assert record["predicates"]["stratum_2"]["whole_voxels"] == 1000  # the avid masks agree
    assert [row["reason"] for row in table_of(tmp_path / "out")] == [
        "2 of 3: A resectable, B resectable, C unresectable",
        "2 of 3: A unresectable, B unresectable, C resectable",
    ]
    told = json.loads((tmp_path / "out" / "S1" / "consensus.json").read_bytes())
    assert told["tumour"] == {"voxels": [1000, 790, 1300], "consensus_voxels": 1000}


def test_without_a_majority_a_lesion_stays_unknown(tmp_path: Path) -> None:
    """Three words on L1; nobody outvotes anybody."""
    paths = []
    for name, word in (("a", "resectable"), ("b", "ablatable"), ("c", "unresectable")):
        case = write_case(tmp_path / name / "S1", tumour=filled(L1, L2), fdg_avid=filled(L2))
        (case / "lesions.csv").write_text(f"lesion_id,resectability\nL1,{word}\nL2,resectable\n")
        paths.append(case)
    write_consensus(paths, tmp_path / "out")
    rows = table_of(tmp_path / "out")
    assert [row["resectability"] for row in rows] == ["unknown", "resectable"]
    assert rows[0]["reason"].startswith("no majority")
    assert all(float(row["volume_ml"]) > 0 for row in rows)
    assert record_of(tmp_path / "out")["status"] == "not_assessable"  # 30 % to 100 %: stratum 2 or 1


def test_a_reading_has_one_vote(tmp_path: Path) -> None:
    """Named twice, it would be the majority of three by itself."""
    a, b = stratum_1(tmp_path / "a"), stratum_1(tmp_path / "b")
    with pytest.raises(UsageError, match="named twice"):
        write_consensus([a, b, a], tmp_path / "out")


def test_avidity_words_are_voted_on_where_there_is_no_pet(tmp_path: Path) -> None:
    """Two readers call L1 avid in their tables."""
    paths = []
    for name, word in (("a", "avid"), ("b", "avid"), ("c", "not_avid")):
        case = write_case(tmp_path / name / "S1", tumour=filled(L1))
        (case / "lesions.csv").write_text(f"lesion_id,resectability,fdg_avidity\nL1,resectable,{word}\n")
        paths.append(case)
    write_consensus(paths, tmp_path / "out")
    (row,) = table_of(tmp_path / "out")
    assert row["fdg_avidity"] == "avid"
    assert not (tmp_path / "out" / "S1" / "fdg_avid.nii.gz").exists()


def test_two_readings_are_refused(tmp_path: Path) -> None:
    """An adjudicator decides between two."""
    with pytest.raises(UsageError, match="at least 3 readings; there are 2"):
        write_consensus([stratum_1(tmp_path / "a"), stratum_1(tmp_path / "b")], tmp_path / "out")


def test_a_subject_that_one_reading_lacks_has_no_consensus(tmp_path: Path) -> None:
    """The others do."""
    for name in "abc":
        stratum_1(tmp_path / name / "S1")
    stratum_1(tmp_path / "a" / "S2")
    result = write_consensus([tmp_path / name for name in "abc"], tmp_path / "out")
    assert result.written == ("S1",)
    ((subject, why),) = result.failed
    assert (subject, "not in reading B, C" in why) == ("S2", True)


def test_a_reading_on_another_grid_has_no_consensus(tmp_path: Path) -> None:
    """Nothing is resampled behind the reader's back."""
    moved = AFFINE.copy()
    moved[1, 3] += 2
    paths = [stratum_1(tmp_path / name / "S1") for name in "ab"]
    paths.append(write_case(tmp_path / "c" / "S1", affine=moved, tumour=filled(L1)))
    result = write_consensus(paths, tmp_path / "out")
    assert "2.00 mm away" in result.failed[0][1]


def test_a_readers_masks_are_never_written_over(tmp_path: Path) -> None:
    """Neither where the output is a reading, nor where it holds cases of the same subjects."""
    roots = [tmp_path / name for name in ("a", "b", "c")]
    for root in (*roots, tmp_path / "d"):
        stratum_1(root / "S1")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for paths, out, word in (
        (roots, roots[0], "holds a reading"),
        (roots, tmp_path / "d", "no consensus made"),
        ([root / "S1" for root in roots], roots[1], "no consensus made"),
    ):
        with pytest.raises(UsageError, match=word):
            write_consensus(paths, out)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_nothing_of_an_earlier_consensus_stays(tmp_path: Path) -> None:
    """An avid mask that the readings no longer give would be read with the new tumour."""
    roots = [tmp_path / name for name in ("a", "b", "c")]
    for root in roots:
        stratum_1(root / "S1")
    out = tmp_path / "out"
    write_consensus(roots, out)
    assert (out / "S1" / "fdg_avid.nii.gz").exists()
    (roots[0] / "S1" / "fdg_avid.nii.gz").unlink()
    write_consensus(roots, out)
    names = ["consensus.json", "lesions.csv", "tumour.nii.gz"]
    assert sorted(path.name for path in (out / "S1").iterdir()) == names
    shutil.rmtree(roots[0] / "S1")
    stratum_1(roots[0] / "S2")
    assert [subject for subject, _ in write_consensus(roots, out).failed] == ["S1", "S2"]
    assert list((out / "S1").iterdir()) == []


def test_the_same_readings_give_the_same_bytes(tmp_path: Path) -> None:
    """Compressed masks carry no time."""
    paths = [stratum_1(tmp_path / name / "S1") for name in "abc"]
    for name in ("one", "two"):
        write_consensus(paths, tmp_path / name)
    files = sorted(p.name for p in (tmp_path / "one" / "S1").iterdir())
    assert files == ["consensus.json", "fdg_avid.nii.gz", "lesions.csv", "tumour.nii.gz"]
    for name in files:
        one, two = ((tmp_path / run / "S1" / name).read_bytes() for run in ("one", "two"))
        assert one == two


def test_staple_is_that_of_simpleitk_on_the_same_box() -> None:
    """Readers of known quality on noisy boxes; the box round them is five voxels wider."""
    rng = np.random.default_rng(11)
    truth = filled(((10, 25), (8, 20), (6, 14))).astype(bool)
    near = filled(((7, 28), (6, 23), (6, 15))).astype(bool)
    readings = [truth ^ (near & (rng.random(SHAPE) < noise)) for noise in (0.05, 0.1, 0.3)]
    found, performance = staple([voxel_runs(r) for r in readings], GRID)
    union = np.argwhere(np.any(readings, axis=0))
    low = np.maximum(union.min(axis=0) - 5, 0)
    high = np.minimum(union.max(axis=0) + 6, SHAPE)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    images = [sitk.GetImageFromArray(r[box].astype(np.uint8).T) for r in readings]
    expected = sitk.GetArrayFromImage(sitk.STAPLE(images, 1.0)).T > 0.5
    dense = np.zeros(SHAPE, dtype=bool)
    dense[box] = expected
    assert found.same_as(voxel_runs(dense))
    sensitivity = [p["sensitivity"] for p in performance]
    assert sensitivity[0] > sensitivity[1] > sensitivity[2]  # the noisier, the worse


def test_staple_of_empty_readings_is_empty() -> None:
    """Nobody saw anything."""
    found, performance = staple([VoxelRuns.empty()] * 3, GRID)
    assert (found.count, performance) == (0, [])
