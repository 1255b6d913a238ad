"""What a PET is of: its tracer, its patient, its time; whole cases, from the folder to the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from tests.dicom.dicom_case import (
    CT_AFFINE,
    PT,
    Series,
    lesion_masks,
    pet,
    pet_suv,
    write_pt,
    write_seg,
)
from tests.dicom.tracer_headers import change_all, of, pet_input, protocol
from tests.phantom_case import Form, write, write_segmentation
from tests.records import run_case
from volstrat.case.case_file import Patient, RoleEntry
from volstrat.case.discovery import CasePlace
from volstrat.case.inspect import inspect_case
from volstrat.case.pet_inputs import read_plain_pet, suv_report
from volstrat.case.protocol_files import parse_protocol

if TYPE_CHECKING:
    from collections.abc import Callable


GALLIUM = ("35337001", "SCT", "^68^Gallium")
DOTATATE = ("724025002", "SCT", "Dotatate Ga^68^")
PSMA = ("126758", "DCM", "PSMA-1007 F^18^")
PRIVATE_FDG = ("Y-X1743", "99SDM", "FDG -- fluorodeoxyglucose")
F18, GA68 = "6586.2", "4062.6"
OTHER_SERIES = Series(uid="2.25.79", description="Other PET")


@pytest.fixture(scope="session")
def sound_case(seg_case: Path) -> Path:
    """Return the case whose avid disease is a segmentation."""
    return seg_case


def coded(*code: str) -> Dataset:
    """Return the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def tracer(
    text: str | None = None,
    half_life: str | None = F18,
    *,
    agent: tuple[str, str, str] | None = None,
    nuclide: tuple[str, str, str] | None = None,
    units: str = "BQML",
) -> Callable[[Dataset], None]:
    """Return a change of a PET header that says a tracer; None leaves an attribute out."""

    def change(dataset: Dataset) -> None:
        item = dataset.RadiopharmaceuticalInformationSequence[0]
        for keyword, value in (("Radiopharmaceutical", text), ("RadionuclideHalfLife", half_life)):
            if value is None:
                delattr(item, keyword)
            else:
                setattr(item, keyword, value)
        if agent:
            item.RadiopharmaceuticalCodeSequence = Items([coded(*agent)])
        if nuclide:
            item.RadionuclideCodeSequence = Items([coded(*nuclide)])
        dataset.Units = units

    return change


def _second_injection(dataset: Dataset) -> None:
    """Add an injection of another tracer behind that of FDG."""
    item = Dataset()
    item.RadionuclideCodeSequence, item.RadionuclideHalfLife = Items([coded(*GALLIUM)]), GA68
    dataset.RadiopharmaceuticalInformationSequence.append(item)


OTHERS = [
    pytest.param(tracer("Ga-68 DOTATATE", GA68, nuclide=GALLIUM), "other", id="name, half-life and nuclide"),
    pytest.param(tracer(None, GA68), "other", id="half-life alone"),
    pytest.param(tracer(None, None, nuclide=GALLIUM), "other", id="nuclide alone"),
    pytest.param(tracer(None, None, nuclide=GALLIUM, units="GML"), "other", id="nuclide alone, GML"),
    pytest.param(tracer("Solution", F18, agent=PSMA), "other", id="agent's code, F-18"),
    pytest.param(tracer(None, F18, agent=PSMA, units="GML"), "other", id="agent's code, F-18, GML"),
    pytest.param(tracer("18F-DOPA"), "other", id="name, F-18"),
    pytest.param(
        lambda ds: setattr(ds, "Radiopharmaceutical", "68Ga-DOTATOC"), "contradictory", id="top level"
    ),
    pytest.param(_second_injection, "contradictory", id="second injection"),
    pytest.param(tracer("FDG", GA68), "contradictory", id="FDG with another half-life"),
    pytest.param(tracer("FDG", GA68, units="GML"), "contradictory", id="FDG with another half-life, GML"),
    pytest.param(tracer("FDG", F18, agent=DOTATATE), "contradictory", id="FDG with another agent's code"),
]


@pytest.mark.parametrize(("change", "expected"), OTHERS)
def test_another_tracer_never_assigns_a_stratum(
    case: Path, change: Callable[[Dataset], None], expected: str
) -> None:
    """Where FDG decides there is no stratum, or a review; both say what the tracer is."""
    change_all(case / "series 2", change)
    record = run_case(case, protocol())
    assert pet_input(record)["tracer"] == expected
    if expected == "other":
        assert (record["status"], record["stratum"]) == ("not_assessable", None)
        ((severity, message),) = of(record, "pet_not_fdg")
        assert severity == "blocking"
        assert "not FDG" in message
        assert {one["fdg_avidity"] for one in record["lesions"]} == {"not_assessed"}
        assert {one["suv_max"] for one in record["lesions"]} == {None}
        assert record["pet_only_regions"] == []
    else:
        assert (record["status"], record["stratum"]) == ("review", "stratum_2")
        assert [severity for severity, _ in of(record, "pet_tracer_contradictory")] == ["review"]


