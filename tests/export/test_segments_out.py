"""Segments of what PET alone shows, and of what lies on one slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest

from tests.dicom.dicom_case import labels, write_ct, write_dicom_case, write_seg
from tests.export.conftest import AT, CASE
from tests.export.test_export import one, record
from volstrat.case.protocol_files import load_protocol
from volstrat.export.export_run import Exported, export_case
from volstrat.export.structured_report import read_report, report_rows

if TYPE_CHECKING:
    from pathlib import Path


def test_regions_seen_on_pet_alone_are_segments_on_the_pet(exported: Exported) -> None:
    """Highdicom counts each as the record does; the SEG refers to PET images, the SR to its segment."""
    import highdicom as hd

    path, told = one(exported, "seg-pet"), record()
    read = hd.seg.segread(path)
    assert {read.get_segment_description(n).tracking_id for n in read.segment_numbers} == {"P1"}
    (region,) = told["pet_only_regions"]
    assert int(read.pixel_array.sum()) == region["voxels"]
    series = read.ReferencedSeriesSequence[0].SeriesInstanceUID
    (pet,) = {
        header.SeriesInstanceUID
        for file in CASE.rglob("*")
        if file.is_file() and (header := pydicom.dcmread(file, force=True)).get("Modality") == "PT"
    }
    assert series == pet
    said = read_report(one(exported, "sr")).lesions["P1"]
    assert said.segment == (read.SOPInstanceUID, 1)
    (row,) = [row for row in report_rows(one(exported, "sr")) if row.lesion_id == "P1"]
    assert row.point_mm == pytest.approx(region["centroid_mm"], abs=10)


def test_a_region_of_one_slice_is_as_high_as_its_slices_are_apart(tmp_path: Path) -> None:
    """P1 is one PET voxel of 4.1 x 3.9 x 3.3 mm, whatever SliceThickness says."""
    folder = write_dicom_case(tmp_path / "S1")
    for file in (folder / "series 2").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.SliceThickness = "5"
        dataset.save_as(file)
    done = export_case(folder, tmp_path / "out", load_protocol(), kinds=["seg"], at=AT)
    measures = (
        pydicom.dcmread(one(done, "seg-pet")).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    )
    assert float(measures.SpacingBetweenSlices) == pytest.approx(3.3)
    assert float(measures.SliceThickness) == pytest.approx(3.3)


def test_lesions_that_lie_on_one_slice_go_out(tmp_path: Path) -> None:
    """All tumour on the sixth slice of a CT of 2.5 mm: the SEG has one frame, and its voxels are as high."""
    images = write_ct(tmp_path / "S1" / "ct")
    flat = np.zeros_like(labels())
    flat[4:9, 5:8, 5] = 1
    write_seg(tmp_path / "S1" / "seg.dcm", {"Metastasis": flat}, images)
    done = export_case(tmp_path / "S1", tmp_path / "out", load_protocol(), kinds=["seg"], at=AT)
    dataset = pydicom.dcmread(one(done, "seg-1"))
    assert dataset.pixel_array.sum() == 15
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(2.5)


def test_regions_on_a_pet_of_another_study_stay_out_of_the_segmentation_and_that_is_said(
    tmp_path: Path,
) -> None:
    """An archive would file them with the wrong study."""
    folder = write_dicom_case(tmp_path / "S1")
    for file in (folder / "series 2").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.StudyInstanceUID = "2.25.4711"
        dataset.save_as(file)
    done = export_case(folder, tmp_path / "out", load_protocol(), kinds=["sr"], at=AT)
    assert [path.name.rsplit("-", 1)[0] for path in done.files] == ["seg-1", "sr"]
    assert any(note.startswith("P1, seen on PET alone") for note in done.notes)
    assert read_report(one(done, "sr")).lesions["P1"].segment is None
