"""Transfer syntaxes and compressions of a segmentation, damage, and what third parties wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from tests.dense import dense_of
from tests.dicom.seg_cases import (
    blobs,
    changed,
    dense_label,
    saved,
    segmentation,
    sources,
)
from tests.third_party import third_party
from volstrat.dicom.seg.segmentation import read_seg
from volstrat.errors import (
    CorruptDataError,
    FormatError,
    GeometryError,
    InputFileError,
    MaskValueError,
)
from volstrat.geometry.grid import VoxelGrid


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param("1.2.840.10008.1.2", id="implicit"),
        pytest.param("1.2.840.10008.1.2.1.99", id="deflated"),
    ],
)
def test_native_transfer_syntaxes_give_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    """Implicit and deflated like explicit little endian."""
    shape = (13, 11, 5)
    dense = blobs(shape, 2)
    seg = changed(tmp_path, dense)
    path = tmp_path / "other.dcm"
    seg.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    seg.save_as(path, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=True)
    mask, _ = read_seg(path)
    assert (dense_label(mask, shape, 2) == (dense == 2)).all()


@pytest.mark.parametrize("undefined", [True, False], ids=["undefined lengths", "stated lengths"])
def test_sequences_of_undefined_length_are_read(tmp_path: Path, undefined: bool) -> None:
    """Writers delimit sequences and items, or state their length."""
    shape = (7, 5, 3)
    dense = blobs(shape, 2)
    seg = changed(tmp_path, dense)

    def mark(dataset: Dataset, element: pydicom.DataElement) -> None:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined

    seg.walk(mark)
    mask, _ = read_seg(saved(seg, tmp_path))
    assert (dense_label(mask, shape, 2) == (dense == 2)).all()


@pytest.mark.parametrize("kind", ["FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param(pydicom.uid.RLELossless, id="RLE"),
        pytest.param(pydicom.uid.JPEGLSLossless, id="JPEG-LS"),
    ],
)
def test_compressed_frames_give_the_same_voxels(tmp_path: Path, kind: str, syntax: str) -> None:
    """As highdicom writes them."""
    shape = (13, 11, 5)
    dense = blobs(shape, 3)
    mask, _ = read_seg(saved(segmentation(dense, kind, syntax=syntax), tmp_path))
    for label in (1, 2, 3):
        assert (dense_label(mask, shape, label) == (dense == label)).all()


def _encapsulated(seg: Dataset, frames: list[bytes], syntax: str) -> None:
    seg.PixelData = encapsulate(frames)
    seg["PixelData"].is_undefined_length = True
    seg["PixelData"].VR = "OB"
    seg.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)


def test_jpeg_2000_frames_give_the_same_voxels(tmp_path: Path) -> None:
    """Frames encoded without loss by another library."""
    from io import BytesIO

    from PIL import Image

    shape = (37, 35, 4)
    dense = blobs(shape, 3)
    seg = changed(tmp_path, dense, kind="LABELMAP")
    frames = []
    for frame in seg.pixel_array:
        stream = BytesIO()
        Image.fromarray(frame).save(stream, format="JPEG2000", irreversible=False, no_jp2=True)
        frames.append(stream.getvalue())
    _encapsulated(seg, frames, "1.2.840.10008.1.2.4.90")
    mask, _ = read_seg(saved(seg, tmp_path))
    for label in (1, 2, 3):
        assert (dense_label(mask, shape, label) == (dense == label)).all()


def test_deflated_frames_give_the_same_voxels(tmp_path: Path) -> None:
    """Deflated Image Frame Compression of one-bit frames (PS3.5 A.4.13)."""
    import zlib

    shape = (16, 11, 5)
    dense = blobs(shape, 1)
    seg = changed(tmp_path, dense)
    frames = []
    for frame in seg.pixel_array:
        deflate = zlib.compressobj(wbits=-15)
        frames.append(
            deflate.compress(np.packbits(frame.ravel(), bitorder="little").tobytes()) + deflate.flush()
        )
    _encapsulated(seg, frames, "1.2.840.10008.1.2.8.1")
    path = tmp_path / "deflated.dcm"
    seg.save_as(path, implicit_vr=False, little_endian=True, force_encoding=True)
    mask, _ = read_seg(path)
    assert (dense_label(mask, shape, 1) == (dense == 1)).all()


def test_a_lossy_or_unknown_compression_is_refused(tmp_path: Path) -> None:
    """A mask that was compressed with losses is none."""
    seg = changed(tmp_path, blobs((8, 8, 3), 1), kind="LABELMAP")
    _encapsulated(seg, [b"\xff\xd8"] * 3, "1.2.840.10008.1.2.4.50")
    with pytest.raises(FormatError, match=r"1\.2\.840\.10008\.1\.2\.4\.50"):
        read_seg(saved(seg, tmp_path))


def test_a_damaged_compressed_frame_is_refused(tmp_path: Path) -> None:
    """One frame is missing; one does not decode."""
    dense = blobs((8, 8, 3), 1)
    seg = changed(tmp_path, dense, kind="LABELMAP", syntax=pydicom.uid.RLELossless)
    frames = list(pydicom.encaps.generate_frames(seg.PixelData, number_of_frames=3))
    _encapsulated(seg, frames[:2], pydicom.uid.RLELossless)
    with pytest.raises(CorruptDataError, match="compressed"):
        read_seg(saved(seg, tmp_path))
    _encapsulated(seg, [frames[0], frames[1][:40] + bytes(24), frames[2]], pydicom.uid.RLELossless)
    with pytest.raises(CorruptDataError, match="frame 2"):
        read_seg(saved(seg, tmp_path))


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999], ids=lambda part: f"{part:.1%} of the file")
def test_a_truncated_file_is_refused(tmp_path: Path, part: float) -> None:
    """In the functional groups, in the pixels, and by the last bytes."""
    path = saved(segmentation(blobs((64, 64, 8), 2)), tmp_path)
    stored = path.read_bytes()
    path.write_bytes(stored[: int(len(stored) * part)])
    with pytest.raises(CorruptDataError, match=r"seg\.dcm.*truncated"):
        read_seg(path)


def test_a_number_of_frames_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """More frames are stated than described; more are described than stored; bytes are left over."""
    seg = changed(tmp_path, np.ones((16, 8, 3), np.uint8))
    seg.NumberOfFrames = 4
    with pytest.raises(CorruptDataError, match="NumberOfFrames is 4 but 3"):
        read_seg(saved(seg, tmp_path))
    seg.NumberOfFrames = 3
    seg.PixelData = seg.PixelData[:-2]
    with pytest.raises(CorruptDataError, match="46 bytes"):
        read_seg(saved(seg, tmp_path))
    seg.PixelData += bytes(4)
    with pytest.raises(CorruptDataError, match="50 bytes"):
        read_seg(saved(seg, tmp_path))


def test_segments_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    """A frame of a segment that is not described, and a number given twice."""
    seg = changed(tmp_path, blobs((8, 8, 3), 2))
    seg.SegmentSequence[1].SegmentNumber = 1
    with pytest.raises(CorruptDataError, match="number 1 twice"):
        read_seg(saved(seg, tmp_path))
    seg.SegmentSequence[1].SegmentNumber = 3
    with pytest.raises(CorruptDataError, match="belongs to segment 2"):
        read_seg(saved(seg, tmp_path))


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    """A CT slice, a text and a missing file."""
    ct = sources((4, 4, 1))[0]
    ct.file_meta.MediaStorageSOPClassUID, ct.file_meta.MediaStorageSOPInstanceUID = (
        ct.SOPClassUID,
        ct.SOPInstanceUID,
    )
    ct.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    with pytest.raises(FormatError, match=r"ct\.dcm.*not a DICOM SEG"):
        read_seg(tmp_path / "ct.dcm")
    (tmp_path / "notes.txt").write_text("not DICOM")
    with pytest.raises(FormatError, match=r"notes\.txt"):
        read_seg(tmp_path / "notes.txt")
    with pytest.raises(InputFileError, match=r"gone\.dcm"):
        read_seg(tmp_path / "gone.dcm")


def test_no_patient_identity_is_in_a_message(tmp_path: Path) -> None:
    """Names and numbers of patients never reach an error."""
    seg = changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    seg.PatientName, seg.PatientID = "Doe^Jane", "19500101-1234"
    seg.NumberOfFrames = 4
    with pytest.raises(CorruptDataError) as caught:
        read_seg(saved(seg, tmp_path))
    assert "Doe" not in str(caught.value)
    assert "1950" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "voxels", "volume_ml"),
    [
        pytest.param("dcmqi/segmentations/liver.dcm", {1: 107098}, 70.3619, id="liver"),
        pytest.param(
            "dcmqi/segmentations/partial_overlaps.dcm",
            {1: 9602, 2: 11888, 3: 10743, 4: 6693, 5: 4713},
            None,
            id="partial overlaps",
        ),
        pytest.param("dcmqi/segmentations/23x38x3/seg/label.seg", {1: 322}, None, id="23x38x3"),
        pytest.param("dcmqi/segmentations/24x38x3/seg/label.seg", {1: 315}, None, id="24x38x3"),
        pytest.param("dcmqi/segmentations/sparse-labelmap-ppv5.dcm", {1: 630}, None, id="padding 5"),
        pytest.param("dcmqi/segmentations/sparse-labelmap-noppv.dcm", {1: 630}, None, id="no padding"),
        pytest.param("highdicom/test_files/seg_image_ct_binary.dcm", {1: 638}, None, id="binary"),
        pytest.param(
            "highdicom/test_files/seg_image_ct_binary_fractional.dcm", {1: 638}, None, id="fractional"
        ),
        pytest.param(
            "highdicom/test_files/seg_image_ct_binary_overlap.dcm", {1: 64, 2: 16}, None, id="overlap"
        ),
        pytest.param(
            "highdicom/test_files/seg_image_ct_binary_single_frame.dcm", {1: 1832}, None, id="single"
        ),
    ],
)
def test_third_party_counts_are_reproduced(
    file: str, voxels: dict[int, int], volume_ml: float | None
) -> None:
    """The numbers of the files' authors, or recomputed independently."""
    mask, _ = read_seg(third_party(file))
    assert {label: mask.runs.of(label).count for label in mask.labels} == voxels
    if volume_ml is not None:
        assert mask.voxels().count * mask.grid.voxel_volume_mm3 / 1000 == pytest.approx(volume_ml, abs=5e-5)