def test_one_slice_of_another_tracer_is_enough(case: Path) -> None:
    """A series put together from two scans."""
    path = sorted((case / "series 2").iterdir())[7]
    dataset = pydicom.dcmread(path)
    tracer("FDG", GA68)(dataset)
    dataset.save_as(path, enforce_file_format=True)
    assert pet_input(run_case(case, protocol()))["tracer"] == "contradictory"


@pytest.mark.parametrize("rule", ['rule = "fixed"\nsuv_threshold = 4', 'rule = "mask"'])
def test_another_tracer_plays_no_role_under_any_rule(case: Path, rule: str) -> None:
    """A rule from SUV has no SUV of FDG."""
    change_all(case / "series 2", tracer("18F-FES"))
    record = run_case(case, parse_protocol(f"[avidity]\n{rule}\n".encode(), name="other.toml"))
    assert record["stratum"] is None
    assert [severity for severity, _ in of(record, "pet_not_fdg")] == ["blocking"]


@pytest.mark.parametrize(
    ("change", "severity"), [(tracer("DOTATATE", GA68), "warning"), (tracer("FDG", GA68), None)]
)
def test_the_tracer_is_beside_the_point_where_stratum_1_holds(
    case: Path, change: Callable[[Dataset], None], severity: str | None
) -> None:
    """All tumour can go: the stratum does not hang on FDG, and says so."""
    change_all(case / "series 2", change)
    (case / "lesions.csv").write_text(
        "lesion_id,resectability\nL1,resectable\nL2,resectable\nL3,resectable\n"
    )
    record = run_case(case, protocol())
    assert record["stratum"] == "stratum_1"
    assert [one for one, _ in of(record, "pet_not_fdg")] == ([severity] if severity else [])
    assert [one for one, _ in of(record, "pet_tracer_contradictory")] == ([] if severity else ["info"])


SAME = [
    pytest.param(tracer("Fluorodeoxyglucose"), "fdg", id="name"),
    pytest.param(tracer("Solution", agent=PRIVATE_FDG), "fdg", id="private code"),
    pytest.param(tracer(None, agent=("C-B1031", "SRT", "")), "fdg", id="code alone"),
    pytest.param(tracer("  "), "not_stated", id="blank, F-18"),
    pytest.param(tracer("18F solution", None), "not_stated", id="nuclide alone"),
]


@pytest.mark.parametrize(("change", "expected"), SAME)
def test_fdg_raises_no_alarm(case: Path, change: Callable[[Dataset], None], expected: str) -> None:
    """Beyond an info where the header does not state its tracer."""
    change_all(case / "series 2", change)
    record = run_case(case, protocol())
    assert (record["status"], record["stratum"]) == ("assigned", "stratum_2")
    assert pet_input(record)["tracer"] == expected
    stated = [] if expected == "fdg" else ["info"]
    assert [severity for severity, _ in of(record, "pet_tracer_not_stated")] == stated


def test_a_tracer_of_an_unknown_name_is_looked_at_until_a_person_says_fdg(case: Path) -> None:
    """The entry stands where the header says nothing; it cannot overrule what the header says."""
    change_all(case / "series 2", tracer("18F-Novotrace"))
    record = run_case(case, protocol())
    assert (record["status"], pet_input(record)["tracer"]) == ("review", "not_stated")
    assert of(record, "pet_tracer_unknown")
    assert "Novotrace" not in json.dumps(record)  # free text of a header stays in the reader
    lines = (
        '[inputs]\ntumour = { path = "objects/a", segments = ["Liver*"] }\nlesions = "lesions.csv"\n'
        'resectable = { path = "objects/a", segments = ["Resectable*"] }\nct = "series 1"\n'
        'fdg_avid = "objects/b"\npet = { path = "series 2", tracer = "FDG" }\n'
    )
    (case / "case.toml").write_text(lines)
    record = run_case(case, protocol())
    assert (record["status"], pet_input(record)["tracer"]) == ("assigned", "fdg")
    change_all(case / "series 2", tracer("18F-DOPA"))
    record = run_case(case, protocol())
    assert (record["stratum"], pet_input(record)["tracer"]) == (None, "other")


