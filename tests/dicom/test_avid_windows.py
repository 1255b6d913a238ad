"""However an avid mask is stored, its voxels are those of the PET: SUV of lesions and PET-only regions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.dicom.dicom_case import pet, write_dicom_case
from tests.phantom_case import Form, write, write_segmentation
from volstrat.case.assess import run_case
from volstrat.case.protocol_files import load_protocol

KEYS = ("suv_max", "suv_mean", "suv_peak", "tlg_g", "fdg_avid_ml")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a case whose avid mask is an RTSTRUCT: drawn on the whole grid of the PET."""
    return write_dicom_case(tmp_path_factory.mktemp("whole") / "S1", tumour="seg", avid="rtstruct")


def uptake(folder: Path) -> list[tuple[str, tuple[float | None, ...]]]:
    """Return what was measured of each lesion and region."""
    record = run_case(folder, load_protocol())
    assert record["error"] is None, record["error"]
    rows = (*record["lesions"], *record["pet_only_regions"])
    return [(row["lesion_id"], tuple(row[key] for key in KEYS)) for row in rows]  # type: ignore[literal-required]


def cropped(margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the avid mask cut to the box of its voxels and a margin, with its affine."""
    dense, affine = pet()
    at = np.argwhere(dense)
    low = np.maximum(at.min(axis=0) - margin, 0)
    high = np.minimum(at.max(axis=0) + 1 + margin, dense.shape)
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    return dense[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], affine


def write_seg_with_empty_frames_left_out(folder: Path) -> None:
    """DICOM SEG by highdicom: slices without avid voxels have no frame."""
    other = write_dicom_case(folder.parent / "other", tumour="seg", avid="seg")
    shutil.copy(other / "objects" / "b", folder / "objects" / "b")


def write_cropped_segmentation(folder: Path) -> None:
    """Slicer's file, cut to what is drawn."""
    dense, affine = cropped(1)
    write_segmentation(folder / "fdg_avid.seg.nrrd", [dense], affine, [("FDG avid", 1, 0)])


def write_turned_segmentation(folder: Path) -> None:
    """Turn it: its axes in another order and direction."""
    dense, affine = cropped(0)
    turned = affine.copy()
    turned[:3, 3] += affine[:3, 0] * (dense.shape[0] - 1)
    turned[:3, 0] = -affine[:3, 0]
    turned[:3, :3] = turned[:3, [2, 0, 1]]
    flipped = np.ascontiguousarray(np.transpose(dense[::-1], (2, 0, 1)))
    write_segmentation(folder / "fdg_avid.seg.nrrd", [flipped], turned, [("FDG avid", 1, 0)])


def write_whole_nifti(folder: Path) -> None:
    """Dense, on the PET's own grid."""
    write(folder, "fdg_avid", pet(), Form(ending=".nii.gz"))


@pytest.mark.parametrize(
    "store",
    [
        write_seg_with_empty_frames_left_out,
        write_cropped_segmentation,
        write_turned_segmentation,
        write_whole_nifti,
    ],
)
def test_stored_in_whatever_way_it_gives_the_same_suv(whole: Path, tmp_path: Path, store: object) -> None:
    """L2 and P1 are hot: SUV 6; P1, a PET-only region of one voxel, has its SUV too."""
    folder = Path(shutil.copytree(whole, tmp_path / "S1"))
    (folder / "objects" / "b").unlink()
    store(folder)  # type: ignore[operator]
    expected = uptake(whole)
    found = uptake(folder)
    assert [name for name, _ in found] == [name for name, _ in expected] == ["L1", "L2", "L3", "P1"]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert one == pytest.approx(other)
    assert dict(found)["P1"][0] == pytest.approx(6.0, rel=1e-3)
