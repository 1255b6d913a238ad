"""Bad DICOM input end to end: one sentence, status failed, no stratum; what is passed over is counted."""

from __future__ import annotations

import shutil
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest

from tests.dicom.dicom_case import (
    CT_AFFINE,
    PT,
    RESECTABLE_VOXELS,
    STUDY,
    Series,
    labels,
    lesion_masks,
    pet,
    pet_suv,
    runs_as_contours,
    write_ct,
    write_dicom_case,
    write_pt,
    write_rtstruct,
    write_seg,
)
from tests.phantom_case import Form, write
from tests.records import run_case
from volstrat.case.inspect import inspect_case
from volstrat.case.place import CasePlace
from volstrat.case.protocol_files import LoadedProtocol, load_protocol
from volstrat.dicom.identity import short_uid
from volstrat.errors import VolstratError
from volstrat.terms.naming import said_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydicom.dataset import Dataset

    from tests.records import Record


@cache
def protocol() -> LoadedProtocol:
    """Return the packaged protocol, loaded once."""
    return load_protocol()


@pytest.fixture(scope="module")
def sound_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a case that is in order; tests spoil copies of it."""
    return write_dicom_case(tmp_path_factory.mktemp("dicom") / "S1", tumour="seg", avid="rtstruct")


@pytest.fixture
def case(sound_case: Path, tmp_path: Path) -> Path:
    """Return a copy of the sound case."""
    return Path(shutil.copytree(sound_case, tmp_path / "S1"))


def edit(path: Path, change: Callable[[Dataset], object]) -> Path:
    """Change a DICOM file."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)
    return path


def edit_all(folder: Path, **elements: object) -> None:
    """Set attributes of every file of a folder; None deletes."""
    for path in sorted(folder.iterdir()):
        edit(path, partial(_set_all, elements))


def _set_all(elements: Mapping[str, object], dataset: Dataset) -> None:
    for keyword, value in elements.items():
        _set(dataset, keyword, value)


def _set(dataset: Dataset, keyword: str, value: object) -> None:
    if value is None:
        delattr(dataset, keyword)
    else:
        setattr(dataset, keyword, value)


def slices(folder: Path) -> list[Path]:
    """Return a series' files by their position in it."""
    return sorted(
        folder.iterdir(), key=lambda p: int(pydicom.dcmread(p, stop_before_pixels=True).InstanceNumber)
    )


def assert_fails(record: Record, *words: str) -> None:
    """Hold a failed record to one sentence that holds the words, and to saying nothing else."""
    assert record["status"] == "failed", record["stratum"]
    assert record["stratum"] is None
    assert (record["predicates"], record["volumes"], record["lesions"]) == (None, None, [])
    error = record["error"]
    assert error is not None
    for word in words:
        assert word in f"{error['message']} {error['hint']}"
    assert error["code"] != "internal"
    assert "\n" not in error["message"]
    assert "Secret" not in str(record)
    assert "SECRET" not in str(record)


def finding(record: Record, code: str) -> list[str]:
    """Return the messages of the findings with a code."""
    return [f["message"] for f in record["findings"] if f["code"] == code]


# ------------------------------------------------------------------------ passed over, and counted


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
        edit(path, lambda d: _set(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]))
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


# ------------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("which", ["objects/a", "objects/b"])
def test_a_truncated_mask_fails_by_its_name(case: Path, which: str, kept: float) -> None:
    """Cut within the header or the pixels: a mask that cannot be read is never a mask that is not there."""
    data = (case / which).read_bytes()
    (case / which).write_bytes(data[: int(len(data) * kept)])
    assert_fails(run_case(case, protocol()), f"{which[-1]}: ends ")


def test_a_structure_set_cut_between_its_rois_and_their_contours_fails(case: Path) -> None:
    """ROIs without any contour would pass for an empty avid mask: "nothing is avid"."""
    edit(case / "objects" / "b", lambda d: _set(d, "ROIContourSequence", None))
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


# ------------------------------------------------------------------------ what belongs together


