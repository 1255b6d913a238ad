"""DICOM out: what goes out is what was measured, whoever reads it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from tests.dicom.dicom_case import CT_AFFINE, labels, lesion_masks, write_ct, write_dicom_case, write_seg
from tests.export.conftest import AT, CASE, ROOT
from tests.phantom_case import Form, write
from volstrat.case.assess import run_case
from volstrat.case.discovery import iter_case_folders
from volstrat.case.lesion_table import read_lesion_table
from volstrat.case.protocol_files import load_protocol
from volstrat.cli.app import cli
from volstrat.dicom.folder import OWN_MODEL
from volstrat.errors import ExportError, OutputError, VolstratError
from volstrat.export import coded
from volstrat.export.coded import OWN_SCHEME
from volstrat.export.export_run import Exported, export_case
from volstrat.export.structured_report import read_report, report_rows
from volstrat.formats.volumes import read_mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset

    from volstrat.case.record_types import CaseRecord

IDENTITY = {
    "PatientName": "Åkesson^Planted",
    "PatientID": "PLANTED-ID-77",
    "PatientBirthDate": "19481231",
    "StudyID": "PLANTSTUDY",
    "AccessionNumber": "PLANTACC",
    "ReferringPhysicianName": "Planted^Referrer",
    "StudyDate": "20190807",
}
UNWANTED = {
    "PatientComments": "PLANTED comment",
    "StudyDescription": "PLANTED study",
    "SeriesDescription": "PLANTED series",
    "OtherPatientIDs": "PLANTED-OTHER",
    "InstitutionName": "PLANTED clinic",
}


def one(exported: Exported, kind: str) -> Path:
    """Return the only file of a kind."""
    (path,) = [path for path in exported.files if path.name.startswith(kind)]
    return path


def record() -> CaseRecord:
    """Return the sample case's record."""
    return run_case(CASE, load_protocol())


def program(name: str) -> str:
    """Return a validator or reader of others, or skip where it is not there."""
    found = shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_a_case_goes_out_as_everything_and_its_exit_is_the_case_s(tmp_path: Path) -> None:
    """Four kinds where none is asked for; 0: a stratum and nothing to review."""
    done = CliRunner().invoke(cli, ["export", str(CASE), "-o", str(tmp_path / "out"), "--at", AT.isoformat()])
    assert done.exit_code == 0, done.output
    kinds = [path.name.split("-")[0] for path in sorted((tmp_path / "out").iterdir())]
    assert kinds == ["pdf", "sc", "sc", "sc", "sc", "seg", "seg", "sr"]


def test_the_same_content_gives_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    """Into the same folder again it changes nothing; an hour later it adds other files under other UIDs."""
    out = exported.files[0].parent
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    export_case(CASE, out, load_protocol(), slicer=True, at=AT)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    again = export_case(CASE, tmp_path, load_protocol(), at=AT, kinds=["seg", "sr"])
    assert {path.name: path.read_bytes() for path in again.files}.items() <= before.items()
    later = export_case(CASE, tmp_path, load_protocol(), at=AT + timedelta(hours=1), kinds=["seg", "sr"])
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in (*again.files, *later.files)}
    assert len(uids) == 6
    assert len(list(tmp_path.iterdir())) == 6


def test_uids_go_with_content_and_tracking_uids_with_the_lesion(tmp_path: Path) -> None:
    """A voxel more in L1: another segmentation of the same lesions."""
    sound = write_dicom_case(tmp_path / "S1")
    changed = tmp_path / "S1b" / "S1"
    shutil.copytree(sound, changed)
    images = sorted((changed / "series 1").iterdir(), key=lambda p: pydicom.dcmread(p).InstanceNumber)
    masks = lesion_masks()
    masks["Liver metastasis 1"][1, 3, 1] = True
    (changed / "objects" / "a").unlink()
    write_seg(changed / "objects" / "a", masks, images, uid="2.25.83")
    said = []
    for folder, out in ((sound, tmp_path / "one"), (changed, tmp_path / "two")):
        done = export_case(folder, out, load_protocol(), kinds=["seg"], at=AT)
        dataset = pydicom.dcmread(one(done, "seg-1"))
        said.append((dataset.SOPInstanceUID, [s.TrackingUID for s in dataset.SegmentSequence]))
    assert said[0][0] != said[1][0]
    assert said[0][1] == said[1][1]
    assert len(set(said[0][1])) == 3