def test_a_pet_that_is_no_dicom_does_not_state_its_tracer(tmp_path: Path) -> None:
    """Its entry may."""
    folder = tmp_path / "S1"
    folder.mkdir()
    write(folder, "tumour", (lesion_masks()["Liver metastasis 1"], CT_AFFINE), Form(ending=".nii.gz"))
    write(folder, "suv", pet_suv(), Form(ending=".nii.gz", dtype="<f4"))
    record = run_case(folder, protocol())
    assert pet_input(record)["tracer"] == "not_stated"
    assert [severity for severity, _ in of(record, "pet_tracer_not_stated")] == ["info"]
    (folder / "case.toml").write_text(
        '[inputs]\ntumour = "tumour.nii.gz"\npet = { path = "suv.nii.gz", units = "SUVbw", tracer = "FDG" }\n'
    )
    record = run_case(folder, protocol())
    assert (pet_input(record)["tracer"], of(record, "pet_tracer_not_stated")) == ("fdg", [])


def write_other_pet(folder: Path) -> list[Path]:
    """Write a DOTATATE-PET of the case beside it."""
    paths = write_pt(folder, *pet_suv(), series=OTHER_SERIES)
    change_all(folder, tracer("68Ga-DOTATATE", GA68))
    return paths


def test_of_two_pets_the_one_of_fdg_is_taken(case: Path) -> None:
    """The other is shown beside and counts for nothing."""
    before = run_case(case, protocol())
    (case / "objects" / "b").unlink()
    (case / "lesions.csv").unlink()
    write_other_pet(case / "other")
    record = run_case(case, protocol())
    assert (pet_input(record)["path"], pet_input(record)["tracer"]) == ("series 2", "fdg")
    beside = [one for one in record["inputs"] if one["role"] == "other_pet"]
    assert [(one["path"], one["tracer"]) for one in beside] == [("other", "other")]
    assert of(record, "pet_not_fdg") == []
    assert record["lesions"][0]["suv_max"] == before["lesions"][0]["suv_max"]


def test_a_mask_drawn_on_another_tracer_is_left_out_beside_an_fdg_pet(case: Path) -> None:
    """The FDG-PET stays; nobody has read it."""
    (case / "objects" / "b").unlink()
    images = write_other_pet(case / "other")
    write_seg(case / "objects" / "b", {"avid disease": pet()[0]}, images, uid="2.25.84")
    record = run_case(case, protocol())
    assert pet_input(record)["tracer"] == "fdg"
    ((severity, message),) = of(record, "pet_not_fdg")
    assert (severity, record["stratum"]) == ("blocking", None)
    assert message.startswith("b was drawn on a PET of another tracer")


def test_lists_and_inspect_show_each_tracer(case: Path) -> None:
    """With what messages call each series; no UID, no description, no date."""
    write_other_pet(case / "other")
    found = inspect_case(CasePlace(folder=case, subject="S1"), protocol())
    shown = {one["role"]: one["series"]["tracer"] for one in found["inputs"] if one["series"]}
    assert shown == {"pet": "fdg", "ct": None, "other_pet": "other"}
    text = json.dumps(found)
    for private in (PT.uid, OTHER_SERIES.uid, "WB AC", "Other PET", "20240102"):
        assert private not in text
    report = suv_report(case / "other")
    assert (report["tracer"], [one["code"] for one in report["findings"]]) == ("other", ["pet_not_fdg"])
    assert suv_report(case / "series 2")["tracer"] == "fdg"


def test_a_segmentation_without_any_segment_is_no_reading(case: Path) -> None:
    """It is not "nothing avid": no lesion is called not avid by it. One empty segment is a reading."""
    (case / "lesions.csv").unlink()
    (case / "objects" / "b").unlink()
    nothing = [np.zeros(pet()[0].shape, np.uint8)]
    write_segmentation(case / "avid.seg.nrrd", nothing, pet()[1], [])
    record = run_case(case, protocol())
    assert of(record, "segmentation_without_segments")
    assert {one["fdg_avidity"] for one in record["lesions"]} == {"not_assessed"}
    assert record["stratum"] is None
    write_segmentation(case / "avid.seg.nrrd", nothing, pet()[1], [("FDG avid", 1, 0)])
    record = run_case(case, protocol())
    assert {one["fdg_avidity"] for one in record["lesions"]} == {"not_avid"}
    assert record["stratum"] == "ineligible"


DESCRIBED = [
    pytest.param("PET DOTATOC", None, "a somatostatin receptor tracer", id="DOTATOC, nothing else"),
    pytest.param("68Ga-DOTATATE WB", F18, "a somatostatin receptor tracer", id="DOTATATE, F-18 alone"),
    pytest.param("PSMA-1007 AC", F18, "a PSMA tracer", id="PSMA"),
    pytest.param("WB Ga-68", None, "Ga-68", id="nuclide"),
]


