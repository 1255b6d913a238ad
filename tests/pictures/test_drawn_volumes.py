"""A CT that is seen while it is being read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.dicom.image_files import write_stack
from tests.volume_files import nifti
from volstrat.case.discovery import CasePlace
from volstrat.case.entries import EntryReader
from volstrat.pictures.drawn_volumes import CtReading, Volume
from volstrat.pictures.planes import Plane

if TYPE_CHECKING:
    from pathlib import Path

AFFINE = np.array([[-1.5, 0, 0, 20], [0, 0.9, 0, -7], [0, 0, 2.5, 100], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("kind", ["NIfTI", "DICOM"])
def test_what_is_read_piece_by_piece_is_what_is_read_whole(tmp_path: Path, kind: str) -> None:
    """The same values on the same grid; a slice that was waited for is there."""
    folder = tmp_path / "S1"
    folder.mkdir()
    nifti(folder / "tumour.nii.gz", np.ones((6, 5, 4), dtype=np.uint8), AFFINE)
    if kind == "DICOM":
        write_stack(folder / "ct", count=7, step_mm=np.array([0.0, 0.0, 1.7]), intercept=-24)
        (folder / "case.toml").write_text('[inputs]\ntumour = "tumour.nii.gz"\nct = "ct"\n', encoding="utf-8")
    else:
        hu = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) - 60
        nifti(folder / "ct.nii.gz", hu, AFFINE)
    sources = CasePlace(folder=folder, subject="S1").open().sources
    reading = CtReading(sources)
    begun, whole = reading.begun(), EntryReader(sources).image("ct", sources.entries["ct"][0])
    assert begun is not None
    read_whole = Volume.ct(whole.grid, whole.values)
    plane = Plane(name="axial", grid=begun.view.grid, index=2)
    reading.wait_for(plane)
    assert np.array_equal(plane.cut(begun.values), plane.cut(read_whole.values))
    read = reading.ended()
    assert read.problem == ""
    assert read.volume is begun
    assert np.array_equal(begun.values, read_whole.values)
    assert np.array_equal(begun.view.grid.affine, read_whole.view.grid.affine)
    assert np.unique(read_whole.values).size > 5