def test_others_read_the_same_voxels(exported: Exported, tmp_path: Path) -> None:
    """dcmqi, highdicom and volstrat count each lesion alike."""
    import highdicom as hd

    path = one(exported, "seg-1")
    wanted = {row["lesion_id"]: row["voxels"] for row in record()["lesions"]}
    read = hd.seg.segread(path)
    names = {n: read.get_segment_description(n).segment_label for n in read.segment_numbers}
    volume = read.get_volume(combine_segments=False).array
    assert {name: int(volume[..., n - 1].sum()) for n, name in names.items()} == wanted
    reader = program("segimage2itkimage")
    arguments = ["--inputDICOM", str(path), "--outputDirectory", str(tmp_path), "-t", "nrrd"]
    subprocess.run([reader, *arguments], check=True, capture_output=True)
    for number, name in names.items():
        mask = read_mask(tmp_path / f"{number}.nrrd").mask
        assert mask.voxels().count == wanted[name]


def test_others_read_the_same_numbers_and_words(exported: Exported, tmp_path: Path) -> None:
    """Dcmqi and DCMTK, and volstrat's own reader."""
    import highdicom as hd

    path, told = one(exported, "sr"), record()
    report = read_report(path)
    assert report.stratum == told["stratum"]
    for row in told["lesions"]:
        lesion = report.lesions[row["lesion_id"]]
        assert (lesion.resectability, lesion.fdg_avidity) == (row["resectability"], row["fdg_avidity"])
        assert lesion.volume_ml == pytest.approx(row["volume_ml"], rel=1e-12)
    arguments = ["--inputDICOM", str(path), "--outputMetadata", str(tmp_path / "sr.json")]
    subprocess.run([program("tid1500reader"), *arguments], check=True, capture_output=True)
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    for group, row in zip(groups, told["lesions"], strict=False):
        values = {item["quantity"]["CodeMeaning"]: float(item["value"]) for item in group["measurementItems"]}
        assert group["TrackingIdentifier"] == row["lesion_id"]
        assert values["Volume"] == pytest.approx(row["volume_ml"])
        assert values["Total Lesion Glycolysis"] == pytest.approx(row["tlg_g"])
    content: Any = hd.sr.srread(path).content  # of its templates' own class
    read = content.get_volumetric_roi_measurement_groups()
    rows = (*told["lesions"], *told["pet_only_regions"])
    assert [group.tracking_identifier for group in read] == [row["lesion_id"] for row in rows]
    shown = subprocess.run([program("dsrdump"), str(path)], check=True, capture_output=True, text=True).stdout
    for word in ("Stratum 2", "Resectable", "FDG-avid", OWN_SCHEME):
        assert word in shown


def test_validators_find_no_error(exported: Exported) -> None:
    """Dciodvfy of dicom3tools, by the current standard; sample images bring no error of their own."""
    for path in exported.files:
        if path.suffix == ".dcm":
            said = subprocess.run(
                [program("dciodvfy"), "-new", str(path)], capture_output=True, text=True, check=False
            )
            errors = [line for line in said.stderr.splitlines() if line.startswith("Error")]
            assert errors == [], path.name


def test_slicer_s_file_reads_back_exactly(exported: Exported) -> None:
    """Names, colours and voxels, on the mask's own grid."""
    path = next(path for path in exported.files if path.name.endswith(".seg.nrrd"))
    mask = read_mask(path).mask
    assert {mask.names[n]: mask.runs.of(n).count for n in mask.labels} == {
        row["lesion_id"]: row["voxels"] for row in record()["lesions"]
    }
    assert b"Segment0_Color:=1 0.470588 0.196078" in path.read_bytes()  # unresectable, (255, 120, 50)