@pytest.mark.parametrize(("description", "half_life", "said"), DESCRIBED)
@pytest.mark.parametrize("keyword", ["SeriesDescription", "StudyDescription", "ProtocolName"])
def test_a_description_of_another_tracer_is_looked_at(
    case: Path, description: str, half_life: str | None, said: str, keyword: str
) -> None:
    """A description never says what was injected; that it names another tracer is a review."""

    def change(dataset: Dataset) -> None:
        tracer(None, half_life)(dataset)
        setattr(dataset, keyword, description)

    change_all(case / "series 2", change)
    record = run_case(case, protocol())
    assert (pet_input(record)["tracer"], record["status"]) == ("not_stated", "review")
    ((severity, message),) = of(record, "pet_tracer_described")
    assert (severity, f"says {said}." in message) == ("review", True)
    assert description not in json.dumps(record)
    assert not of(record, "pet_tracer_not_stated")


@pytest.mark.parametrize(
    ("series", "study", "is_asked"),
    [
        pytest.param("PET DOTATOC", "PET FDG", True, id="the series is called DOTATOC"),
        pytest.param("WB AC", "PET DOTATOC", True, id="the study is called DOTATOC"),
        pytest.param("FDG WB", "PET DOTATOC", False, id="the series is called FDG"),
        pytest.param("WB AC", "PET DOTATOC, FDG", False, id="the study had both"),
    ],
)
def test_fdg_in_the_header_beside_another_description_is_looked_at(
    case: Path, series: str, study: str, is_asked: bool
) -> None:
    """The header stands, but may be the scanner's default. What the series itself is called goes first."""

    def change(dataset: Dataset) -> None:
        tracer("FDG")(dataset)
        dataset.SeriesDescription, dataset.StudyDescription = series, study

    change_all(case / "series 2", change)
    record = run_case(case, protocol())
    assert pet_input(record)["tracer"] == "fdg"
    assert record["status"] == ("review" if is_asked else "assigned")
    found = of(record, "pet_tracer_described")
    assert [severity for severity, _ in found] == (["review"] if is_asked else [])
    assert all("header says FDG" in message for _, message in found)


@pytest.mark.parametrize(
    ("change", "description"),
    [
        pytest.param(tracer("FDG"), "PET after Lu-177 (Lutathera)", id="a treatment, the header says FDG"),
        pytest.param(tracer(None), "FDG (DOTATOC on Monday)", id="the description says FDG"),
        pytest.param(tracer(None), "WB AC 3D TrueX", id="the description says nothing"),
        pytest.param(tracer(None), "PET 60 min, oral water", id="what the patient drank"),
        pytest.param(tracer(None), "PET ohne KM, Leber, Lymphknoten N13", id="no tracer's word"),
    ],
)
def test_descriptions_raise_no_false_alarm(
    case: Path, change: Callable[[Dataset], None], description: str
) -> None:
    """Nothing is asked beyond what the header calls for."""

    def both(dataset: Dataset) -> None:
        change(dataset)
        dataset.SeriesDescription = description

    change_all(case / "series 2", both)
    record = run_case(case, protocol())
    assert not of(record, "pet_tracer_described")
    assert record["status"] == "assigned"


@pytest.mark.parametrize("stated", [None, "FDG"])
def test_a_person_settles_what_a_description_leaves_open(case: Path, stated: str | None) -> None:
    """``tracer = "FDG"``: what the header does not deny, a person may say."""

    def change(dataset: Dataset) -> None:
        tracer(stated)(dataset)
        dataset.SeriesDescription = "DOTATOC"

    change_all(case / "series 2", change)
    (case / "case.toml").write_text(
        '[inputs]\ntumour = "objects/a"\nlesions = "lesions.csv"\n'
        'fdg_avid = "objects/b"\npet = { path = "series 2", tracer = "FDG" }\n'
    )
    record = run_case(case, protocol())
    assert pet_input(record)["tracer"] == "fdg"
    assert not of(record, "pet_tracer_described")


def test_a_file_called_by_another_tracer_is_looked_at(tmp_path: Path) -> None:
    """A NIfTI states nothing, but its name may."""
    said = read_plain_pet(
        RoleEntry(path=plain_pet(tmp_path / "PET_DOTATATE.nii.gz"), units="SUVbw"), Patient()
    ).tracer
    assert (said.tracer, said.described_as) == ("not_stated", "a somatostatin receptor tracer")
    said = read_plain_pet(RoleEntry(path=plain_pet(tmp_path / "suv.nii.gz")), Patient()).tracer
    assert said.described_as == ""


def plain_pet(path: Path) -> Path:
    """Write a small image."""
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.float32), np.diag([4.0, 4.0, 3.0, 1.0])), path)
    return path
