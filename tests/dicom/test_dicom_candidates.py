"""Which of several series and segmentations plays a role; names that deny one."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest

from tests.dicom.dicom_case import (
    CT_AFFINE,
    PT,
    STUDY,
    Series,
    lesion_masks,
    pet_suv,
    runs_as_contours,
    write_ct,
    write_pt,
    write_rtstruct,
    write_seg,
)
from tests.dicom.edited_cases import assert_fails, edit, finding, set_element, slices
from tests.records import protocol, run_case
from volstrat.case.discovery import CasePlace
from volstrat.case.inspect import inspect_case
from volstrat.dicom.identity import short_uid
from volstrat.terms.naming import said_by

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@pytest.mark.parametrize("which", ["a", "b"])
def test_a_mask_copied_twice_fails(case: Path, which: str) -> None:
    """The same SEG or RTSTRUCT under two names: one instance, said as such."""
    shutil.copy(case / "objects" / which, case / "copy.dcm")
    assert_fails(run_case(case, protocol()), "copy.dcm", f"objects/{which}", "same DICOM instance")


def test_two_segs_for_one_role_fail_and_are_listed(case: Path) -> None:
    """Each with its segments, and the line to write."""
    images = slices(case / "series 1")
    second = {"Primary tumour": lesion_masks()["Liver metastasis 2"]}
    write_seg(case / "objects" / "second", second, images, uid="2.25.89")
    assert_fails(
        run_case(case, protocol()),
        "2 candidates for tumour",
        "objects/a (Liver metastasis 1, Liver metastasis 2, Liver metastasis 3)",
        "objects/second (Primary tumour)",
        '[inputs] tumour = ["objects/a", "objects/second"]',
    )


def test_two_pet_series_are_listed_with_the_line_to_write(case: Path) -> None:
    """Slices, tracer, corrected or not, no free text, date or UID; the lines name each, and one works."""
    (case / "objects" / "b").unlink()
    (case / "lesions.csv").unlink()
    raw = Series(uid="2.25.73", description="WB NAC", date="20240103")
    write_pt(case / "raw", *pet_suv(), series=raw, CorrectedImage=["DECY"])
    record = run_case(case, protocol())
    line = f'pet = {{ path = ".", series = "{short_uid(STUDY, PT.uid)}" }}'
    assert_fails(
        record,
        "2 series could be pet: ",
        "PT, 16 slices, tracer FDG, attenuation-corrected, in series 2, series ",
        "PT, 16 slices, tracer FDG, not attenuation-corrected, in raw, series ",
        line,
        short_uid(STUDY, "2.25.73"),
    )
    for private in ("WB", "2024", PT.uid, raw.uid):
        assert private not in record["error"]["message"] + record["error"]["hint"]
    (case / "case.toml").write_text(
        f'[inputs]\ntumour = {{ path = "objects/a", segments = ["Liver*"] }}\n{line}\n'
    )
    assert run_case(case, protocol())["error"] is None


def test_the_pet_that_the_avid_roi_is_drawn_on_wins(case: Path) -> None:
    """A second PET beside it is no candidate then."""
    raw = Series(uid="2.25.73", description="WB NAC")
    write_pt(case / "raw", *pet_suv(), series=raw, CorrectedImage=["DECY"])
    record = run_case(case, protocol())
    assert [e["path"] for e in record["inputs"] if e["role"] == "pet"] == ["series 2"]


def test_the_ct_that_the_tumour_is_drawn_on_wins_in_a_folder_called_ct(case: Path) -> None:
    """``CT`` is the role's folder by name; of two series in it the tumour's counts, the other is shown."""
    (case / "CT").mkdir()
    (case / "series 1").rename(case / "CT" / "venous")
    write_ct(case / "CT" / "arterial", series=Series(uid="2.25.76", description="Arterial"))
    record = run_case(case, protocol())
    assert record["error"] is None
    listed = inspect_case(CasePlace(folder=case, subject="S1"), protocol())["inputs"]
    found = [(entry["path"], entry["error"]) for entry in listed if entry["role"] == "ct"]
    assert found == [("CT/venous", None), ("CT/arterial", None)]


def test_two_series_in_a_folder_called_pet_fail(case: Path) -> None:
    """Without an avid mask on one of them, nothing says which."""
    (case / "objects" / "b").unlink()
    (case / "PET").mkdir()
    (case / "series 2").rename(case / "PET" / "one")
    write_pt(case / "PET" / "two", *pet_suv(), series=Series(uid="2.25.73"))
    assert_fails(run_case(case, protocol()), "PET: 2 series could be pet", 'pet = { path = "PET", series = ')


def test_a_tumour_under_no_known_name_fails_with_what_is_there(case: Path) -> None:
    """Segments and ROIs are listed by name, and the line to write names all of them."""

    def rename(seg: Dataset) -> None:
        for segment in seg.SegmentSequence:
            segment.SegmentLabel = f"Structure {segment.SegmentNumber}"
            segment.SegmentedPropertyTypeCodeSequence[0].CodeValue = "85756007"
            segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Tissue"

    edit(case / "objects" / "a", rename)
    assert_fails(
        run_case(case, protocol()),
        "no segment or ROI is called tumour",
        "CT, 12 slices",
        "objects/a (Structure 1, Structure 2, Structure 3, Structure 4)",
        'tumour = { path = "objects/a", segments = ["Structure 1", "Structure 2", "Structure 3", '
        '"Structure 4"] }',
    )


def test_segments_and_rois_that_fit_no_role_are_named_in_the_record(case: Path) -> None:
    """A lesion under a name that nobody foresaw must not be missing from the total in silence."""
    assert finding(run_case(case, protocol()), "structures_without_role") == []
    edit(case / "objects" / "a", lambda d: set_element(d.SegmentSequence[2], "SegmentLabel", "Spot in S7"))
    assert len(run_case(case, protocol())["lesions"]) == 3  # its type is a mass: the code says tumour

    def without_code(seg: Dataset) -> None:
        type_ = seg.SegmentSequence[2].SegmentedPropertyTypeCodeSequence[0]
        type_.CodeValue, type_.CodeMeaning = "85756007", "Tissue"

    edit(case / "objects" / "a", without_code)
    record = run_case(case, protocol())
    assert len(record["lesions"]) == 2
    assert [f["severity"] for f in record["findings"] if f["code"] == "part_unclear"] == ["review"]
    (message,) = finding(record, "structures_without_role")
    assert "1 segment(s) or ROI(s) were not read" in message
    assert "say what they are for: Spot in S7." in message
    (case / "case.toml").write_text(
        'subject = "S1"\n[inputs]\ntumour = { path = "objects/a", segments = ["Liver*"] }\n'
    )
    (case / "lesions.csv").unlink()
    assert finding(run_case(case, protocol()), "structures_without_role") == []


def test_a_tumour_drawn_on_pet_alone_is_no_tumour_and_is_said_to_be_on_pet(case: Path) -> None:
    """Total tumour volume is measured on CT; a contour on PET is said to be one."""
    (case / "objects" / "a").unlink()
    edit(case / "objects" / "b", lambda d: set_element(d.StructureSetROISequence[0], "ROIName", "GTV"))
    assert_fails(run_case(case, protocol()), "no segment or ROI is called tumour", "(GTV), drawn on PET")


def test_tumour_drawn_on_pet_beside_avid_disease_is_a_review(case: Path) -> None:
    """A ROI called "Tumour 2" in the structure set on PET may be avid disease: it does not vanish."""

    def second_roi(dataset: Dataset) -> None:
        for sequence, number in (
            ("StructureSetROISequence", "ROINumber"),
            ("ROIContourSequence", "ReferencedROINumber"),
        ):
            item = deepcopy(dataset[sequence].value[0])
            setattr(item, number, 77)
            dataset[sequence].value.append(item)
        dataset.StructureSetROISequence[-1].ROIName = "Tumour 2"

    edit(case / "objects" / "b", second_roi)
    (message,) = finding(run_case(case, protocol()), "part_unclear")
    assert "'Tumour 2'" in message


@pytest.mark.parametrize("images_named", [True, False])
def test_one_structure_set_drawn_on_ct_and_pet(case: Path, images_named: bool) -> None:
    """Each ROI lies on the series that its contours name, else on that of its role."""
    expected = run_case(case, protocol())
    (case / "objects" / "a").unlink()
    contours = {name: runs_as_contours(mask) for name, mask in lesion_masks().items()}
    write_rtstruct(case / "objects" / "a", contours, CT_AFFINE, uid="2.25.85")
    hot = pydicom.dcmread(case / "objects" / "b")

    def join(both: Dataset) -> None:
        (study,) = both.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
        (on_pet,) = hot.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
        study.RTReferencedSeriesSequence.append(on_pet.RTReferencedSeriesSequence[0])
        hot.StructureSetROISequence[0].ROINumber = hot.ROIContourSequence[0].ReferencedROINumber = 9
        both.StructureSetROISequence.append(hot.StructureSetROISequence[0])
        both.ROIContourSequence.append(hot.ROIContourSequence[0])
        for roi in both.ROIContourSequence if not images_named else ():
            for contour in roi.ContourSequence:
                del contour.ContourImageSequence

    edit(case / "objects" / "a", join)
    (case / "objects" / "b").unlink()
    write_ct(case / "arterial", series=Series(uid="2.25.77", description="Arterial"))
    record = run_case(case, protocol())
    assert record["error"] is None
    assert record["predicates"] == expected["predicates"]
    assert record["volumes"] == expected["volumes"]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("FDG-avid lesion 2", "fdg_avid"),
        ("FDG avid no 3", "fdg_avid"),
        ("Non-FDG-avid lesion", "tumour"),
        ("FDG negative metastasis", "tumour"),
        ("FDG physiological", None),
        ("not PET avid", None),
        ("FDG: neg", None),
        ("FDG-avid, not resectable", "fdg_avid"),
        ("PET positive without CT correlate", "fdg_avid"),
        ("FDG avid, non-functioning primary", "fdg_avid"),
        ("Resectable, not avid", "resectable"),
        ("Resectable no. 2", "resectable"),
        ("Resectable: no", None),
        ("Resektabel: nej", None),
        ("Unresectable tumour", "tumour"),
        ("Tumour, not resectable", "tumour"),
        ("Lesion without uptake", "tumour"),
        ("No tumour", None),
        ("Non-tumour tissue", None),
        ("Liver-GTV", "liver"),
        ("Liver minus tumour", "liver"),
        ("Lever utan tumör", "liver"),
        ("Liver-metastasis 1", "tumour"),
        ("Liver met 2", "tumour"),
        ("Met3", "tumour"),
        ("Mets", "tumour"),
        ("Metal artefact", None),
    ],
)
def test_a_name_that_denies_a_role_does_not_play_it(name: str, role: str | None) -> None:
    """What a reader calls not avid is not avid disease, and the liver less its tumour is no tumour."""
    assert said_by(name, (), protocol().protocol.naming).role == role
