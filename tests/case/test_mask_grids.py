"""Masks that do not lie together or on their CT, grids of no patient's size, and files that are harmless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from tests.part_cases import LABELS, LPS, PROTOCOL, RAS, codes, nifti, tumour
from tests.phantom_case import write_segmentation
from tests.records import run_case

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TUMOUR = (LABELS > 0).astype(np.uint8)


def moved(voxels: Sequence[float]) -> NDArray[np.float64]:
    """Return the phantom's RAS affine, moved by voxels along its axes."""
    affine = RAS.copy()
    affine[:3, 3] += RAS[:3, :3] @ np.asarray(voxels, float)
    return affine


def volume(path: Path, array: NDArray[Any], affine: NDArray[Any] = RAS, *, units: str = "mm") -> None:
    """Write an image."""
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units(units)
    nib.save(image, path)


@pytest.mark.parametrize(
    ("affine", "found"),
    [
        pytest.param(RAS, set(), id="the same"),
        pytest.param(moved((0, 0, -3)), set(), id="a longer scan"),
        pytest.param(moved((0.4, 0, 0)), {"mask_off_ct"}, id="part of a voxel off"),
        pytest.param(RAS @ np.diag([1.0, 1.0, 0.5, 1.0]), {"mask_off_ct"}, id="other slices"),
    ],
)
def test_a_mask_must_lie_on_the_cts_lattice(tmp_path: Path, affine: NDArray[Any], found: set[str]) -> None:
    """On its grid or a whole number of voxels off: nothing; else a review with the distance."""
    volume(tumour(tmp_path) / "ct.nii.gz", np.zeros((30, 28, 46), np.int16), affine)
    assert codes(run_case(tmp_path, PROTOCOL)) & {"mask_off_ct"} == found


def test_how_far_off_a_mask_is_goes_by_the_lattice(tmp_path: Path) -> None:
    """0.4 voxels of 0.8 mm are 0.3 mm, however many more slices the CT has."""
    volume(tumour(tmp_path) / "ct.nii.gz", np.zeros((30, 28, 46), np.int16), moved((0.4, 0, -3)))
    (message,) = (
        f["message"] for f in run_case(tmp_path, PROTOCOL)["findings"] if f["code"] == "mask_off_ct"
    )
    assert "one of its corners is 0.3 mm off" in message


def test_tumour_wholly_outside_the_ct_has_no_stratum(tmp_path: Path) -> None:
    """The CT of another body part: nothing is assigned, and the finding says why."""
    volume(tumour(tmp_path) / "ct.nii.gz", np.zeros((30, 28, 20), np.int16), moved((0, 0, 40)))
    nifti(tmp_path / "resectable.nii.gz", TUMOUR)
    record = run_case(tmp_path, PROTOCOL)
    assert (record["stratum"], record["status"]) == (None, "not_assessable")
    assert "mask_off_ct" in codes(record, "blocking")


def test_a_ct_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    """No mask needs it: the numbers stand."""
    (tumour(tmp_path) / "ct.nii.gz").write_bytes(b"not an image")
    record = run_case(tmp_path, PROTOCOL)
    assert record["error"] is None
    assert "ct_unusable" in codes(record, "warning")


def segmentation(path: Path, *, drawn_on: bool) -> None:
    """Write the tumour as a 3D Slicer segmentation, with or without its image's geometry."""
    image = (LPS, LABELS.shape) if drawn_on else None
    write_segmentation(path, [TUMOUR], LPS, [("Tumour", 1, 0)], drawn_on=image)


def test_a_dense_mask_is_held_to_the_image_of_a_sparse_one(tmp_path: Path) -> None:
    """Two slices off on one lattice: refused where the image is known, a review where it is not."""
    nifti_at = tmp_path / "resectable.nii.gz"
    volume(nifti_at, TUMOUR, moved((0, 0, 2)))
    segmentation(tmp_path / "tumour.seg.nrrd", drawn_on=False)
    assert "grid_unproven" in codes(run_case(tmp_path, PROTOCOL))
    segmentation(tmp_path / "tumour.seg.nrrd", drawn_on=True)
    error = run_case(tmp_path, PROTOCOL)["error"]
    assert error["code"] == "grid_mismatch"
    assert "5.00 mm" in error["message"]
    volume(nifti_at, TUMOUR)
    assert run_case(tmp_path, PROTOCOL)["error"] is None


