"""One patient, one time; series that are not what they seem."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.dicom.dicom_case import (
    CT,
    CT_AFFINE,
    SHAPE,
    Series,
    lesion_masks,
    write_ct,
    write_seg,
)
from tests.dicom.tracer_headers import change_all, empty, of, pet_input, protocol
from tests.records import run_case
from volstrat.case.protocol_files import parse_protocol


@pytest.fixture(scope="session")
def sound_case(seg_case: Path) -> Path:
    """Return the case whose avid disease is a segmentation."""
    return seg_case


@pytest.mark.parametrize(
    ("keyword", "value"), [("PatientID", "OTHER"), ("PatientBirthDate", "19600101"), ("PatientSex", "M")]
)
@pytest.mark.parametrize("where", ["series 2", "objects"])
def test_files_of_different_patients_give_no_stratum(
    case: Path, where: str, keyword: str, value: str
) -> None:
    """By identifier, birth date or sex, of an image or a mask; what they are is never said."""
    change_all(case / where, lambda dataset: setattr(dataset, keyword, value))
    change_all(case / "series 1", lambda dataset: setattr(dataset, "PatientSex", "F"))
    record = run_case(case, protocol())
    assert (record["status"], record["stratum"]) == ("not_assessable", None)
    ((severity, message),) = of(record, "patients_differ")
    assert severity == "blocking"
    assert "series 1" in message
    for private in ("OTHER", "SECRET", "Secret", "1960", "1950"):
        assert private not in re.sub(r"[0-9a-f]{8,}", "", json.dumps(record))  # hashes may spell anything


def test_blank_identity_is_equal_to_anything(case: Path) -> None:
    """De-identifiers empty it in one file and not in another."""
    for keyword in ("PatientID", "PatientBirthDate", "PatientSex"):
        change_all(case / "series 2", partial(empty, keyword=keyword))
    record = run_case(case, protocol())
    assert (of(record, "patients_differ"), record["status"]) == ([], "assigned")


def test_a_person_may_vouch_for_one_patient(case: Path) -> None:
    """`assume_same_patient = true`: a warning, and the stratum."""
    change_all(case / "series 2", lambda dataset: setattr(dataset, "PatientID", "OTHER"))
    lines = (
        'assume_same_patient = true\n[inputs]\ntumour = { path = "objects/a", segments = ["Liver*"] }\n'
        'resectable = { path = "objects/a", segments = ["Resectable*"] }\nct = "series 1"\npet = "series 2"\n'
        'fdg_avid = "objects/b"\nlesions = "lesions.csv"\n'
    )
    (case / "case.toml").write_text(lines)
    record = run_case(case, protocol())
    assert [severity for severity, _ in of(record, "patients_differ")] == ["warning"]
    assert (record["status"], record["stratum"]) == ("assigned", "stratum_2")


@pytest.mark.parametrize(("day", "days", "severities"), [("20240302", 60, []), ("20240303", 61, ["review"])])
def test_ct_and_pet_far_apart_are_a_review_in_days(
    case: Path, day: str, days: int, severities: list[str]
) -> None:
    """60 days from 2 January 2024, a leap year, is 2 March; the record holds no date."""
    change_all(case / "series 2", lambda dataset: _dated(dataset, day))
    record = run_case(case, protocol())
    assert pet_input(record)["days_from_ct"] == days
    assert [severity for severity, _ in of(record, "studies_far_apart")] == severities
    assert day not in json.dumps(record)
    assert "2024" not in json.dumps(record["findings"])


def _dated(dataset: Dataset, day: str) -> None:
    dataset.SeriesDate = dataset.AcquisitionDate = day


def test_the_limit_of_days_is_the_protocol_s(case: Path) -> None:
    """0: the same day."""
    change_all(case / "series 2", lambda dataset: _dated(dataset, "20240103"))
    strict = parse_protocol(b"[review]\nmax_days_between = 0\n", name="strict.toml")
    assert of(run_case(case, strict), "studies_far_apart")
    assert of(run_case(case, protocol()), "studies_far_apart") == []


def test_slices_that_share_one_instance_uid_are_told_apart_by_position(case: Path) -> None:
    """The whole CT under one SOPInstanceUID: read, with a finding."""
    before = run_case(case, protocol())
    change_all(case / "series 1", lambda dataset: setattr(dataset, "SOPInstanceUID", "2.25.71.1"))
    record = run_case(case, protocol())
    assert of(record, "sop_instance_uid_repeated")
    assert (record["stratum"], record["volumes"]) == (before["stratum"], before["volumes"])


@pytest.mark.parametrize("numbers", ["again", "on"])
def test_two_reconstructions_half_a_slice_apart_are_refused_by_name(tmp_path: Path, numbers: str) -> None:
    """Under one series UID they look like one stack of half the spacing; their numbers give them away."""
    folder = tmp_path / "S1"
    images = write_ct(folder / "ct")
    write_seg(folder / "seg.dcm", {"Tumour": lesion_masks()["Liver metastasis 1"]}, images)
    half = CT_AFFINE.copy()
    half[:3, 3] += half[:3, 2] / 2
    write_ct(folder / "half", half, SHAPE, Series(uid="2.25.76"))

    def renamed(dataset: Dataset) -> None:
        dataset.SeriesInstanceUID = CT.uid
        if numbers == "on":
            dataset.InstanceNumber = int(dataset.InstanceNumber) + SHAPE[2]

    change_all(folder / "half", renamed)
    (folder / "case.toml").write_text('[inputs]\nct = "."\ntumour = "seg.dcm"\n')
    record = run_case(folder, protocol())
    assert record["error"] is not None
    assert "two reconstructions under one series UID" in record["error"]["message"]
