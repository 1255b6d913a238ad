"""A SEG that names its CT, and does not lie on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dicom.edited_cases import edit, finding
from tests.records import protocol, run_case

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset


def move(seg: Dataset) -> None:
    """Move every frame by 0.2 mm to the patient's left."""
    for frame in seg.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        x, *rest = map(float, place.ImagePositionPatient)
        place.ImagePositionPatient = [f"{value:.9g}" for value in (x + 0.2, *rest)]


def stretch(seg: Dataset, factor: float) -> None:
    """Change the pixels' size."""
    pixels = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    pixels.PixelSpacing = [f"{float(value) * factor:.9g}" for value in pixels.PixelSpacing]


def test_a_seg_moved_off_the_ct_that_it_names_is_looked_at(case: Path) -> None:
    """That it names the CT does not put it there."""
    edit(case / "objects" / "a", move)
    found = finding(run_case(case, protocol()), "mask_off_ct")
    assert len(found) == 2  # tumour and resectable
    assert all("one of its corners is 0.2 mm off" in message for message in found)


@pytest.mark.parametrize(("factor", "findings"), [(1.01, 2), (2.0, 0)])
def test_a_seg_stretched_off_the_ct_is_looked_at_and_one_of_its_own_resolution_is_not(
    case: Path, factor: float, findings: int
) -> None:
    """1 % of 25 x 0.8 mm and of 21 x 0.7 mm: a corner is 0.25 mm off."""
    edit(case / "objects" / "a", lambda seg: stretch(seg, factor))
    found = finding(run_case(case, protocol()), "mask_off_ct")
    assert len(found) == findings
    assert all("one of its corners is 0.2 mm off" in message for message in found)