def test_the_ct_says_which_image_a_sparse_mask_was_drawn_on(tmp_path: Path) -> None:
    """The dense mask lies two slices off the CT that the sparse one shares."""
    segmentation(tmp_path / "tumour.seg.nrrd", drawn_on=False)
    volume(tmp_path / "ct.nii.gz", np.zeros(LABELS.shape, np.int16))
    volume(tmp_path / "resectable.nii.gz", TUMOUR, moved((0, 0, 2)))
    assert run_case(tmp_path, PROTOCOL)["error"]["code"] == "grid_mismatch"


@pytest.mark.parametrize("slices", [1, 1.2])
def test_resample_is_obeyed_a_whole_number_of_voxels_away_too(tmp_path: Path, slices: float) -> None:
    """2.5 mm off and 3 mm off: both are brought onto the tumour's grid, as the entry allows."""
    volume(tumour(tmp_path) / "r.nii.gz", TUMOUR, moved((0, 0, slices)))
    entry = '{ path = "r.nii.gz", resample = true }'
    (tmp_path / "case.toml").write_text(f'[inputs]\ntumour = "tumour.nii.gz"\nresectable = {entry}\n')
    record = run_case(tmp_path, PROTOCOL)
    assert record["error"] is None
    assert "resampled" in codes(record, "warning")


@pytest.mark.parametrize(
    ("scale", "units"),
    [
        pytest.param(1.0, "meter", id="metres"),
        pytest.param(1000.0, "mm", id="metres called millimetres"),
        pytest.param(0.01, "mm", id="a voxel of 8 microns"),
        pytest.param(30.0, "mm", id="voxels of 75 mm"),
    ],
)
def test_no_patient_is_of_this_size(tmp_path: Path, scale: float, units: str) -> None:
    """Refused with the voxel's size, for no number that follows from it is one."""
    affine = np.diag([scale, scale, scale, 1.0]) @ RAS
    volume(tmp_path / "tumour.nii.gz", TUMOUR, affine, units=units)
    assert run_case(tmp_path, PROTOCOL)["error"]["code"] == "implausible_size"


@pytest.mark.parametrize("role", ["tumour", "resectable"])
def test_slicers_file_of_one_voxel_is_nothing_drawn(tmp_path: Path, role: str) -> None:
    """3D Slicer writes an empty segmentation so and gives it no place."""
    other = "resectable" if role == "tumour" else "tumour"
    nifti(tmp_path / f"{other}.nii.gz", TUMOUR)
    write_segmentation(
        tmp_path / f"{role}.seg.nrrd", [np.zeros((1, 1, 1), np.uint8)], np.eye(4), [(role, 1, 0)]
    )
    record = run_case(tmp_path, PROTOCOL)
    assert record["error"] is None
    first = record["predicates"]["stratum_1"]
    assert (first["part_voxels"], first["whole_voxels"]) == ((0, 0) if role == "tumour" else (0, 500))


@pytest.mark.parametrize("stored", [np.int16, np.uint8, np.int32])
def test_labels_that_a_writer_scaled_are_read(tmp_path: Path, stored: type) -> None:
    """Nibabel scales float labels into a whole-number type; they are off by half a step of it at most."""
    image = nib.Nifti1Image(LABELS.astype(np.float64), RAS)
    image.set_data_dtype(stored)
    nib.save(image, tmp_path / "tumour.nii.gz")
    record = run_case(tmp_path, PROTOCOL)
    assert {one["lesion_id"]: one["voxels"] for one in record["lesions"]} == {"L1": 90, "L2": 410}


def test_nan_reaches_no_threshold(tmp_path: Path) -> None:
    """A probability map with NaN where nothing was measured."""
    shares = np.where(TUMOUR > 0, 0.9, np.nan).astype(np.float32)
    volume(tmp_path / "t.nii.gz", shares)
    (tmp_path / "case.toml").write_text('[inputs]\ntumour = { path = "t.nii.gz", threshold = 0.5 }\n')
    assert run_case(tmp_path, PROTOCOL)["predicates"]["stratum_1"]["whole_voxels"] == 500


def test_an_image_called_tumour_is_called_an_image(tmp_path: Path) -> None:
    """253 values side by side are no lesions."""
    values = np.random.default_rng(1).integers(1, 254, LABELS.shape).astype(np.uint8)
    volume(tmp_path / "tumour.nii.gz", values)
    assert "looks like an image" in run_case(tmp_path, PROTOCOL)["error"]["message"]


