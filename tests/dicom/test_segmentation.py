"""DICOM SEG to runs, against highdicom's writer and files changed by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes

from volstrat.dicom.seg.segmentation import read_seg, referenced_series_uids
from volstrat.errors import (
    CorruptDataError,
    FormatError,
    GeometryError,
    InputFileError,
    MaskValueError,
    UsageError,
)
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.mask import Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(os.environ.get("VOLSTRAT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="third-party images are not at hand (VOLSTRAT_TEST_DATA)"
)

# 3-4-5 rotation about z, slices downward: oblique, anisotropic, off-centre, in exact decimals.
ROW, COLUMN = (0.8, 0.6, 0.0), (-0.6, 0.8, 0.0)
BETWEEN_ROWS, BETWEEN_COLUMNS, BETWEEN_SLICES = 0.75, 1.25, 2.5
ORIGIN = (-31.5, 12.25, 7.5)
SERIES, STUDY, FRAME = "1.2.3.4.1", "1.2.3.4", "1.2.3.4.9"
EXPLICIT = "1.2.840.10008.1.2.1"


def _grid(shape: tuple[int, ...]) -> VoxelGrid:
    affine = np.eye(4)
    affine[:3, 0] = np.array(ROW) * BETWEEN_COLUMNS
    affine[:3, 1] = np.array(COLUMN) * BETWEEN_ROWS
    affine[:3, 2] = np.array([0, 0, 1]) * BETWEEN_SLICES
    affine[:3, 3] = ORIGIN
    return VoxelGrid(shape=(shape[0], shape[1], shape[2]), affine=affine, frame_of_reference_uid=FRAME)


def _sources(shape: tuple[int, ...], *, frame: str = FRAME) -> list[Dataset]:
    """Headers of the CT slices that a segmentation is drawn on, by rising k."""
    slices = []
    for k in range(shape[2]):
        ct = Dataset()
        ct.file_meta = FileMetaDataset()
        ct.file_meta.TransferSyntaxUID = pydicom.uid.UID(EXPLICIT)
        ct.SOPClassUID, ct.SOPInstanceUID = pydicom.uid.CTImageStorage, f"{SERIES}.{k + 1}"
        ct.StudyInstanceUID, ct.SeriesInstanceUID, ct.FrameOfReferenceUID = STUDY, SERIES, frame
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate"):
            setattr(ct, keyword, "")
        ct.StudyTime = ct.AccessionNumber = ct.ReferringPhysicianName = ""
        ct.Modality, ct.InstanceNumber = "CT", k + 1
        ct.Rows, ct.Columns = shape[1], shape[0]
        ct.PixelSpacing, ct.SliceThickness = [BETWEEN_ROWS, BETWEEN_COLUMNS], 3.0
        ct.ImageOrientationPatient = [*ROW, *COLUMN]
        ct.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + k * BETWEEN_SLICES]
        ct.BitsAllocated, ct.BitsStored, ct.HighBit, ct.PixelRepresentation = 16, 12, 11, 0
        ct.SamplesPerPixel, ct.PhotometricInterpretation = 1, "MONOCHROME2"
        slices.append(ct)
    return slices


def _segmentation(dense: NDArray[Any], kind: str = "BINARY", *, syntax: str = EXPLICIT) -> Dataset:
    """Write ``dense`` [i, j, k] of labels, or [i, j, k, segment] of overlapping ones, with highdicom."""
    count = dense.shape[3] if dense.ndim == 4 else int(dense.max())
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"Lesion {number}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm,
            algorithm_type="MANUAL",
        )
        for number in range(1, count + 1)
    ]
    return hd.seg.Segmentation(
        source_images=_sources(dense.shape),
        pixel_array=np.swapaxes(dense, 0, 2).copy(),
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid="1.2.3.4.2",
        series_number=2,
        sop_instance_uid="1.2.3.4.2.1",
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=syntax,
    )


def _saved(seg: Dataset, folder: Path) -> Path:
    path = folder / "seg.dcm"
    seg.save_as(path)
    return path


def _changed(folder: Path, dense: NDArray[Any], kind: str = "BINARY", *, syntax: str = EXPLICIT) -> Dataset:
    """Return a SEG of ``dense``, as a plain data set that a test may spoil."""
    return pydicom.dcmread(_saved(_segmentation(dense, kind, syntax=syntax), folder))


def _reordered(seg: Dataset, order: NDArray[np.int64]) -> None:
    """Put frames into another order, or leave some out."""
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)[order]
    seg.PerFrameFunctionalGroupsSequence = [seg.PerFrameFunctionalGroupsSequence[int(n)] for n in order]
    seg.NumberOfFrames = len(order)
    _set_frames(seg, frames)


def _set_frames(seg: Dataset, frames: NDArray[Any]) -> None:
    packed = np.packbits(frames.ravel(), bitorder="little") if seg.BitsAllocated == 1 else frames
    stored = packed.tobytes()
    seg.PixelData = stored + bytes(len(stored) % 2)


def _described(number: int, label: str) -> Dataset:
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = number, label
    return segment


def _dense(mask: Mask, shape: tuple[int, ...], label: int) -> NDArray[np.bool_]:
    """Voxels of a label on the whole image's grid."""
    runs = mask.on_grid(_grid(shape), tolerance_mm=0.001).runs.of(label)
    return runs.to_crop(shape=shape, low=(0, 0, 0), high=shape)  # type: ignore[arg-type]


