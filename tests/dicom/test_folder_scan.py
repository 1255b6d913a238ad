"""A folder of DICOM is sorted from its headers, whatever its files are called."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.dicom.image_files import NATIVE_SYNTAXES, image_dataset, save, write_stack
from volstrat.dicom.folder import Structure
from volstrat.dicom.folder_scan import scan_dicom
from volstrat.dicom.series import series_geometry
from volstrat.errors import InputFileError

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.uid import UID


def segmentation() -> Dataset:
    """Return the header of a SEG with two segments, one named in Swedish."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.7.1", "1.7"
    dataset.Modality, dataset.SeriesDate, dataset.ContentLabel = "SEG", "20240103", "TUMOURS"
    dataset.FrameOfReferenceUID = "1.2.3.9"
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3.4"
    dataset.ReferencedSeriesSequence = Items([series])
    segments = []
    for number, label in ((1, "Liver metastasis"), (3, "Primärtumör")):
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, label
        segments.append(segment)
    dataset.SegmentSequence = Items(segments)
    return dataset


def structure_set() -> Dataset:
    """Return an RTSTRUCT header that refers to one series."""
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = "1.8.1", "1.8"
    dataset.Modality, dataset.SeriesDescription, dataset.StructureSetLabel = "RTSTRUCT", "other", "Plan"
    series, study, frame, roi, contour = (Dataset() for _ in range(5))
    series.SeriesInstanceUID = "1.2.3.4"
    study.RTReferencedSeriesSequence = Items([series])
    frame.FrameOfReferenceUID = "1.2.3.9"
    frame.RTReferencedStudySequence = Items([study])
    dataset.ReferencedFrameOfReferenceSequence = Items([frame])
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = 7, "GTV", "1.2.3.9"
    dataset.StructureSetROISequence = Items([roi])
    contour.ReferencedROINumber = 7
    dataset.ROIContourSequence = Items([contour])
    dataset["ROIContourSequence"].is_undefined_length = True
    return dataset


def test_nested_mixed_folder_is_sorted_and_counted(tmp_path: Path) -> None:
    """CT, PT, SEG, RTSTRUCT, a report, a DICOMDIR and stray files."""
    write_stack(tmp_path / "a" / "b", series_uid="1.2.3.4")
    write_stack(tmp_path / "pet", modality="PT", count=3, series_uid="1.2.3.5")
    save(segmentation(), tmp_path / "a" / "objects" / "IM0")
    save(structure_set(), tmp_path / "a" / "objects" / "IM1")
    report = segmentation()
    report.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.88.33", "SR"
    save(report, tmp_path / "report.dcm")
    (tmp_path / "DICOMDIR").write_bytes(b"anything")
    (tmp_path / "notes.txt").write_text("not DICOM at all, and long enough to hold a preamble " * 5)
    (tmp_path / "thumbs.db").write_bytes(b"\x02\x00")
    folder = scan_dicom(tmp_path)
    assert [(one.modality, one.number_of_slices) for one in folder.series] == [("CT", 5), ("PT", 3)]
    assert [len(one.files) for one in folder.series] == [5, 3]
    ct = folder.series[0]
    assert (ct.series_instance_uid, ct.series_date, ct.acquired_on) == (
        "1.2.3.4",
        "20240102",
        date(2024, 1, 2),
    )
    assert ct.frame_of_reference_uid == "1.2.3.9"
    (segments,) = folder.segmentations
    assert segments.structures == (
        Structure(number=1, name="Liver metastasis"),
        Structure(number=3, name="Primärtumör"),
    )
    assert segments.referenced_series_uids == ("1.2.3.4",)
    (contours,) = folder.structure_sets
    assert contours.structures == (Structure(number=7, name="GTV"),)
    assert contours.referenced_series_uids == ("1.2.3.4",)
    assert contours.frame_of_reference_uid == "1.2.3.9"
    assert folder.other == (("SR", 1),)
    assert [path.name for path in folder.skipped] == ["DICOMDIR", "notes.txt", "thumbs.db"]
    assert folder.broken == ()
    (finding,) = folder.findings()
    assert (finding.code, finding.message[:20]) == ("files_skipped", "3 files were skipped")


def test_nothing_read_names_the_patient(tmp_path: Path) -> None:
    """Name, identifier, birth date and descriptions are in the files and nowhere in what was read."""
    write_stack(tmp_path, count=2)
    folder = scan_dicom(tmp_path)
    for file in folder.series[0].files:
        values = b"|".join(file.header.elements.values())
        assert b"ORIGINAL" in values
        for secret in (b"Secret", b"SECRET", b"19500101", b"Abdomen"):
            assert secret not in values


def test_result_does_not_depend_on_file_names(tmp_path: Path) -> None:
    """The same files under other names, in other folders: the same order of instances."""
    paths = write_stack(tmp_path / "one", count=6)
    for number, path in enumerate(reversed(paths)):
        target = tmp_path / "two" / f"{number % 2}" / f"z{number}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    one, two = (scan_dicom(tmp_path / name).series[0] for name in ("one", "two"))
    assert [file.sop_instance_uid for file in one.files] == [file.sop_instance_uid for file in two.files]