def test_a_byte_after_the_gzip_stream_is_passed_over(tmp_path: Path) -> None:
    """All that was compressed is whole, and its checksum fits."""
    path = tumour(tmp_path) / "tumour.nii.gz"
    path.write_bytes(path.read_bytes() + b"\n")
    assert run_case(tmp_path, PROTOCOL)["predicates"]["stratum_1"]["whole_voxels"] == 500


def test_one_lesion_drawn_in_two_files_is_a_review(tmp_path: Path) -> None:
    """The same lesion again, a slice shorter: Dice 6/7."""
    again = TUMOUR.copy()
    again[:, :, 7] = 0
    nifti(tmp_path / "a.nii.gz", TUMOUR)
    nifti(tmp_path / "b.nii.gz", again)
    (tmp_path / "case.toml").write_text('[inputs]\ntumour = ["a.nii.gz", "b.nii.gz"]\n')
    assert "lesions_drawn_twice" in codes(run_case(tmp_path, PROTOCOL))


@pytest.mark.parametrize(
    ("slices", "found"),
    [
        pytest.param([4, 5, 6, 7], False, id="all"),
        pytest.param([4, 6, 8], True, id="every other"),
        pytest.param([4, 5, 7, 8], True, id="one left out"),
        pytest.param([4, 5, 12, 13], False, id="two lesions"),
    ],
)
@pytest.mark.parametrize("labelled", [True, False])
def test_slices_that_were_not_drawn_are_a_review(
    tmp_path: Path, slices: list[int], found: bool, labelled: bool
) -> None:
    """Within one label, and between slabs that fall apart into lesions."""
    labels = np.zeros_like(LABELS)
    labels[3:13, 3:13, slices] = 1
    labels[20:22, 20:25, 12] = 2 if labelled else 1
    nifti(tmp_path / "tumour.nii.gz", labels)
    assert ("lesion_skips_slices" in codes(run_case(tmp_path, PROTOCOL))) is found


@pytest.mark.parametrize(("edge", "found"), [(5, True), (4, False)], ids=["a quarter", "less"])
def test_two_caps_that_face_each_other_are_two_lesions(tmp_path: Path, edge: int, found: bool) -> None:
    """The largest slices have 10 x 10 voxels; those beside the empty one 25, a quarter of that, or 16."""
    labels = np.zeros_like(LABELS)
    labels[3:13, 3:13, [4, 9]] = 1
    labels[3 : 3 + edge, 3 : 3 + edge, [5, 7, 8]] = 1
    labels[20:22, 20:25, 12] = 1
    nifti(tmp_path / "tumour.nii.gz", labels)
    assert ("lesion_skips_slices" in codes(run_case(tmp_path, PROTOCOL))) is found


@pytest.mark.parametrize(
    ("word", "severity"),
    [pytest.param("unresectable", "review", id="decides"), pytest.param("resectable", "info", id="harmless")],
)
def test_a_lesion_at_the_edge_is_a_review_where_its_volume_decides(
    tmp_path: Path, word: str, severity: str
) -> None:
    """400 resectable and 100 at the edge: as much again, and 400 of 600 are 66.7 %."""
    labels = np.zeros_like(LABELS)
    labels[3:13, 3:13, 4:8] = 1
    labels[0:10, 15:25, 0] = 2
    nifti(tmp_path / "tumour.nii.gz", labels)
    (tmp_path / "lesions.csv").write_text(f"lesion_id,resectability\nL1,resectable\nL2,{word}\n")
    assert "lesion_at_edge" in codes(run_case(tmp_path, PROTOCOL), severity)


def test_ablation_alone_and_a_liver_of_tumour_are_reviews(tmp_path: Path) -> None:
    """Stratum 1 with nothing resectable; tumour fills all of the liver mask."""
    nifti(tumour(tmp_path) / "liver.nii.gz", TUMOUR)
    rows = "".join(f"L{n},ablatable\n" for n in (1, 2, 3))
    (tmp_path / "lesions.csv").write_text(f"lesion_id,resectability\n{rows}")
    assert {"ablation_alone", "liver_mostly_tumour"} <= codes(run_case(tmp_path, PROTOCOL))


def test_an_unmarked_case_has_no_percentage(tmp_path: Path) -> None:
    """Between 0 and 100 %: two bounds, and null between them."""
    first = run_case(tumour(tmp_path), PROTOCOL)["predicates"]["stratum_1"]
    assert (first["percent"], first["percent_lower"], first["percent_upper"]) == (None, 0.0, 100.0)