def _blobs(shape: tuple[int, ...], labels: int, seed: int = 1) -> NDArray[np.uint8]:
    """Random labels with structure: most of the volume empty, some rows full to their ends."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, labels + 1, shape) * (rng.random(shape) < 0.3)
    dense[:, : shape[1] // 2, 1] = labels
    dense[0, 0, 0], dense[-1, -1, -1] = 1, labels
    return dense.astype(np.uint8)


@pytest.mark.parametrize("shape", [(8, 8, 3), (7, 5, 4), (13, 11, 5), (3, 3, 9), (64, 3, 2)])
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_labels_are_read_back_voxel_by_voxel(tmp_path: Path, shape: tuple[int, ...], kind: str) -> None:
    """Whatever the matrix (rows x columns is often no multiple of 8) and the type of the SEG."""
    dense = _blobs(shape, 3)
    mask, findings = read_seg(_saved(_segmentation(dense, kind), tmp_path))
    for label in (1, 2, 3):
        assert (_dense(mask, shape, label) == (dense == label)).all()
    assert dict(mask.names) == {1: "Lesion 1", 2: "Lesion 2", 3: "Lesion 3"}
    assert mask.grid.frame_of_reference_uid == FRAME
    assert mask.grid.is_window
    assert mask.grid.voxel_volume_mm3 == pytest.approx(0.75 * 1.25 * 2.5, rel=1e-12)
    assert findings == ()


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL"])
def test_overlapping_segments_stay_overlapping(tmp_path: Path, kind: str) -> None:
    """Three segments drawn without regard to each other are read back whole."""
    shape = (9, 7, 4)
    dense = (np.random.default_rng(3).random((*shape, 3)) < 0.4).astype(np.uint8)
    mask, _ = read_seg(_saved(_segmentation(dense, kind), tmp_path))
    assert mask.runs.overlapping
    for label in (1, 2, 3):
        assert (_dense(mask, shape, label) == dense[..., label - 1]).all()


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_frames_may_come_in_any_order(tmp_path: Path, kind: str) -> None:
    """Positions and segment numbers say what a frame is, not its place in the file."""
    shape = (13, 11, 6)
    dense = _blobs(shape, 4)
    seg = _changed(tmp_path, dense, kind=kind)
    _reordered(seg, np.random.default_rng(5).permutation(int(seg.NumberOfFrames)))
    mask, _ = read_seg(_saved(seg, tmp_path))
    for label in (1, 2, 3, 4):
        assert (_dense(mask, shape, label) == (dense == label)).all()


def test_bits_that_pad_the_last_byte_are_no_voxels(tmp_path: Path) -> None:
    """3 frames of 7 x 5 pixels are 105 bits; the other 7 of the last byte and the odd byte are set."""
    seg = _changed(tmp_path, np.ones((7, 5, 3), np.uint8))
    seg.PixelData = bytes([255] * 14)
    mask, _ = read_seg(_saved(seg, tmp_path))
    assert mask.runs.union().count == 7 * 5 * 3
    seg.PixelData = bytes(13) + b"\xfe"
    mask, _ = read_seg(_saved(seg, tmp_path))
    assert mask.runs.union().count == 0


def test_the_window_covers_the_slab_of_frames_and_gaps_in_it(tmp_path: Path) -> None:
    """Slices 2, 3 and 6 of 9 hold tumour: five slices from 2 on, 2.5 mm apart."""
    shape = (6, 5, 9)
    dense = np.zeros(shape, np.uint8)
    dense[1:4, 2:4, [2, 3, 6]] = 1
    mask, _ = read_seg(_saved(_segmentation(dense), tmp_path))
    assert mask.grid.shape == (6, 5, 5)
    assert mask.grid.to_mm([0, 0, 0]) == pytest.approx(_grid(shape).to_mm([0, 0, 2]))
    assert mask.runs.union().count == 3 * 2 * 3
    assert (_dense(mask, shape, 1) == (dense == 1)).all()


def _without_spacing(seg: Dataset, thickness: float | None) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    del measures.SpacingBetweenSlices
    measures.SliceThickness = thickness


@pytest.mark.parametrize(
    ("slices", "thickness", "spacing", "codes_found"),
    [
        pytest.param([2, 3, 6], 3.0, 2.5, [], id="neighbours among them"),
        pytest.param([0, 2, 5], 3.0, 2.5, ["seg_slice_spacing_inferred"], id="only gaps of 2 and 3"),
        pytest.param([0, 2, 4], 2.5, 5.0, ["seg_slice_spacing_inferred"], id="every other slice"),
        pytest.param([4], 2.5, 2.5, ["single_slice"], id="one slice, thickness"),
    ],
)
def test_spacing_is_found_where_it_is_not_stated(
    tmp_path: Path, slices: list[int], thickness: float, spacing: float, codes_found: list[str]
) -> None:
    """From positions, or from the thickness of a single slice; doubt is a finding."""
    dense = np.zeros((6, 5, 7), np.uint8)
    dense[1:4, 2:4, slices] = 1
    seg = _changed(tmp_path, dense)
    _without_spacing(seg, thickness)
    mask, findings = read_seg(_saved(seg, tmp_path))
    assert mask.grid.spacing_mm[2] == pytest.approx(spacing)
    assert [f.code for f in findings] == codes_found
    assert mask.runs.union().count == 6 * len(slices)


def test_the_grid_of_the_image_settles_the_spacing(tmp_path: Path) -> None:
    """Every other slice drawn, nothing stated: the image's 2.5 mm count, without a finding."""
    dense = np.zeros((6, 5, 7), np.uint8)
    dense[1:4, 2:4, [0, 2, 4]] = 1
    seg = _changed(tmp_path, dense)
    _without_spacing(seg, 2.5)
    mask, findings = read_seg(_saved(seg, tmp_path), image_grid=_grid((6, 5, 7)))
    assert mask.grid.spacing_mm[2] == pytest.approx(2.5)
    assert findings == ()
    assert (_dense(mask, (6, 5, 7), 1) == (dense == 1)).all()