def test_overlapping_lesions_go_into_files_of_their_own(tmp_path: Path) -> None:
    """L1 and a fourth that holds half of it: two segmentations, and two layers for Slicer."""
    images = write_ct(tmp_path / "S1" / "ct")
    masks = {f"Metastasis {n}": labels() == n for n in (1, 2)}
    masks["Metastasis 3"] = (labels() == 1) & (np.arange(26)[:, None, None] < 6)
    write_seg(tmp_path / "S1" / "seg.dcm", masks, images)
    done = export_case(tmp_path / "S1", tmp_path / "out", load_protocol(), kinds=["sr"], slicer=True, at=AT)
    files = [path for path in done.files if path.name.startswith("seg-")]
    found = [[s.SegmentLabel for s in pydicom.dcmread(path).SegmentSequence] for path in files]
    assert found == [["L1", "L2"], ["L3"]]
    assert set(read_report(one(done, "sr")).lesions) == {"L1", "L2", "L3"}
    slicer = read_mask(next(path for path in done.files if path.name.endswith(".seg.nrrd"))).mask
    assert {slicer.names[n]: slicer.runs.of(n).count for n in slicer.labels} == {
        "L1": 192,
        "L2": 90,
        "L3": 96,
    }


def test_a_subject_of_a_study_file_goes_out(tmp_path: Path) -> None:
    """Named by --subject; without it the candidates are listed."""
    for name in ("S1", "S2"):
        images = write_ct(tmp_path / "data" / name / "ct")
        write_seg(tmp_path / "data" / name / "seg.dcm", {"Metastasis": labels() == 1}, images)
    (tmp_path / "study.toml").write_text('[study]\nid = "T"\n[layout]\nsubject = "data/{subject}"\n')
    arguments = ["export", str(tmp_path / "study.toml"), "-o", str(tmp_path / "out"), "--seg"]
    done = CliRunner().invoke(cli, [*arguments, "--subject", "S2"])
    assert done.exit_code == 3, done.output
    assert "S2: not_assessable" in done.output
    asked = CliRunner().invoke(cli, arguments)
    assert asked.exit_code == 2
    assert "S1" in asked.output
    assert "S2" in asked.output


