"""Bad DICOM input end to end: one sentence, status failed, no stratum; what is passed over is counted."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest

from tests.dicom.dicom_case import (
    CT_AFFINE,
    RESECTABLE_VOXELS,
    Series,
    labels,
    write_ct,
    write_rtstruct,
)
from tests.dicom.edited_cases import assert_fails, edit, finding, set_element, slices
from tests.phantom_case import Form, write
from tests.records import protocol, run_case
from volstrat.case.discovery import CasePlace
from volstrat.case.inspect import inspect_case
from volstrat.case.pet_inputs import suv_report
from volstrat.case.protocol_files import load_protocol
from volstrat.errors import VolstratError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydicom.dataset import Dataset


def edit_all(folder: Path, **elements: object) -> None:
    """Set attributes of every file of a folder; None deletes."""
    for path in sorted(folder.iterdir()):
        edit(path, partial(_set_all, elements))


def _set_all(elements: Mapping[str, object], dataset: Dataset) -> None:
    for keyword, value in elements.items():
        set_element(dataset, keyword, value)


def test_dicomdir_and_stray_files_are_skipped_with_a_count(case: Path) -> None:
    """A DICOMDIR, a report and a system's file: three; the lesion table is used, so it is not counted."""
    shutil.copy(case / "objects" / "a", case / "DICOMDIR")  # whatever is in it
    (case / "objects" / "report.pdf").write_bytes(b"%PDF-1.7 " + b"x" * 500)
    (case / "series 1" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    record = run_case(case, protocol())
    assert record["stratum"] == "stratum_2"
    assert finding(record, "files_skipped") == ["3 files were skipped: DICOMDIR or not DICOM."]
    assert [f["severity"] for f in record["findings"] if f["code"] == "files_skipped"] == ["info"]


def test_skipped_files_of_the_folders_that_case_toml_names_are_counted_together(case: Path) -> None:
    """One in the CT's folder, one in the PET's: two."""
    for name in ("series 1", "series 2"):
        (case / name / "readme.txt").write_text("exported by hand")
    (case / "case.toml").write_text(
        '[inputs]\nct = "series 1"\npet = "series 2"\n'
        'tumour = { path = "objects/a", segments = ["Liver*"] }\nfdg_avid = "objects/b"\n'
    )
    record = run_case(case, protocol())
    assert finding(record, "files_skipped") == ["2 files were skipped: DICOMDIR or not DICOM."]


def test_nothing_is_said_where_nothing_is_skipped(case: Path) -> None:
    """A clean export has no such finding."""
    assert finding(run_case(case, protocol()), "files_skipped") == []


def test_a_localizer_in_the_folder_is_no_second_ct(case: Path) -> None:
    """A scout series is never the CT, and inspect says that it is there."""
    scout = Series(uid="2.25.75", description="Topogram")
    for path in write_ct(case / "scout", shape=(26, 22, 1), series=scout):
        edit(path, lambda d: set_element(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    record = run_case(case, protocol())
    assert record["predicates"]["stratum_1"]["part_voxels"] == RESECTABLE_VOXELS
    unused = inspect_case(CasePlace(folder=case, subject="S1"), protocol())["unused"]
    assert [(one["kind"], one["path"]) for one in unused] == [("scout", "scout")]
    shutil.rmtree(case / "objects")  # now no SEG says which CT
    (case / "lesions.csv").unlink()
    write(case, "tumour", (labels(), CT_AFFINE), Form(ending=".nrrd"))
    assert run_case(case, protocol())["error"] is None


def test_a_scout_among_the_slices_of_a_series_fails(case: Path) -> None:
    """Filed under the CT's own series, it would stretch the grid."""
    (scout,) = write_ct(case / "scout", shape=(26, 22, 1))
    image_type = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SOPInstanceUID": "2.25.71.99"}
    edit(scout, partial(_set_all, image_type))
    assert_fails(run_case(case, protocol()), "1 of 13 images are scouts", scout.name)


def test_file_names_nesting_and_links_mean_nothing(case: Path, tmp_path: Path) -> None:
    """All files under meaningless names, in meaningless folders, some by symbolic links, one in a circle."""
    reference = run_case(case, protocol())
    folder = tmp_path / "elsewhere" / "S1"
    store = tmp_path / "store"
    store.mkdir()
    for n, path in enumerate(sorted(p for p in case.rglob("*") if p.is_file() and p.suffix != ".csv")):
        target = folder / f"{n % 3}" / f"{n % 2}" / f"1.2.840.{n}.nii.backup"
        target.parent.mkdir(parents=True, exist_ok=True)
        if n % 4:
            shutil.copy(path, target)
        else:
            target.symlink_to(Path(shutil.copy(path, store / f"{n}")))
    shutil.copy(case / "lesions.csv", folder)
    (folder / "0" / "back up").symlink_to(folder)
    record = run_case(folder, protocol())
    assert (record["predicates"], record["volumes"]) == (reference["predicates"], reference["volumes"])
    assert record["lesions"] == reference["lesions"]
    assert finding(record, "files_skipped") == []


def test_an_unreadable_file_of_a_series_that_plays_no_role_is_a_finding(case: Path) -> None:
    """A late CT with a truncated slice lies beside; the tumour is drawn on the other one."""
    late = write_ct(case / "late", series=Series(uid="2.25.76", description="Late"))
    late[3].write_bytes(late[3].read_bytes()[:-300])
    record = run_case(case, protocol())
    assert record["stratum"] == "stratum_2"
    (message,) = finding(record, "dicom_file_unreadable")
    assert late[3].name in message


def test_what_the_grid_of_the_ct_brought_up_is_in_the_record(case: Path) -> None:
    """A slice 0.03 mm (1.2 % of 2.5 mm) off the lattice is used, and told."""
    path = slices(case / "series 1")[4]
    normal = CT_AFFINE[:3, 2] / 2.5

    def move(dataset: Dataset) -> None:
        at = np.array(dataset.ImagePositionPatient, float) + 0.03 * normal
        dataset.ImagePositionPatient = [f"{x:.8g}" for x in at]

    edit(path, move)
    assert len(finding(run_case(case, protocol()), "slices_irregular")) == 1


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("which", ["objects/a", "objects/b"])
def test_a_truncated_mask_fails_by_its_name(case: Path, which: str, kept: float) -> None:
    """Cut within the header or the pixels: a mask that cannot be read is never a mask that is not there."""
    data = (case / which).read_bytes()
    (case / which).write_bytes(data[: int(len(data) * kept)])
    assert_fails(run_case(case, protocol()), f"{which[-1]}: ends ")


def test_a_structure_set_cut_between_its_rois_and_their_contours_fails(case: Path) -> None:
    """ROIs without any contour would pass for an empty avid mask: "nothing is avid"."""
    edit(case / "objects" / "b", lambda d: set_element(d, "ROIContourSequence", None))
    (case / "lesions.csv").unlink()
    assert_fails(run_case(case, protocol()), "b: holds no contours at all")


@pytest.mark.parametrize("series", ["series 1", "series 2"])
@pytest.mark.parametrize("kept", [0.4, 0.99])
def test_a_truncated_slice_fails_by_its_name(case: Path, series: str, kept: float) -> None:
    """A slice of the CT (under the SEG) or of the PET that ends early."""
    path = slices(case / series)[0]  # the first one: no gap would tell that it is missing
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert_fails(run_case(case, protocol()), path.name, "ends")


def test_an_empty_file_called_dicom_fails_and_other_small_files_do_not(case: Path) -> None:
    """What an interrupted copy leaves: it may have been a mask. A Mac's ``._`` file and a note are not."""
    (case / "objects" / "._a.dcm").write_bytes(b"")
    (case / "objects" / "note.dcm").write_text("see the other folder")
    record = run_case(case, protocol())
    assert finding(record, "files_skipped") == ["1 file was skipped: DICOMDIR or not DICOM."]
    (case / "objects" / "mask.dcm").write_bytes(bytes(100))
    assert_fails(run_case(case, protocol()), "mask.dcm: ends before its header")


def test_the_same_slice_twice_fails(case: Path) -> None:
    """Two files of one SOP instance: nothing says which is the image."""
    path = slices(case / "series 1")[2]
    shutil.copy(path, path.with_name("copy of it"))
    assert_fails(run_case(case, protocol()), "copy of it", path.name, "same DICOM instance")


def test_a_missing_slice_fails(case: Path) -> None:
    """The sentence says how many, and where."""
    slices(case / "series 2")[5].unlink()
    assert_fails(
        run_case(case, protocol()), "1 slice is missing", "PT series ", "6.60 mm", "3.30 mm elsewhere"
    )


def test_gantry_tilt_fails(case: Path) -> None:
    """Slices that shift along a column as they rise: 0.2 mm on 2.5 mm, 4.6 degrees."""
    column = CT_AFFINE[:3, 1] / 0.7
    for k, path in enumerate(slices(case / "series 1")):
        at = CT_AFFINE[:3, :3] @ (0, 0, k) + CT_AFFINE[:3, 3] + 0.2 * k * column
        edit(path, partial(_set_all, {"ImagePositionPatient": [f"{x:.9g}" for x in at]}))
    # A SEG has a lattice of its own and would be refused by it; contours need the image's.
    shutil.rmtree(case / "objects")
    write_rtstruct(case / "rtss", {"Tumour": [(3, [(2.0, 2.0), (9.0, 2.0), (9.0, 9.0)])]}, CT_AFFINE)
    (case / "lesions.csv").unlink()
    assert_fails(run_case(case, protocol()), "gantry was tilted by 4.57 degrees")


def test_two_frames_of_one_position_and_segment_fail(case: Path) -> None:
    """A SEG that says two things of one slice."""

    def double(seg: Dataset) -> None:
        frames = seg.PerFrameFunctionalGroupsSequence
        frames[1].PlanePositionSequence = frames[0].PlanePositionSequence

    edit(case / "objects" / "a", double)
    assert_fails(run_case(case, protocol()), "a: has 2 frames of segment 1", "at one position")


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        pytest.param({"Units": "CM2ML"}, ("Units (0054,1001)", "CM2ML"), id="units"),
        pytest.param({"PatientWeight": None}, ("PatientWeight (0010,1030)",), id="weight"),
        pytest.param({"PatientWeight": "70000"}, ("PatientWeight", "grams"), id="grams"),
        pytest.param({"DecayCorrection": None}, ("DecayCorrection (0054,1102)",), id="decay correction"),
        pytest.param(
            {"RadiopharmaceuticalInformationSequence": None},
            ("RadionuclideTotalDose (0018,1074)",),
            id="dose",
        ),
    ],
)
def test_pet_that_cannot_become_suv_fails_where_a_rule_needs_it(
    case: Path, tmp_path: Path, elements: dict[str, object], words: Sequence[str]
) -> None:
    """The attribute is named; where SUV is description only, the case goes on without it."""
    edit_all(case / "series 2", **elements)
    fixed = tmp_path / "fixed.toml"
    fixed.write_text('id = "fixed"\n[avidity]\nrule = "fixed"\nsuv_threshold = 2.5\n')
    assert_fails(run_case(case, load_protocol(fixed)), *words)
    described = run_case(case, protocol())
    assert described["stratum"] == "stratum_2"
    (message,) = finding(described, "suv_unavailable")
    assert all(word in message for word in words[:1])
    for key in ("suv_max", "suv_mean", "suv_peak", "tlg_g"):
        assert {lesion[key] for lesion in described["lesions"]} == {None}


def test_zero_slope_fails(case: Path) -> None:
    """Values that all mean the same are no PET."""
    edit(slices(case / "series 2")[3], lambda d: set_element(d, "RescaleSlope", "0"))
    assert_fails(run_case(case, protocol()), "RescaleSlope", "0")


def test_no_record_holds_a_name_of_the_patient(case: Path) -> None:
    """Name, number and birth date of the headers are in no part of the record or of what inspect says."""
    said = str(run_case(case, protocol())) + str(
        inspect_case(CasePlace(folder=case, subject="S1"), protocol())
    )
    for secret in ("Secret", "SECRET", "19500101"):
        assert secret not in said


def test_a_folder_that_holds_no_dicom_and_no_mask_fails(tmp_path: Path) -> None:
    """Subfolders with other things in them."""
    (tmp_path / "S1" / "notes").mkdir(parents=True)
    (tmp_path / "S1" / "notes" / "readme.txt").write_text("nothing")
    with pytest.raises(VolstratError, match="no tumour mask"):
        inspect_case(CasePlace(folder=tmp_path / "S1", subject="S1"), protocol())


@pytest.mark.parametrize("count", [1, 3])
def test_an_exam_summary_filed_as_ct_is_no_ct(case: Path, count: int) -> None:
    """Pictures at one position, DERIVED SECONDARY, beside the CT: nobody asks which is the CT."""
    before = run_case(case, protocol())
    for n in range(count):
        dataset = pydicom.dcmread(slices(case / "series 1")[0])
        dataset.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
        dataset.ImageType = ["DERIVED", "SECONDARY"]
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "2.25.7000", f"2.25.7000.{n + 1}"
        dataset.SeriesNumber, dataset.InstanceNumber = 999, n + 1
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        (case / "summary").mkdir(exist_ok=True)
        dataset.save_as(case / "summary" / f"{n}.dcm", enforce_file_format=True)
    after = run_case(case, protocol())
    assert after["error"] is None
    assert (after["stratum"], after["predicates"]) == (before["stratum"], before["predicates"])
    assert [one["path"] for one in after["inputs"]] == [one["path"] for one in before["inputs"]]


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_pet_file_is_a_sentence_for_every_command(case: Path, seed: int) -> None:
    """Bytes of one slice's header changed at random: a result of the other slices is none of the series."""
    path = slices(case / "series 2")[7]
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for at in rng.integers(140, len(data), size=12):
        data[at] = rng.integers(256)
    path.write_bytes(data)
    record = run_case(case, protocol())
    assert record["error"] is None or record["error"]["code"] != "internal_error"
    told = []
    try:
        suv_report(case / "series 2")
        inspect_case(CasePlace(folder=case, subject="S1"), protocol())
    except VolstratError as error:
        told.append(error.message)
    if record["error"] is not None and "truncated" in record["error"]["message"]:
        assert told, record["error"]["message"]


def test_factors_of_a_series_with_an_unreadable_slice_are_refused(case: Path) -> None:
    """They were those of the other slices, and nothing was said."""
    path = slices(case / "series 2")[7]
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(VolstratError, match=re.escape(f"{path.name}: ends ")):
        suv_report(case / "series 2")