def test_a_wrong_stated_spacing_gives_way_to_the_positions(tmp_path: Path) -> None:
    """SpacingBetweenSlices of 4 mm between positions 2.5 mm apart: 2.5 mm, and a finding."""
    seg = _changed(tmp_path, np.ones((6, 5, 4), np.uint8))
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 4.0
    mask, findings = read_seg(_saved(seg, tmp_path))
    assert mask.grid.spacing_mm[2] == pytest.approx(2.5)
    assert [(f.code, f.severity) for f in findings] == [("seg_slice_spacing_inferred", "review")]


def test_one_slice_without_any_spacing_is_refused(tmp_path: Path) -> None:
    """A volume needs a thickness."""
    dense = np.zeros((6, 5, 7), np.uint8)
    dense[1:4, 2:4, 3] = 1
    seg = _changed(tmp_path, dense)
    _without_spacing(seg, None)
    with pytest.raises(GeometryError, match="neither SpacingBetweenSlices nor SliceThickness"):
        read_seg(_saved(seg, tmp_path))


def _shift(seg: Dataset, frame: int, by: tuple[float, float, float]) -> None:
    position = seg.PerFrameFunctionalGroupsSequence[frame].PlanePositionSequence[0]
    position.ImagePositionPatient = [a + b for a, b in zip(position.ImagePositionPatient, by, strict=True)]