@pytest.mark.parametrize("syntax", [*NATIVE_SYNTAXES, DeflatedExplicitVRLittleEndian])
def test_headers_are_read_as_pydicom_reads_them(tmp_path: Path, syntax: UID) -> None:
    """Sequences of defined and undefined length before and between what is wanted, in every syntax."""
    dataset = image_dataset(pixels=np.ones((6, 4), dtype=np.int16), position_mm=(1.5, -2, 3))
    inner, outer, last = Dataset(), Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "x" * 60
    outer.PurposeOfReferenceCodeSequence = Items([inner, Dataset()])
    last.ReferencedSOPInstanceUID = "1.2"
    dataset.ReferencedImageSequence = Items([outer, last])
    dataset["ReferencedImageSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    dataset.OtherPatientIDsSequence = Items([])
    dataset.add_new(0x00091001, "UN", b"\x01\x02\x03\x04")
    dataset.add_new(0x00090010, "LO", "SOMEONE")
    if syntax == NATIVE_SYNTAXES[2]:
        dataset.PixelData = np.ones((6, 4), dtype=">i2").tobytes()
    path = save(dataset, tmp_path / "file", syntax=syntax)
    known = pydicom.dcmread(path)
    (file,) = scan_dicom(tmp_path).series[0].files
    assert file.plane is not None
    assert file.plane.position_mm == tuple(float(value) for value in known.ImagePositionPatient)
    assert (file.rows, file.columns) == (known.Rows, known.Columns)
    assert file.sop_instance_uid == known.SOPInstanceUID
    assert file.pixels is not None
    assert file.pixels.length == len(known.PixelData)


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    """Older archives wrote bare data sets."""
    path = write_stack(tmp_path, count=1)[0]
    bare = path.read_bytes()
    start = bare.index(b"\x08\x00\x08\x00CS")
    path.write_bytes(bare[start:])
    (series,) = scan_dicom(tmp_path).series
    assert (series.series_date, series.number_of_slices) == ("20240102", 1)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
def test_truncated_files_are_listed_with_their_series(tmp_path: Path, kept: float) -> None:
    """Cut off in the header or in the pixel data: never a slice, always named."""
    paths = write_stack(tmp_path)
    content = paths[4].read_bytes()
    paths[4].write_bytes(content[: int(len(content) * kept)])
    folder = scan_dicom(tmp_path)
    (series,) = folder.series
    assert series.number_of_slices == 4
    (broken,) = folder.broken
    assert broken.path == paths[4]
    assert "truncated" in broken.reason
    assert folder.broken_files_of(series) == (broken,)
    assert paths[4].name in str(broken.error())
    assert list(folder.findings())[-1].code == "dicom_file_unreadable"


def test_no_cut_of_a_file_passes_for_the_whole(tmp_path: Path) -> None:
    """Cut at every byte, also exactly between two attributes: listed as broken, or known to lack pixels."""
    path = write_stack(tmp_path, count=1)[0]
    content = path.read_bytes()
    for kept in range(132, len(content)):
        path.write_bytes(content[:kept])
        folder = scan_dicom(tmp_path)
        assert folder.skipped == ()
        if not folder.broken:
            assert folder.series[0].files[0].pixels is None


def test_a_long_private_attribute_before_what_is_wanted_is_stepped_over(tmp_path: Path) -> None:
    """Some scanners put hundreds of kilobytes in front of the geometry."""
    for k in range(3):
        dataset = image_dataset(pixels=np.ones((6, 4), dtype=np.int16), position_mm=(0, 0, 2.0 * k))
        dataset.add_new(0x00190010, "LO", "SOMEONE")
        dataset.add_new(0x00191001, "OB", bytes(300_000))
        save(dataset, tmp_path / f"{k}")
    (series,) = scan_dicom(tmp_path).series
    assert series_geometry(series).grid.shape == (4, 6, 3)


def test_a_sequence_under_an_unknown_vr_is_stepped_over(tmp_path: Path) -> None:
    """UN of undefined length in an explicit file holds implicit elements (PS3.5 6.2.2)."""
    path = write_stack(tmp_path, count=1)[0]
    content = path.read_bytes()
    at = content.index(b"\x20\x00\x32\x00DS")
    # One item of undefined length with (0009,1001), implicit, of 0x4142 bytes, which read as the VR "BA".
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x09\x00\x01\x10\x42\x41\x00\x00" + bytes(0x4142)
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    unknown = b"\x20\x00\x31\x00UN\0\0\xff\xff\xff\xff" + item + ends
    path.write_bytes(content[:at] + unknown + content[at:])
    (series,) = scan_dicom(tmp_path).series
    assert series.files[0].plane is not None
    assert series.files[0].plane.position_mm == (-31.0, 17.5, -412.25)


@pytest.mark.parametrize(
    ("character_set", "stored"),
    [
        ("ISO_IR 100", "latin-1"),
        ("ISO_IR 192", "utf-8"),
        (None, "utf-8"),
        (None, "latin-1"),
        ("ISO_IR 144", "iso8859_5"),
    ],
)
def test_names_are_decoded_by_their_character_set(
    tmp_path: Path, character_set: str | None, stored: str
) -> None:
    """Swedish in Latin-1 and UTF-8, said or not; Cyrillic by way of pydicom."""
    name = "Печень" if stored == "iso8859_5" else "Lever, höger"
    dataset = segmentation()
    del dataset.SpecificCharacterSet
    if character_set:
        dataset.SpecificCharacterSet = character_set
    dataset.SegmentSequence[0].SegmentLabel = "X" * len(name.encode(stored))
    dataset.SegmentSequence[1].SegmentLabel = "L2"
    path = save(dataset, tmp_path / "file")
    filled = path.read_bytes()
    path.write_bytes(filled.replace(b"X" * len(name.encode(stored)), name.encode(stored)))
    (file,) = scan_dicom(tmp_path).segmentations
    assert file.structures[0].name == name


def test_a_broken_file_of_another_series_does_not_concern_this_one(tmp_path: Path) -> None:
    """Told apart by the UID that the header still holds."""
    write_stack(tmp_path, series_uid="1.2.3.4")
    other = write_stack(tmp_path / "other", count=2, modality="PT", series_uid="1.2.3.5")
    other[0].write_bytes(other[0].read_bytes()[:-5])
    folder = scan_dicom(tmp_path)
    by_modality = {one.modality: one for one in folder.series}
    assert folder.broken_files_of(by_modality["CT"]) == ()
    assert len(folder.broken_files_of(by_modality["PT"])) == 1


def test_an_empty_file_is_no_dicom_unless_it_is_called_so(tmp_path: Path) -> None:
    """Skipped and counted; what is called DICOM and holds nothing is a copy that broke off."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut.dcm").write_bytes(b"")
    folder = scan_dicom(tmp_path)
    assert [path.name for path in folder.skipped] == ["empty"]
    assert [file.path.name for file in folder.broken] == ["cut.dcm"]


def test_a_number_that_is_none_makes_a_broken_file(tmp_path: Path) -> None:
    """ImagePositionPatient that does not parse."""
    path = write_stack(tmp_path, count=2)[1]
    path.write_bytes(path.read_bytes().replace(b"-409.75", b"-4?9.75"))
    folder = scan_dicom(tmp_path)
    (broken,) = folder.broken
    assert broken.series_instance_uid == "1.2.3.4"
    assert "(0020,0032)" in broken.reason


def test_a_damaged_file_alone_in_its_series_is_a_broken_file(tmp_path: Path) -> None:
    """A number of its header is none: it is listed as broken, and makes no series without files."""
    dataset = image_dataset(pixels=np.zeros((4, 4), dtype=np.int16), position_mm=(0, 0, 0), modality="PT")
    dataset.add_new(0x00281053, "LO", "3.29\xac102")  # pydicom writes no such DS
    save(dataset, tmp_path / "damaged")
    found = scan_dicom(tmp_path)
    assert found.series == ()
    assert [broken.path.name for broken in found.broken] == ["damaged"]


def test_a_dose_sheet_filed_as_ct_is_no_series(tmp_path: Path) -> None:
    """Secondary captures have no position."""
    dataset = image_dataset(pixels=np.zeros((6, 4), dtype=np.uint8), position_mm=(0, 0, 0))
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
    save(dataset, tmp_path / "sheet")
    folder = scan_dicom(tmp_path)
    assert folder.series == ()
    assert folder.other == (("CT", 1),)


@pytest.mark.parametrize(
    ("corrected", "expected"),
    [
        pytest.param(["DECY", "ATTN", "SCAT"], True, id="corrected"),
        pytest.param(["DECY", "DTIM"], False, id="not corrected"),
        pytest.param(None, None, id="not said"),
    ],
)
def test_attenuation_correction_is_read(
    tmp_path: Path, corrected: list[str] | None, expected: bool | None
) -> None:
    """From CorrectedImage."""
    dataset = image_dataset(pixels=np.zeros((6, 4), dtype=np.int16), position_mm=(0, 0, 0), modality="PT")
    dataset.Units = "BQML"
    if corrected:
        dataset.CorrectedImage = corrected
    save(dataset, tmp_path / "file")
    (series,) = scan_dicom(tmp_path).series
    assert series.attenuation_corrected is expected
    assert series.units == "BQML"


def test_links_are_followed_once(tmp_path: Path) -> None:
    """A linked folder counts, a loop does not."""
    write_stack(tmp_path / "store", count=3)
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "ct").symlink_to(tmp_path / "store")
    (tmp_path / "case" / "loop").symlink_to(tmp_path / "case")
    (series,) = scan_dicom(tmp_path / "case").series
    assert series_geometry(series).grid.shape[2] == 3


def test_an_absent_folder_is_an_error(tmp_path: Path) -> None:
    """Not an empty result."""
    with pytest.raises(InputFileError, match="not a folder"):
        scan_dicom(tmp_path / "nothing")
