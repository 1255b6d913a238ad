"""Lesions are matched before markings are blamed: a row that moved with its number is named as that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.comparison.readers import L1, L2, agreement, filled, write_case
from volstrat.case.protocol_files import load_protocol
from volstrat.comparison.compare_run import compare_readings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_row_that_moved_to_another_lesion_is_named_as_that(tmp_path: Path) -> None:
    """In B the large lesion is drawn smaller than the other: numbers by size swap, and rows with them."""
    smaller = ((2, 12), (2, 12), (2, 4))  # 200 voxels, where L2 has 300
    for name, boxes in (("a", (L1, L2)), ("b", (smaller, L2))):
        case = write_case(tmp_path / name / "S1", tumour=filled(*boxes))
        (case / "lesions.csv").write_text("lesion_id,resectability\nL1,resectable\nL2,unresectable\n")
    out = tmp_path / "out"
    compare_readings([tmp_path / "a", tmp_path / "b"], out, protocol=load_protocol(None))
    (pair,) = agreement(out)["subjects"][0]["pairs"]
    moved = [one for one in pair["findings"] if one["code"] == "row_moved"]
    assert [one["where"] for one in moved] == ["L1", "L2"]
    assert "L1 in A, which is L2 in B, and L1 in B" in moved[0]["message"]
    assert pair["discordance_reason"] == moved[0]["message"]
    # 700 of 1000 become 300 of 500. On B's contours A's words give 200 of 500; B's words on A's, 300 of 1000.
    assert pair["discordance"]["differing"] == ["contour", "row_moved"]
    assert pair["discordance"]["attributed_to"] == "contour+row_moved"
    assert "marking" in pair["discordance"]["same"]


def test_rows_with_points_do_not_move(tmp_path: Path) -> None:
    """The same readings, marked by points: nothing moved, and the contour is what differs."""
    smaller = ((2, 12), (2, 12), (2, 4))
    # Voxel (7, 7, 3) of the first lesion and (25, 7, 3) of the second, in LPS: x and y turn their sign.
    rows = "lesion_id,resectability,x_mm,y_mm,z_mm\nL1,resectable,{},{},{}\nL2,unresectable,{},{},{}\n"
    points = []
    for i, j, k in ((7, 7, 3), (25, 7, 3)):
        points += [-(-0.8 * i + 60), -(0.64 * j - 1.2 * k - 12), 0.48 * j + 1.6 * k + 830]
    for name, boxes in (("a", (L1, L2)), ("b", (smaller, L2))):
        case = write_case(tmp_path / name / "S1", tumour=filled(*boxes))
        (case / "lesions.csv").write_text(rows.format(*points))
    out = tmp_path / "out"
    compare_readings([tmp_path / "a", tmp_path / "b"], out, protocol=load_protocol(None))
    (pair,) = agreement(out)["subjects"][0]["pairs"]
    assert not [one for one in pair["findings"] if one["code"] == "row_moved"]
    assert pair["discordance"]["attributed_to"] == "contour"