@pytest.mark.parametrize("off_mm", [0.04, -0.04])
def test_a_slice_may_lie_a_little_off_the_lattice(tmp_path: Path, off_mm: float) -> None:
    """0.04 mm are 1.6 % of 2.5 mm: read, with a finding."""
    dense = np.ones((6, 5, 6), np.uint8)
    seg = _changed(tmp_path, dense)
    _shift(seg, 2, (0, 0, off_mm))
    mask, findings = read_seg(_saved(seg, tmp_path))
    assert mask.grid.shape == (6, 5, 6)
    assert [f.code for f in findings] == ["slices_off_lattice"]


@pytest.mark.parametrize(
    "by", [(0, 0, 0.2), (0, 0, 1.1), (0.2, 0, 0)], ids=["8 % off", "between slices", "shifted in plane"]
)
def test_a_slice_off_the_lattice_is_refused(tmp_path: Path, by: tuple[float, float, float]) -> None:
    """More than 2 % of the spacing is no regular lattice."""
    seg = _changed(tmp_path, np.ones((6, 5, 6), np.uint8))
    _shift(seg, 2, by)
    with pytest.raises(GeometryError, match=r"seg\.dcm"):
        read_seg(_saved(seg, tmp_path))


def test_sheared_slices_are_refused(tmp_path: Path) -> None:
    """Each slice starts 0.3 mm further along x: gantry tilt."""
    seg = _changed(tmp_path, np.ones((6, 5, 6), np.uint8))
    for frame in range(6):
        _shift(seg, frame, (0.3 * frame, 0, 0))
    with pytest.raises(GeometryError, match="sheared"):
        read_seg(_saved(seg, tmp_path))


def test_two_orientations_are_refused(tmp_path: Path) -> None:
    """A frame with an orientation of its own beside the shared one."""
    seg = _changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    other = Dataset()
    other.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    seg.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence = [other]
    with pytest.raises(GeometryError, match="2 different orientations"):
        read_seg(_saved(seg, tmp_path))


def test_two_pixel_spacings_are_refused(tmp_path: Path) -> None:
    """A frame with a pixel spacing of its own beside the shared one."""
    seg = _changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    other = Dataset()
    other.PixelSpacing, other.SliceThickness, other.SpacingBetweenSlices = [0.75, 1.3], 3.0, 2.5
    seg.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [other]
    with pytest.raises(GeometryError, match="one positive PixelSpacing"):
        read_seg(_saved(seg, tmp_path))


def test_groups_may_be_per_frame_or_shared(tmp_path: Path) -> None:
    """Segment number in the shared groups; orientation and measures in each frame's own."""
    shape = (6, 5, 3)
    dense = _blobs(shape, 1)
    seg = _changed(tmp_path, dense)
    seg.SegmentSequence.append(_described(2, "Empty"))
    shared, frames = seg.SharedFunctionalGroupsSequence[0], seg.PerFrameFunctionalGroupsSequence
    identified = shared if "SegmentIdentificationSequence" in shared else frames[0]
    shared.SegmentIdentificationSequence = identified.SegmentIdentificationSequence
    for frame in frames:
        frame.pop("SegmentIdentificationSequence", None)
        frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
        frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    mask, _ = read_seg(_saved(seg, tmp_path))
    assert (_dense(mask, shape, 1) == (dense == 1)).all()


def test_two_frames_of_one_position_and_segment_are_refused(tmp_path: Path) -> None:
    """Which one is meant cannot be known."""
    seg = _changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    _reordered(seg, np.array([0, 1, 2, 1]))
    with pytest.raises(CorruptDataError, match=r"2 frames of segment 1 'Lesion 1' at one position"):
        read_seg(_saved(seg, tmp_path))


def test_an_empty_segment_stays_named(tmp_path: Path) -> None:
    """A segment that is described but has no frame: empty, not missing."""
    seg = _changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    seg.SpecificCharacterSet = "ISO_IR 192"
    seg.SegmentSequence.append(_described(7, "Primärtumör"))
    path = _saved(seg, tmp_path)
    mask, _ = read_seg(path)
    assert dict(mask.names) == {1: "Lesion 1", 7: "Primärtumör"}
    assert mask.labels == (1, 7)
    assert mask.runs.of(7).count == 0