def test_an_open_case_is_exported_and_says_so(tmp_path: Path) -> None:
    """Nothing marked: measurements, and "not assessable"."""
    images = write_ct(tmp_path / "S1" / "ct")
    write_seg(tmp_path / "S1" / "seg.dcm", {"Metastasis": labels() == 1}, images)
    arguments = ["export", str(tmp_path / "S1"), "-o", str(tmp_path / "out"), "--sr"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 3, done.output
    report = read_report(next((tmp_path / "out").glob("sr-*.dcm")))
    assert (report.stratum, report.status) == ("not_assessable", "not_assessable")
    assert "not assessable" in done.output


def test_marks_come_back_as_a_lesion_table(exported: Exported, tmp_path: Path) -> None:
    """With a point in each lesion where the segmentation lies beside; the table gives the same case."""
    done = CliRunner().invoke(
        cli, ["lesions", "--from", str(one(exported, "sr")), "-o", str(tmp_path / "m.csv")]
    )
    assert done.exit_code == 0, done.output
    folder = Path(shutil.copytree(CASE, tmp_path / CASE.name))
    shutil.copy(tmp_path / "m.csv", folder / "lesions.csv")
    before, after = record(), run_case(folder, load_protocol())
    for key in ("stratum", "predicates", "volumes"):
        assert after[key] == before[key]
    rows = read_lesion_table((tmp_path / "m.csv").read_bytes(), name="m.csv")
    assert [(row.lesion_id, row.word, row.fdg_avidity) for row in rows] == [
        *(("L1", "unresectable", None), ("L2", "resectable", None), ("L3", "ablatable", None)),
        ("P1", "", "not_avid"),
    ]
    assert all(row.point_mm is not None for row in rows if row.lesion_id.startswith("L"))
    shutil.copy(one(exported, "sr"), tmp_path / "alone.dcm")
    assert all(row.point_mm is None for row in report_rows(tmp_path / "alone.dcm"))


def test_a_lesion_that_is_no_tumour_goes_out_and_comes_back_as_such(tmp_path: Path) -> None:
    """Its marking in the report, drawn as what a reader took out, and in the table again."""
    folder = Path(shutil.copytree(CASE, tmp_path / CASE.name))
    (folder / "lesions.csv").write_text("lesion_id,resectability,fdg_avidity\nL3,not_tumour,\nP1,,not_avid\n")
    done = export_case(folder, tmp_path / "out", load_protocol(), at=AT)
    words = {row.lesion_id: row.word for row in report_rows(one(done, "sr"))}
    assert words["L3"] == "not_tumour"


@pytest.mark.parametrize("arguments", [[], [str(CASE), "--from", "REPORT"]])
def test_a_case_or_a_report_is_needed_and_not_both(exported: Exported, arguments: list[str]) -> None:
    """Usage: exit 2."""
    named = [str(one(exported, "sr")) if word == "REPORT" else word for word in arguments]
    assert CliRunner().invoke(cli, ["lesions", *named]).exit_code == 2


STRIPPED = [
    ["PatientName", "PatientID", "PatientBirthDate", "PatientSex"],
    ["StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"],
    ["FrameOfReferenceUID"],
    ["SliceThickness", "InstanceNumber", "ImageType"],
]


@pytest.mark.parametrize("keywords", STRIPPED, ids=[words[0] for words in STRIPPED])
def test_images_that_were_stripped_of_what_is_theirs_are_referred_to(
    tmp_path: Path, keywords: list[str]
) -> None:
    """What must be there and may be empty is empty; the rest comes from the grid or the study."""
    folder = tmp_path / "S1"
    for path in write_ct(folder / "ct"):
        dataset = pydicom.dcmread(path)
        for keyword in keywords:
            if keyword in dataset:
                delattr(dataset, keyword)
        dataset.save_as(path)
    write(folder, "tumour", (labels() == 1, CT_AFFINE), Form(ending=".nii.gz"))
    done = export_case(folder, tmp_path / "out", load_protocol(), kinds=["sr"], at=AT)
    assert pydicom.dcmread(one(done, "seg-1")).pixel_array.sum() == 192
    assert set(read_report(one(done, "sr")).lesions) == {"L1"}


# ------------------------------------------------------------------------ identity


def planted(folder: Path) -> Path:
    """Write a case whose images carry planted identity."""
    images = write_ct(folder / "ct")
    for path in images:
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        for keyword, value in (IDENTITY | UNWANTED).items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    write_seg(folder / "seg.dcm", {"Metastasis": labels() == 1}, images)
    return folder


def test_identity_is_copied_and_stands_nowhere_else(tmp_path: Path) -> None:
    """In the objects as in the images; in no record, file name, page, picture or message."""
    folder, out = planted(tmp_path / "S1"), tmp_path / "out"
    done = CliRunner().invoke(cli, ["export", str(folder), "-o", str(out), "--slicer"])
    assert done.exit_code == 3, done.output
    for path in out.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        for keyword, value in IDENTITY.items():
            assert str(dataset[keyword].value) == value
        for keyword in UNWANTED:
            assert "PLANTED" not in str(dataset.get(keyword, ""))
        assert dataset.StudyInstanceUID == pydicom.dcmread(next((folder / "ct").iterdir())).StudyInstanceUID
        assert dataset.ContentDate != IDENTITY["StudyDate"]
    case = CliRunner().invoke(cli, ["case", str(folder), "--json"])
    pdf = pydicom.dcmread(next(out.glob("pdf-*.dcm"))).EncapsulatedDocument
    slicer = next(out.glob("*.seg.nrrd")).read_bytes()
    names = " ".join(path.name for path in out.iterdir())
    for text in (case.output, done.output, names, pdf.decode("latin-1"), slicer.decode("latin-1")):
        assert "PLANT" not in text.upper()
        assert "19481231" not in text


# ------------------------------------------------------------------------ refused by name


def test_masks_without_a_dicom_image_on_their_lattice_are_refused(tmp_path: Path) -> None:
    """NIfTI alone; and a CT on another lattice."""
    folder = tmp_path / "S1"
    folder.mkdir()
    write(folder, "tumour", (labels() == 1, CT_AFFINE), Form(ending=".nii.gz"))
    with pytest.raises(ExportError, match="no DICOM image lies on the voxels"):
        export_case(folder, tmp_path / "out", load_protocol())
    shifted = CT_AFFINE.copy()
    shifted[:3, 3] += CT_AFFINE[:3, 0] / 2
    write_ct(folder / "ct", shifted)
    with pytest.raises(ExportError, match="no DICOM image lies on the voxels"):
        export_case(folder, tmp_path / "out", load_protocol())
    assert not (tmp_path / "out").exists()


def test_a_nifti_mask_on_the_lattice_of_a_dicom_ct_goes_out(tmp_path: Path) -> None:
    """Voxel for voxel, though it is stored along other axes."""
    folder = tmp_path / "S1"
    folder.mkdir()
    write_ct(folder / "ct")
    flipped = CT_AFFINE.copy()
    flipped[:3, 3] += 25 * CT_AFFINE[:3, 0]
    flipped[:3, 0] *= -1
    write(folder, "tumour", ((labels() == 1)[::-1], flipped), Form(ending=".nii.gz"))
    done = export_case(folder, tmp_path / "out", load_protocol(), kinds=["seg"], at=AT)
    assert pydicom.dcmread(one(done, "seg-1")).pixel_array.sum() == 192


def test_a_lesion_beyond_the_images_is_refused_by_name(tmp_path: Path) -> None:
    """A CT that lost its first three slices after the mask was drawn."""
    folder = tmp_path / "S1"
    folder.mkdir()
    images = write_ct(folder / "ct")
    write(folder, "tumour", (labels() == 1, CT_AFFINE), Form(ending=".nii.gz"))
    for path in images[:3]:
        path.unlink()
    with pytest.raises(ExportError, match="L1 reaches beyond CT series"):
        export_case(folder, tmp_path / "out", load_protocol())


@pytest.mark.parametrize("make", [lambda p: p.write_text("notes"), lambda p: shutil.copy(_a_slice(), p)])
def test_a_folder_with_other_files_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """A note, or images: nothing of theirs is touched."""
    out = tmp_path / "out"
    out.mkdir()
    make(out / "theirs.dcm")
    with pytest.raises(ExportError, match=r"holds theirs\.dcm"):
        export_case(CASE, out, load_protocol())
    assert [path.name for path in out.iterdir()] == ["theirs.dcm"]


def _a_slice() -> Path:
    return next((CASE / "DICOM" / "SE0001").iterdir())


def test_an_export_of_another_study_is_refused(exported: Exported, tmp_path: Path) -> None:
    """What lies there is another patient's."""
    folder = planted(tmp_path / "S1")
    with pytest.raises(ExportError, match="no export of this study"):
        export_case(folder, exported.files[0].parent, load_protocol())


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """One sentence, and nothing written."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file"):
        export_case(CASE, tmp_path / "out", load_protocol())


def test_a_case_that_fails_exits_1_and_writes_nothing(tmp_path: Path) -> None:
    """Its error is the case's."""
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["export", str(ROOT / "sample_data" / "S14_broken_file"), "-o", str(out)])
    assert done.exit_code == 1
    assert "truncated" in done.output
    assert not out.exists()


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01"])
def test_a_time_that_is_none_is_usage(tmp_path: Path, at: str) -> None:
    """Exit 2, with an example."""
    done = CliRunner().invoke(cli, ["export", str(CASE), "-o", str(tmp_path / "out"), "--at", at])
    assert done.exit_code == 2
    assert "ISO 8601" in done.output


