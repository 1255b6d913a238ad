"""Encodings of a structure set, damage, contradictions, and what third parties wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.dense import voxel_runs
from tests.dicom.contour_cases import (
    EXPLICIT,
    HOLE,
    HOLE_VOXELS,
    IMPLICIT,
    SHAPE,
    SQUARE,
    contour_of,
    image_grid,
    read,
    saved,
    structure_set,
)
from tests.third_party import third_party
from volstrat.dicom.folder_scan import scan_files
from volstrat.dicom.rtstruct.structure_set import StructureSet
from volstrat.errors import (
    CorruptDataError,
    FormatError,
    GridMismatchError,
    InputFileError,
)
from volstrat.geometry.grid import VoxelGrid


# pydicom says that it writes UN; that is what is wanted here.
@pytest.mark.filterwarnings("ignore:.*exceeds the size of 64 kByte")
@pytest.mark.parametrize("undefined", [True, False], ids=["undefined lengths", "stated lengths"])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.1.99"])
def test_encodings_give_the_same_voxels(tmp_path: Path, syntax: str, undefined: bool) -> None:
    """A contour of 4,000 points does not fit a 16-bit length: explicit files then say UN."""
    angle = np.linspace(0, 2 * np.pi, 4_000, endpoint=False)
    circle = tuple((10 + 6 * float(np.cos(a)), 9 + 6 * float(np.sin(a))) for a in angle)
    rt = structure_set({(1, "GTV"): [contour_of(circle, 4)], (2, "Core"): [contour_of(HOLE, 4)]})
    rt.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)

    def mark(_: Dataset, element: pydicom.DataElement) -> None:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined

    rt.walk(mark)
    path = saved(rt, tmp_path)
    mask, _ = StructureSet(path).mask(grid=image_grid())
    i, j = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = int(((i - 10) ** 2 + (j - 9) ** 2 < 36).sum())
    on_the_circle = 4  # (16, 9), (10, 15), ...: two of the four belong to it by the half-open rule at most
    assert inside <= mask.runs.of(1).count <= inside + on_the_circle
    assert mask.runs.of(2).count == HOLE_VOXELS


@pytest.mark.parametrize(
    ("data", "match"),
    [
        pytest.param(["1", "2"], "states 4 points but holds 2", id="too short"),
        pytest.param(["1", "2", "3"] * 5, "states 4 points but holds 15", id="too long"),
    ],
)
def test_points_that_do_not_add_up_are_refused(tmp_path: Path, data: list[str], match: str) -> None:
    """A contour that was cut off is not filled as another shape."""
    contour = contour_of(SQUARE, 4)
    contour.ContourData = data
    with pytest.raises(CorruptDataError, match=match):
        read({(1, "GTV"): [contour]}, tmp_path)


@pytest.mark.parametrize("wrong", [b"12,500", b"1.2.3.4", b"", b"nan", b"1e999"])
def test_coordinates_that_are_no_numbers_are_refused(tmp_path: Path, wrong: bytes) -> None:
    """Also decimal commas, and numbers that are none."""
    path = saved(structure_set({(1, "GTV"): [contour_of(SQUARE, 4)]}), tmp_path)
    stored = path.read_bytes()
    old = b"-28.375"  # x of column 2.5
    assert stored.count(old) == 2
    path.write_bytes(stored.replace(old, wrong.ljust(len(old)), 1))
    with pytest.raises(CorruptDataError, match=r"ContourData \(3006,0050\)"):
        StructureSet(path).mask(grid=image_grid())


@pytest.mark.parametrize("part", [0.5, 0.98])
def test_a_truncated_file_is_refused(tmp_path: Path, part: float) -> None:
    """Never a part of the contours."""
    path = saved(structure_set({(1, "GTV"): [contour_of(SQUARE, k) for k in range(2, 9)]}), tmp_path)
    stored = path.read_bytes()
    path.write_bytes(stored[: int(len(stored) * part)])
    with pytest.raises(CorruptDataError, match=r"rtss\.dcm.*truncated"):
        StructureSet(path).mask(grid=image_grid())


def test_structure_sets_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    """Contours of a ROI that is not listed, a number given twice, no ROI at all."""
    rt = structure_set({(1, "GTV"): [contour_of(SQUARE, 4)], (2, "Liver"): [contour_of(SQUARE, 5)]})
    rt.StructureSetROISequence[1].ROINumber = 1
    with pytest.raises(CorruptDataError, match="number 1 is given twice"):
        StructureSet(saved(rt, tmp_path)).mask(grid=image_grid())
    rt.StructureSetROISequence[1].ROINumber = 3
    with pytest.raises(CorruptDataError, match="contours for ROI number 2"):
        StructureSet(saved(rt, tmp_path)).mask(grid=image_grid())
    rt.StructureSetROISequence, rt.ROIContourSequence = [], []
    with pytest.raises(FormatError, match="lists no ROI"):
        StructureSet(saved(rt, tmp_path)).mask(grid=image_grid())


def test_other_files_are_refused_by_name_and_without_identity(tmp_path: Path) -> None:
    """Another SOP class, a text, a missing file; no patient in a message."""
    rt = structure_set({(1, "GTV"): []})
    rt.SOPClassUID = pydicom.uid.RTPlanStorage
    with pytest.raises(FormatError, match=r"rtss\.dcm.*not an RTSTRUCT") as caught:
        StructureSet(saved(rt, tmp_path)).mask(grid=image_grid())
    assert "Doe" not in str(caught.value)
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(FormatError, match=r"notes\.txt"):
        StructureSet(tmp_path / "notes.txt")
    with pytest.raises(InputFileError, match=r"gone\.dcm"):
        StructureSet(tmp_path / "gone.dcm")


def _image_grid(folder: Path) -> VoxelGrid:
    """Grid of an axial series, from its headers."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.rglob("*.dcm")]
    positions = np.array(
        sorted(([float(x) for x in h.ImagePositionPatient] for h in headers), key=lambda p: p[2])
    )
    first = headers[0]
    assert [float(x) for x in first.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
    step, origin = np.polyfit(np.arange(len(positions)), positions[:, 2], 1)
    affine = np.diag([float(first.PixelSpacing[1]), float(first.PixelSpacing[0]), step, 1.0])
    affine[:3, 3] = [*positions[0, :2], origin]
    return VoxelGrid(
        shape=(first.Columns, first.Rows, len(headers)),
        affine=affine,
        frame_of_reference_uid=first.get("FrameOfReferenceUID"),
    )


@pytest.mark.parametrize(
    ("images", "rtstruct", "nifti", "voxels"),
    [
        pytest.param(
            "sts_001/CT_dicom",
            "sts_001/CT_rtstruct/mask/RS.dcm",
            "sts_001/nifti/CT_mask.nii.gz",
            117145,
            id="001 CT",
        ),
        pytest.param(
            "sts_001/PET_raw_dicom",
            "sts_001/PET_raw_rtstruct/mask/1-1.dcm",
            "sts_001/nifti/PET_mask.nii.gz",
            5095,
            id="001 PET",
        ),
        *(
            pytest.param(
                f"ibsi_small/STS_{patient}/{modality}/image",
                f"ibsi_small/STS_{patient}/{modality}/mask/RS.dcm",
                f"ibsi_small/STS_{patient}/{modality}_mask.nii.gz",
                voxels,
                id=f"{patient} {modality}",
            )
            for patient, modality, voxels in (
                ("019", "CT", 5564),
                ("019", "PET", 239),
                ("025", "CT", 9655),
                ("025", "PET", 606),
            )
        ),
    ],
)
def test_third_party_masks_are_reproduced_voxel_for_voxel(
    images: str, rtstruct: str, nifti: str, voxels: int
) -> None:
    """GTV_Mass on CT and PET, against NIfTI masks that others converted."""
    import SimpleITK as sitk

    grid = _image_grid(third_party(images))
    mask, _ = StructureSet(third_party(rtstruct)).mask(grid=grid)
    found = mask.runs.of(1)
    assert found.count == voxels

    image = sitk.ReadImage(third_party(nifti))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    theirs = VoxelGrid(shape=image.GetSize(), affine=affine)
    # The NIfTI of the raw PET says 3.27 mm where its slices are 3.2699 mm apart: 0.02 mm over its crop.
    placement = theirs.placement_on(grid, tolerance_mm=0.03)
    assert placement is not None
    dense = voxel_runs(sitk.GetArrayFromImage(image).transpose(2, 1, 0))
    assert found.same_as(dense.reindexed(placement, shape=theirs.shape, onto=grid.shape))


def test_third_party_references_are_checked() -> None:
    """A series that is not named, and images and a frame of reference that are not the CT's."""
    folder = third_party("rt-utils") / "tests" / "mock_data"
    files = [folder / f"{name}_reference_rt.dcm" for name in ("non_existent", "invalid")]
    none, wrong = (scan_files([path], root=folder).structure_sets[0] for path in files)
    assert none.referenced_series_uids == ()
    ct = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.glob("ct_*.dcm"))]
    assert ct[0].SeriesInstanceUID in wrong.referenced_series_uids
    affine = np.diag([0.488281, 0.488281, 5.0, 1.0])
    affine[:3, 3] = [-125, -125, 60]
    grid = VoxelGrid(shape=(512, 512, 2), affine=affine, frame_of_reference_uid=ct[0].FrameOfReferenceUID)
    with pytest.raises(GridMismatchError, match=r"invalid_reference_rt\.dcm: 1 of 3 contours .* name images"):
        StructureSet(folder / "invalid_reference_rt.dcm").mask(
            grid=grid,
            image_instance_uids=[slice_.SOPInstanceUID for slice_ in ct],
        )
    with pytest.raises(
        GridMismatchError, match=r"rt\.dcm: ROI 1 'ROI-1' is drawn in another frame of reference"
    ):
        StructureSet(folder / "rt.dcm").mask(grid=grid)