def test_references_are_told(tmp_path: Path) -> None:
    """The series that the segmentation was drawn on, and its frame of reference."""
    path = _saved(_segmentation(_blobs((8, 8, 3), 2)), tmp_path)
    assert referenced_series_uids(path) == (SERIES,)
    assert read_seg(path)[0].grid.frame_of_reference_uid == FRAME


def test_references_to_another_study_are_told_too(tmp_path: Path) -> None:
    """A series of another study is listed under that study."""
    seg = _changed(tmp_path, _blobs((8, 8, 3), 1))
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID = "9.9.9"
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "9.9", [series]
    seg.StudiesContainingOtherReferencedInstancesSequence = [study]
    assert referenced_series_uids(_saved(seg, tmp_path)) == (SERIES, "9.9.9")


def test_a_missing_frame_of_reference_is_none(tmp_path: Path) -> None:
    """Not an empty string, which would differ from every other one."""
    seg = _changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    del seg.FrameOfReferenceUID
    assert read_seg(_saved(seg, tmp_path))[0].grid.frame_of_reference_uid is None


def test_a_fractional_seg_needs_a_threshold(tmp_path: Path) -> None:
    """Shares 0.2, 0.5 and 0.8 of 255 (51, 127.5 -> 127 or 128, 204): refused without, cut with one."""
    dense = np.zeros((8, 5, 3, 1), np.float32)
    dense[1, 1, :, 0], dense[2, 1, :, 0], dense[3, 1, :, 0] = 0.2, 0.5, 0.8
    path = _saved(_segmentation(dense, "FRACTIONAL"), tmp_path)
    with pytest.raises(MaskValueError, match="FRACTIONAL") as caught:
        read_seg(path)
    assert "threshold" in caught.value.hint
    # 51 / 255 is 0.2 to the last bit: the limit belongs to the segment.
    assert read_seg(path, threshold=0.2)[0].runs.union().count == 3 * 3
    assert read_seg(path, threshold=0.201)[0].runs.union().count == 2 * 3
    assert read_seg(path, threshold=0.6)[0].runs.union().count == 3
    assert read_seg(path, threshold=1.0)[0].runs.union().count == 0


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.5, 128.0, float("nan")])
def test_a_threshold_is_a_share(tmp_path: Path, threshold: float) -> None:
    """Stored values (0..255) are not shares."""
    with pytest.raises(UsageError, match="share"):
        read_seg(_saved(_segmentation(np.ones((6, 5, 3), np.uint8)), tmp_path), threshold=threshold)


def test_the_padding_value_of_a_labelmap_is_no_segment(tmp_path: Path) -> None:
    """Value 5 pads, and is even described; 2 is a segment."""
    shape = (7, 5, 3)
    dense = _blobs(shape, 2)
    seg = _changed(tmp_path, dense, kind="LABELMAP")
    frames = seg.pixel_array.copy()
    frames[:, 0, :2] = 5
    _set_frames(seg, frames)
    seg.PixelPaddingValue = 5
    seg.SegmentSequence.append(_described(5, "Padding"))
    mask, _ = read_seg(_saved(seg, tmp_path))
    dense[:2, 0, :] = 0
    assert mask.labels == (1, 2)
    assert (_dense(mask, shape, 2) == (dense == 2)).all()


def test_an_undescribed_value_of_a_labelmap_is_refused(tmp_path: Path) -> None:
    """Value 9 stands for nothing."""
    seg = _changed(tmp_path, _blobs((7, 5, 3), 2), kind="LABELMAP")
    frames = seg.pixel_array.copy()
    frames[0, 0, 0] = 9
    _set_frames(seg, frames)
    with pytest.raises(CorruptDataError, match="holds the value 9"):
        read_seg(_saved(seg, tmp_path))