def test_without_a_time_it_is_now_never_the_study_s(tmp_path: Path) -> None:
    """Between before and after."""
    before = datetime.now().replace(microsecond=0)  # noqa: DTZ005 - local, as the content time is
    done = export_case(CASE, tmp_path / "out", load_protocol(), kinds=["seg"])
    dataset: Dataset = pydicom.dcmread(one(done, "seg-1"))
    written = datetime.strptime(dataset.ContentDate + dataset.ContentTime, "%Y%m%d%H%M%S")  # noqa: DTZ007
    assert before <= written <= datetime.now()  # noqa: DTZ005


# ------------------------------------------------------------------------ never a reader's


def test_own_objects_in_a_case_are_passed_over_and_told(exported: Exported, tmp_path: Path) -> None:
    """The record is what it was, with a finding for each of them."""
    folder = Path(shutil.copytree(CASE, tmp_path / CASE.name))
    before = run_case(folder, load_protocol())
    for path in exported.files:
        shutil.copy(path, folder)
    after = run_case(folder, load_protocol())
    told = [f for f in after["findings"] if f["code"] == "own_object_ignored"]
    assert len(told) == len([path for path in exported.files if path.suffix == ".dcm"])
    for key in ("stratum", "status", "volumes", "lesions", "predicates"):
        assert after[key] == before[key]