def test_overlapping_third_party_segments_count_once_in_their_union() -> None:
    """43,639 voxels in five segments are 40,505 different ones."""
    mask, _ = read_seg(third_party("dcmqi/segmentations/partial_overlaps.dcm"))
    assert mask.voxels().count == 40505


def test_true_fractions_are_cut_at_the_threshold() -> None:
    """638 values of 128 and 23 of 64: they add up to 326.02 of 255."""
    path = third_party("highdicom/test_files/seg_image_ct_true_fractional.dcm")
    with pytest.raises(MaskValueError, match="FRACTIONAL"):
        read_seg(path)
    at_half = read_seg(path, threshold=0.5)[0].voxels().count
    at_quarter = read_seg(path, threshold=0.25)[0].voxels().count
    assert (at_half, at_quarter) == (638, 638 + 23)
    assert (at_half * 128 + (at_quarter - at_half) * 64) / 255 == pytest.approx(326.02, abs=0.005)


def test_a_projection_image_is_refused() -> None:
    """A segmentation of a radiograph has no place in the patient."""
    with pytest.raises(GeometryError, match="ImagePositionPatient"):
        read_seg(third_party("highdicom/test_files/seg_image_cr_binary.dcm"))


@pytest.mark.parametrize(
    ("seg", "nrrd"),
    [
        ("liver.dcm", "liver_seg.nrrd"),
        ("23x38x3/seg/label.seg", "23x38x3/nrrd/label.nrrd"),
        ("24x38x3/seg/label.seg", "24x38x3/nrrd/label.nrrd"),
        ("sparse-labelmap-ppv5.dcm", "sparse_labelmap_ppv5_seg.nrrd"),
    ],
)
def test_voxels_are_those_of_the_third_party_nrrd(seg: str, nrrd: str) -> None:
    """Voxel for voxel, on the NRRD's grid as SimpleITK reads it."""
    import SimpleITK as sitk

    image = sitk.ReadImage(third_party("dcmqi/segmentations") / nrrd)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    grid = VoxelGrid(shape=image.GetSize(), affine=affine)
    mask, _ = read_seg(third_party("dcmqi/segmentations") / seg)
    dense = mask.on_grid(grid, tolerance_mm=0.001).runs.of(1)
    found = dense_of(dense, grid.shape)
    assert (found == (sitk.GetArrayFromImage(image).transpose(2, 1, 0) == 1)).all()