def test_sixteen_bit_labels_are_read(tmp_path: Path) -> None:
    """Segment 300 does not fit eight bits."""
    shape = (7, 5, 3)
    dense = _blobs(shape, 2).astype(np.uint16)
    seg = _changed(tmp_path, dense.astype(np.uint8), kind="LABELMAP")
    frames = seg.pixel_array.astype("<u2")
    frames[frames == 2] = 300
    seg.BitsAllocated = seg.BitsStored = 16
    seg.HighBit = 15
    _set_frames(seg, frames)
    seg["PixelData"].VR = "OW"
    seg.SegmentSequence[-1].SegmentNumber = 300
    mask, _ = read_seg(_saved(seg, tmp_path))
    assert (_dense(mask, shape, 300) == (dense == 2)).all()


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
    dense = _blobs(shape, 2)
    seg = _changed(tmp_path, dense)
    path = tmp_path / "other.dcm"
    seg.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    seg.save_as(path, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=True)
    mask, _ = read_seg(path)
    assert (_dense(mask, shape, 2) == (dense == 2)).all()


@pytest.mark.parametrize("undefined", [True, False], ids=["undefined lengths", "stated lengths"])
def test_sequences_of_undefined_length_are_read(tmp_path: Path, undefined: bool) -> None:
    """Writers delimit sequences and items, or state their length."""
    shape = (7, 5, 3)
    dense = _blobs(shape, 2)
    seg = _changed(tmp_path, dense)

    def mark(dataset: Dataset, element: pydicom.DataElement) -> None:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined

    seg.walk(mark)
    mask, _ = read_seg(_saved(seg, tmp_path))
    assert (_dense(mask, shape, 2) == (dense == 2)).all()


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
    dense = _blobs(shape, 3)
    mask, _ = read_seg(_saved(_segmentation(dense, kind, syntax=syntax), tmp_path))
    for label in (1, 2, 3):
        assert (_dense(mask, shape, label) == (dense == label)).all()


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
    dense = _blobs(shape, 3)
    seg = _changed(tmp_path, dense, kind="LABELMAP")
    frames = []
    for frame in seg.pixel_array:
        stream = BytesIO()
        Image.fromarray(frame).save(stream, format="JPEG2000", irreversible=False, no_jp2=True)
        frames.append(stream.getvalue())
    _encapsulated(seg, frames, "1.2.840.10008.1.2.4.90")
    mask, _ = read_seg(_saved(seg, tmp_path))
    for label in (1, 2, 3):
        assert (_dense(mask, shape, label) == (dense == label)).all()


def test_deflated_frames_give_the_same_voxels(tmp_path: Path) -> None:
    """Deflated Image Frame Compression of one-bit frames (PS3.5 A.4.13)."""
    import zlib

    shape = (16, 11, 5)
    dense = _blobs(shape, 1)
    seg = _changed(tmp_path, dense)
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
    assert (_dense(mask, shape, 1) == (dense == 1)).all()


def test_a_lossy_or_unknown_compression_is_refused(tmp_path: Path) -> None:
    """A mask that was compressed with losses is none."""
    seg = _changed(tmp_path, _blobs((8, 8, 3), 1), kind="LABELMAP")
    _encapsulated(seg, [b"\xff\xd8"] * 3, "1.2.840.10008.1.2.4.50")
    with pytest.raises(FormatError, match=r"1\.2\.840\.10008\.1\.2\.4\.50"):
        read_seg(_saved(seg, tmp_path))


def test_a_damaged_compressed_frame_is_refused(tmp_path: Path) -> None:
    """One frame is missing; one does not decode."""
    dense = _blobs((8, 8, 3), 1)
    seg = _changed(tmp_path, dense, kind="LABELMAP", syntax=pydicom.uid.RLELossless)
    frames = list(pydicom.encaps.generate_frames(seg.PixelData, number_of_frames=3))
    _encapsulated(seg, frames[:2], pydicom.uid.RLELossless)
    with pytest.raises(CorruptDataError, match="compressed"):
        read_seg(_saved(seg, tmp_path))
    _encapsulated(seg, [frames[0], frames[1][:40] + bytes(24), frames[2]], pydicom.uid.RLELossless)
    with pytest.raises(CorruptDataError, match="frame 2"):
        read_seg(_saved(seg, tmp_path))


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999], ids=lambda part: f"{part:.1%} of the file")
def test_a_truncated_file_is_refused(tmp_path: Path, part: float) -> None:
    """In the functional groups, in the pixels, and by the last bytes."""
    path = _saved(_segmentation(_blobs((64, 64, 8), 2)), tmp_path)
    stored = path.read_bytes()
    path.write_bytes(stored[: int(len(stored) * part)])
    with pytest.raises(CorruptDataError, match=r"seg\.dcm.*truncated"):
        read_seg(path)