def test_an_export_within_the_case_folder_leaves_the_case_one(exported: Exported, tmp_path: Path) -> None:
    """A batch finds one subject, as before."""
    folder = Path(shutil.copytree(CASE / "DICOM", tmp_path / "root" / "S15"))
    assert list(iter_case_folders(tmp_path / "root")) == [folder]
    (folder / "out").mkdir()
    for path in exported.files:
        shutil.copy(path, folder / "out")
    assert list(iter_case_folders(tmp_path / "root")) == [folder]


def test_an_own_object_named_as_a_mask_is_refused(exported: Exported, tmp_path: Path) -> None:
    """It would count what volstrat itself wrote."""
    path = one(exported, "seg-1")
    assert pydicom.dcmread(path).ManufacturerModelName == OWN_MODEL
    (tmp_path / "case.toml").write_text(f'[inputs]\ntumour = "{path.as_posix()}"\n')
    told = run_case(tmp_path, load_protocol())
    assert told["error"] is not None
    assert "was written by volstrat itself" in told["error"]["message"]


@pytest.mark.parametrize("kind", ["seg-1", "pdf"])
def test_what_is_no_report_is_refused_as_one(exported: Exported, tmp_path: Path, kind: str) -> None:
    """Another object of volstrat's, or no DICOM."""
    with pytest.raises(VolstratError, match="no report"):
        read_report(one(exported, kind))
    (tmp_path / "note.txt").write_text("a note")
    with pytest.raises(VolstratError, match="cannot be read as DICOM"):
        read_report(tmp_path / "note.txt")


def test_the_page_lists_every_code_of_our_own() -> None:
    """docs/pacs.md, in the order of the module."""
    single = (
        *(coded.RESECTABILITY, coded.FDG_AVIDITY, coded.STRATUM, coded.CASE_STATUS),
        *(coded.TOTAL_TUMOUR, coded.RESECTABLE_TUMOUR, coded.RESECTABLE_SHARE, coded.AVID_VOLUME),
        coded.PET_ONLY_REGION,
    )
    words = (coded.RESECTABILITY_WORDS, coded.AVIDITY_WORDS, coded.STRATUM_WORDS, coded.STATUS_WORDS)
    every = [*single, *(code for table in words for code in table.values())]
    codes = list(dict.fromkeys((value, meaning) for value, _, meaning in every))
    page = (ROOT / "docs" / "pacs.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in page.splitlines() if re.match(r"\| `[A-Z_0-9]+` \|", line)]
    assert [(code.strip(" `"), meaning.strip()) for code, meaning in rows] == codes