def test_a_seg_whose_series_is_absent_fails(case: Path) -> None:
    """Another CT is there, even in the same frame of reference: not the one it was drawn on."""
    shutil.rmtree(case / "series 1")
    write_ct(case / "other", series=Series(uid="2.25.76", description="Late"))
    assert_fails(run_case(case, protocol()), "a: references a series that is not there", "in other")


def test_a_seg_without_any_image_fails_in_a_folder_and_can_be_named(tmp_path: Path) -> None:
    """Nothing shows what it was drawn on; case.toml can name it as it stands, without an image."""
    images = write_ct(tmp_path / "store")
    write_seg(tmp_path / "S1" / "seg.dcm", lesion_masks(), images)
    assert_fails(
        run_case(tmp_path / "S1", protocol()), "seg.dcm: references a series that is not there", "case.toml"
    )
    (tmp_path / "S1" / "case.toml").write_text(
        '[inputs]\ntumour = { path = "seg.dcm", segments = ["Liver*"] }\n'
        'resectable = { path = "seg.dcm", segments = ["Resectable*"] }\n'
    )
    assert (
        run_case(tmp_path / "S1", protocol())["predicates"]["stratum_1"]["part_voxels"] == RESECTABLE_VOXELS
    )


def test_a_seg_on_a_ct_of_another_frame_of_reference_fails_though_named(tmp_path: Path) -> None:
    """Where case.toml names another CT than the SEG references, its frame of reference must be the SEG's."""
    images = write_ct(tmp_path / "store")
    folder = tmp_path / "S1"
    write_seg(folder / "seg.dcm", {"Tumour": lesion_masks()["Liver metastasis 1"]}, images)
    write_ct(folder / "ct", series=Series(uid="2.25.76", frame="2.25.99"))
    (folder / "case.toml").write_text('[inputs]\nct = "ct"\ntumour = "seg.dcm"\n')
    assert_fails(run_case(folder, protocol()), "seg.dcm", "references is not there", "frame of reference")
    shutil.rmtree(folder / "ct")
    write_ct(folder / "ct", series=Series(uid="2.25.76"))
    assert len(finding(run_case(folder, protocol()), "referenced_series_absent")) == 1


def test_an_rtstruct_of_another_frame_of_reference_fails(case: Path) -> None:
    """The series it names is there, in another patient's coordinates."""
    (case / "objects" / "b").unlink()
    elsewhere = Series(uid=PT.uid, frame="2.25.99")
    hot = [(4, [(2.0, 2.0), (5.0, 2.0), (5.0, 5.0)])]
    write_rtstruct(case / "objects" / "avid", {"FDG avid": hot}, pet()[1], series=elsewhere)
    assert_fails(run_case(case, protocol()), "avid: ROI 1 'FDG avid'", "another frame of reference")


def test_an_rtstruct_of_an_absent_series_is_drawn_on_the_one_ct_of_its_frame(tmp_path: Path) -> None:
    """Contours are in patient coordinates: the CT of their frame of reference will do, and is told."""
    square = [(k, [(1.5, 2.5), (9.5, 2.5), (9.5, 8.5), (1.5, 8.5)]) for k in (3, 4)]
    lost = Series(uid="2.25.78", description="Lost")
    write_rtstruct(tmp_path / "S1" / "rtss", {"Tumour": square}, CT_AFFINE, series=lost)
    write_ct(tmp_path / "S1" / "ct series")
    record = run_case(tmp_path / "S1", protocol())
    assert record["lesions"][0]["voxels"] == 8 * 6 * 2
    assert len(finding(record, "referenced_series_absent")) == 1
    write_ct(tmp_path / "S1" / "late series", series=Series(uid="2.25.76", description="Late"))
    assert_fails(run_case(tmp_path / "S1", protocol()), "rtss", "several series could be", "in late series")