def test_a_number_of_frames_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """More frames are stated than described; more are described than stored; bytes are left over."""
    seg = _changed(tmp_path, np.ones((16, 8, 3), np.uint8))
    seg.NumberOfFrames = 4
    with pytest.raises(CorruptDataError, match="NumberOfFrames is 4 but 3"):
        read_seg(_saved(seg, tmp_path))
    seg.NumberOfFrames = 3
    seg.PixelData = seg.PixelData[:-2]
    with pytest.raises(CorruptDataError, match="46 bytes"):
        read_seg(_saved(seg, tmp_path))
    seg.PixelData += bytes(4)
    with pytest.raises(CorruptDataError, match="50 bytes"):
        read_seg(_saved(seg, tmp_path))


def test_segments_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    """A frame of a segment that is not described, and a number given twice."""
    seg = _changed(tmp_path, _blobs((8, 8, 3), 2))
    seg.SegmentSequence[1].SegmentNumber = 1
    with pytest.raises(CorruptDataError, match="number 1 twice"):
        read_seg(_saved(seg, tmp_path))
    seg.SegmentSequence[1].SegmentNumber = 3
    with pytest.raises(CorruptDataError, match="belongs to segment 2"):
        read_seg(_saved(seg, tmp_path))


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    """A CT slice, a text and a missing file."""
    ct = _sources((4, 4, 1))[0]
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
    seg = _changed(tmp_path, np.ones((6, 5, 3), np.uint8))
    seg.PatientName, seg.PatientID = "Doe^Jane", "19500101-1234"
    seg.NumberOfFrames = 4
    with pytest.raises(CorruptDataError) as caught:
        read_seg(_saved(seg, tmp_path))
    assert "Doe" not in str(caught.value)
    assert "1950" not in str(caught.value)


@needs_data
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
    mask, _ = read_seg(DATA / file)
    assert {label: mask.runs.of(label).count for label in mask.labels} == voxels
    if volume_ml is not None:
        assert mask.voxels().count * mask.grid.voxel_volume_mm3 / 1000 == pytest.approx(volume_ml, abs=5e-5)


@needs_data
def test_overlapping_third_party_segments_count_once_in_their_union() -> None:
    """43,639 voxels in five segments are 40,505 different ones."""
    mask, _ = read_seg(DATA / "dcmqi/segmentations/partial_overlaps.dcm")
    assert mask.voxels().count == 40505


@needs_data
def test_true_fractions_are_cut_at_the_threshold() -> None:
    """638 values of 128 and 23 of 64: they add up to 326.02 of 255."""
    path = DATA / "highdicom/test_files/seg_image_ct_true_fractional.dcm"
    with pytest.raises(MaskValueError, match="FRACTIONAL"):
        read_seg(path)
    at_half = read_seg(path, threshold=0.5)[0].voxels().count
    at_quarter = read_seg(path, threshold=0.25)[0].voxels().count
    assert (at_half, at_quarter) == (638, 638 + 23)
    assert (at_half * 128 + (at_quarter - at_half) * 64) / 255 == pytest.approx(326.02, abs=0.005)


@needs_data
def test_a_projection_image_is_refused() -> None:
    """A segmentation of a radiograph has no place in the patient."""
    with pytest.raises(GeometryError, match="ImagePositionPatient"):
        read_seg(DATA / "highdicom/test_files/seg_image_cr_binary.dcm")


@needs_data
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

    image = sitk.ReadImage(DATA / "dcmqi/segmentations" / nrrd)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    grid = VoxelGrid(shape=image.GetSize(), affine=affine)
    mask, _ = read_seg(DATA / "dcmqi/segmentations" / seg)
    dense = mask.on_grid(grid, tolerance_mm=0.001).runs.of(1)
    found = dense.to_crop(shape=grid.shape, low=(0, 0, 0), high=grid.shape)
    assert (found == (sitk.GetArrayFromImage(image).transpose(2, 1, 0) == 1)).all()
