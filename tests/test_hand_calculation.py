"""The stratum 2 that `docs/rule.md` works by hand comes out of volstrat with the page's own numbers.

The page is the one place of its figures: the case is built from its tables of boxes, and the record is
held to its table of values.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.volume_files import nifti

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Box = tuple[slice, slice, slice]

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "rule.md").read_text(encoding="utf-8")
BY_HAND = PAGE.split("\n## By hand\n")[1].split("\n## ")[0]
CT_SHAPE, CT_SPACING_MM = (72, 60, 36), (1.0, 1.0, 2.5)
PET_SHAPE, PET_SPACING_MM = (18, 15, 18), (4.0, 4.0, 5.0)
CORNER_MM = np.array([-31.0, -120.5, 812.25])
"""Outer corner of both grids, LPS: off-centre, and no voxel centre on the origin."""


def boxes(first_column: str) -> dict[str, tuple[Box, int]]:
    """Read a table of boxes: name, first and last voxel of each axis, and the count it states."""
    table = BY_HAND.split(f"| {first_column} | x | y | z | Voxels |")[1].split("\n\n")[0]
    box = r"(\d+)-(\d+) \| (\d+)-(\d+) \| (\d+)-(\d+)"
    rows = re.findall(rf"^\| ([\w ]+) \| {box} \|.* = (\d+) \|$", table, re.MULTILINE)
    found = {}
    for name, *numbers, count in rows:
        ends = [int(n) for n in numbers]
        x, y, z = (slice(a, b + 1) for a, b in zip(ends[::2], ends[1::2], strict=True))
        found[name] = ((x, y, z), int(count))
    return found


def affine(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Axes along the patient's, the grid's outer corner at `CORNER_MM`."""
    matrix = np.diag([*spacing_mm, 1.0])
    matrix[:3, 3] = CORNER_MM + np.array(spacing_mm) / 2
    return matrix


def point(box: Box, spacing_mm: tuple[float, float, float]) -> str:
    """Cells ``x_mm,y_mm,z_mm``: the centre of the box's first voxel."""
    first = affine(spacing_mm) @ np.array([*(s.start for s in box), 1.0])
    return ",".join(f"{x:g}" for x in first[:3])


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Build the page's case, run it, and return its record."""
    folder = tmp_path_factory.mktemp("by_hand") / "HAND"
    folder.mkdir()
    tumour, resectable = np.zeros(CT_SHAPE, np.uint8), np.zeros(CT_SHAPE, np.uint8)
    avid = np.zeros(PET_SHAPE, np.uint8)
    for box, _ in boxes("Lesion").values():
        tumour[box] = 1
    for name in ("L2", "L3"):
        resectable[boxes("Lesion")[name][0]] = 1
    resectable[8:20, 44, 8] = 0
    for box, _ in boxes("Region").values():
        avid[box] = 1
    nifti(folder / "tumour.nii", tumour, affine(CT_SPACING_MM))
    nifti(folder / "resectable.nii", resectable, affine(CT_SPACING_MM))
    nifti(folder / "fdg_avid.nii", avid, affine(PET_SPACING_MM))
    rows = [
        f"L4,ablatable,,{point(boxes('Lesion')['L4'][0], CT_SPACING_MM)}",
        f"P1,,not_avid,{point(boxes('Region')['P1'][0], PET_SPACING_MM)}",
        f"P2,resectable,,{point(boxes('Region')['P2'][0], PET_SPACING_MM)}",
    ]
    table = "\n".join(["lesion_id,resectability,fdg_avidity,x_mm,y_mm,z_mm", *rows, ""])
    (folder / "lesions.csv").write_text(table, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "volstrat", "case", str(folder), "--json"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("column", ["Lesion", "Region"])
def test_the_boxes_hold_as_many_voxels_as_the_page_says(column: str) -> None:
    """Four of each; every product on the page is the size of its box."""
    found = boxes(column)
    assert len(found) == 4
    sizes = {name: np.prod([s.stop - s.start for s in box]) for name, (box, _) in found.items()}
    assert sizes == {name: count for name, (_, count) in found.items()}


EXPECTED = re.findall(r"^\| `([\w.]+)` \| `(.+)` \|$", BY_HAND, re.MULTILINE)


def test_the_page_states_what_decides() -> None:
    """The table of values was found, verdict and counts in it."""
    assert {"status", "stratum", "predicates.stratum_2.part_voxels"} <= {key for key, _ in EXPECTED}


@pytest.mark.parametrize(("key", "value"), EXPECTED)
def test_the_record_holds_the_value_worked_by_hand(record: dict[str, Any], key: str, value: str) -> None:
    """Each row of the page's last table; counts and words exactly, numbers to twelve digits."""
    found: Any = record
    for part in key.split("."):
        found = {row["lesion_id"]: row for row in found}[part] if isinstance(found, list) else found[part]
    expected = json.loads(value)
    assert found == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected)