def test_contours_that_name_no_image_are_placed_by_position_without_a_word(tmp_path: Path) -> None:
    """Contour data without ContourImageSequence is whole; nothing says that images were renamed."""
    square = [(k, [(1.5, 2.5), (9.5, 2.5), (9.5, 8.5), (1.5, 8.5)]) for k in (3, 4)]
    write_rtstruct(tmp_path / "S1" / "rtss", {"Tumour": square}, CT_AFFINE)
    write_ct(tmp_path / "S1" / "ct series")

    def unname(structure_set: Dataset) -> None:
        for contour in structure_set.ROIContourSequence[0].ContourSequence:
            del contour.ContourImageSequence

    edit(tmp_path / "S1" / "rtss", unname)
    record = run_case(tmp_path / "S1", protocol())
    assert record["lesions"][0]["voxels"] == 8 * 6 * 2
    assert finding(record, "referenced_images_renamed") == []

    def rename(structure_set: Dataset) -> None:
        for contour in structure_set.ROIContourSequence[0].ContourSequence:
            image = pydicom.Dataset()
            image.ReferencedSOPInstanceUID = "2.25.1234"
            contour.ContourImageSequence = [image]

    edit(tmp_path / "S1" / "rtss", rename)
    assert len(finding(run_case(tmp_path / "S1", protocol()), "referenced_images_renamed")) == 1


def test_an_rtstruct_with_no_image_in_its_frame_fails(tmp_path: Path) -> None:
    """Neither its series nor its frame of reference is there."""
    square = [(3, [(1.5, 2.5), (9.5, 2.5), (9.5, 8.5)])]
    write_rtstruct(tmp_path / "S1" / "rtss", {"Tumour": square}, CT_AFFINE)
    write_ct(tmp_path / "S1" / "series", series=Series(uid="2.25.76", frame="2.25.99"))
    assert_fails(
        run_case(tmp_path / "S1", protocol()), "rtss: references a series that is not there", "not there"
    )


# ------------------------------------------------------------------------ two candidates


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
    """``CT`` is the role's folder by name; of two series in it the tumour's is taken."""
    (case / "CT").mkdir()
    (case / "series 1").rename(case / "CT" / "venous")
    write_ct(case / "CT" / "arterial", series=Series(uid="2.25.76", description="Arterial"))
    record = run_case(case, protocol())
    assert record["error"] is None
    found = {
        entry["role"]: entry
        for entry in inspect_case(CasePlace(folder=case, subject="S1"), protocol())["inputs"]
    }
    assert (found["ct"]["path"], found["ct"]["error"]) == ("CT/venous", None)


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
    edit(case / "objects" / "a", lambda d: _set(d.SegmentSequence[2], "SegmentLabel", "Spot in S7"))
    assert len(run_case(case, protocol())["lesions"]) == 3  # its type is a mass: the code says tumour

    def without_code(seg: Dataset) -> None:
        type_ = seg.SegmentSequence[2].SegmentedPropertyTypeCodeSequence[0]
        type_.CodeValue, type_.CodeMeaning = "85756007", "Tissue"

    edit(case / "objects" / "a", without_code)
    record = run_case(case, protocol())
    assert len(record["lesions"]) == 2
    assert [f["severity"] for f in record["findings"] if f["code"] == "part_unclear"] == ["review"]
    (message,) = finding(record, "structures_without_role")
    assert "1 segment(s) or ROI(s) play no role by their names: Spot in S7." in message
    (case / "case.toml").write_text(
        'subject = "S1"\n[inputs]\ntumour = { path = "objects/a", segments = ["Liver*"] }\n'
    )
    (case / "lesions.csv").unlink()
    assert finding(run_case(case, protocol()), "structures_without_role") == []


def test_a_tumour_drawn_on_pet_alone_is_no_tumour_and_is_said_to_be_on_pet(case: Path) -> None:
    """Total tumour volume is measured on CT; a contour on PET is said to be one."""
    (case / "objects" / "a").unlink()
    edit(case / "objects" / "b", lambda d: _set(d.StructureSetROISequence[0], "ROIName", "GTV"))
    assert_fails(run_case(case, protocol()), "no segment or ROI is called tumour", "(GTV), drawn on PET")


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


# ------------------------------------------------------------------------ PET


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
    edit(slices(case / "series 2")[3], lambda d: _set(d, "RescaleSlope", "0"))
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
