"""Which folders of DICOM are cases, in the layouts that archives and people make."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.dicom.dicom_case import Series, write_ct
from volstrat.case.discovery import iter_case_folders
from volstrat.cli.app import cli


@pytest.fixture(scope="session")
def sound_case(seg_case: Path) -> Path:
    """Return the case whose avid disease is a segmentation."""
    return seg_case


def lay_out(case: Path, folder: Path, layout: str) -> Path:
    """Copy a case's DICOM into a layout; every subject has UIDs of its own."""
    where = {
        "flat": {"series 1": "", "series 2": "", "objects": ""},
        "by role": {"series 1": "CT", "series 2": "PT", "objects": "SEG"},
        "by role, pet": {"series 1": "ct", "series 2": "pet", "objects": "seg"},
        "study": {"series 1": "study/1", "series 2": "study/2", "objects": "study/3"},
        "study by role": {"series 1": "20240102/CT", "series 2": "20240102/PET", "objects": "20240102/RT"},
        "archive": {"series 1": "DICOM/ST0/SE0", "series 2": "DICOM/ST0/SE1", "objects": "DICOM/ST0/SE2"},
    }[layout]
    # Images begin with 2.25.7, masks with 2.25.8, the frame is 2.25.9: a subject's own digits, as long.
    number = int(folder.name[1:])
    study, frame = f"2.25.{number}".encode(), f"2.25.{number + 4}".encode()
    for name, there in where.items():
        for path in sorted((case / name).iterdir()):
            target = folder / there / f"{name[-1]}{path.name}.dcm"
            target.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes().replace(b"2.25.7", study).replace(b"2.25.8", study)
            target.write_bytes(data.replace(b"2.25.9", frame))
    return folder


@pytest.mark.parametrize("layout", ["flat", "by role", "by role, pet", "study", "study by role", "archive"])
@pytest.mark.parametrize("above", ["", "site A", "centre/ward"])
def test_every_layout_gives_the_subjects(sound_case: Path, tmp_path: Path, layout: str, above: str) -> None:
    """Subject folders directly below the root or deeper, each with its DICOM in one of six layouts."""
    subjects = [lay_out(sound_case, tmp_path / "root" / above / name, layout) for name in ("S1", "S2")]
    assert list(iter_case_folders(tmp_path / "root")) == subjects


def test_sites_of_different_layouts(sound_case: Path, tmp_path: Path) -> None:
    """Two sites; a subject whose DICOM lies beside a case.toml; a DICOMDIR at the top."""
    root = tmp_path / "root"
    first = lay_out(sound_case, root / "A" / "S1", "flat")
    second = lay_out(sound_case, root / "A" / "S2", "archive")
    third = lay_out(sound_case, root / "B" / "S3", "by role")
    fourth = lay_out(sound_case, root / "B" / "S4", "study")
    (fourth / "case.toml").write_text('[inputs]\ntumour = "study/3/sa.dcm"\n')
    (root / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    assert list(iter_case_folders(root)) == [first, second, third, fourth]


def test_a_case_file_below_stands_over_what_ties_a_site(sound_case: Path, tmp_path: Path) -> None:
    """A site with one subject: its DICOM is all tied, and the subject's folder says that it is the case."""
    subject = lay_out(sound_case, tmp_path / "root" / "site" / "S1", "archive")
    (subject / "case.toml").write_text('[inputs]\ntumour = "DICOM/ST0/SE2/sa.dcm"\n')
    assert list(iter_case_folders(tmp_path / "root")) == [subject]


def test_folders_called_ct_and_pet_make_a_case_though_nothing_ties_them(tmp_path: Path) -> None:
    """CT and PET of two studies with frames of their own: refused later, but as one subject."""
    subject = tmp_path / "root" / "site" / "S1"
    write_ct(subject / "CT" / "a", series=Series(uid="2.25.1", frame="2.25.2", study="2.25.3"))
    write_ct(subject / "PET" / "b", series=Series(uid="2.25.4", frame="2.25.5", study="2.25.6"))
    assert list(iter_case_folders(tmp_path / "root")) == [subject]


@pytest.mark.parametrize("layout", ["flat", "by role"])
def test_a_root_that_is_a_subject_is_its_own_case(sound_case: Path, tmp_path: Path, layout: str) -> None:
    """DICOM files, or ct and pet folders, directly in the root."""
    root = lay_out(sound_case, tmp_path / "S1", layout)
    assert list(iter_case_folders(root)) == [root]


def test_subjects_made_of_links_are_followed(sound_case: Path, tmp_path: Path) -> None:
    """Folders of links to series that lie elsewhere, and a link back up."""
    for name in ("S1", "S2"):
        store = lay_out(sound_case, tmp_path / "store" / name, "study")
        (tmp_path / "root" / name).mkdir(parents=True)
        for series in sorted((store / "study").iterdir()):
            (tmp_path / "root" / name / f"link {series.name}").symlink_to(series)
    (tmp_path / "root" / "S1" / "up").symlink_to(tmp_path / "root" / "S1")
    root = tmp_path / "root"
    assert list(iter_case_folders(root)) == [root / "S1", root / "S2"]


def test_images_of_two_patients_in_one_folder_tree_are_two_cases(tmp_path: Path) -> None:
    """Nothing ties them: neither study nor frame of reference."""
    write_ct(tmp_path / "root" / "ward" / "x", series=Series(uid="2.25.1", frame="2.25.2", study="2.25.3"))
    write_ct(tmp_path / "root" / "ward" / "y", series=Series(uid="2.25.4", frame="2.25.5", study="2.25.6"))
    found = list(iter_case_folders(tmp_path / "root"))
    assert [path.name for path in found] == ["x", "y"]


def test_batch_over_dicom_of_several_layouts(sound_case: Path, tmp_path: Path) -> None:
    """Every subject has a row; one that cannot be read fails alone; the exit code says so."""
    root = tmp_path / "root"
    layouts = {"S1": "flat", "S2": "by role", "S3": "archive", "S4": "study"}
    for name, layout in layouts.items():
        folder = lay_out(sound_case, root / name, layout)
        if name != "S2":
            shutil.copy(sound_case / "lesions.csv", folder)
    broken = next(path for path in sorted((root / "S3").rglob("sa.dcm")))
    broken.write_bytes(broken.read_bytes()[:-50])
    done = CliRunner().invoke(cli, ["batch", str(root), "-o", str(tmp_path / "out"), "--workers", "1"])
    assert done.exit_code == 1, done.output
    records = {
        name: json.loads((tmp_path / "out" / name / "case.json").read_text(encoding="utf-8"))
        for name in layouts
    }
    assert {name: r["stratum"] for name, r in records.items()} == {
        "S1": "stratum_2",
        "S2": None,  # without the table nobody has marked P1
        "S3": None,
        "S4": "stratum_2",
    }
    assert [records[name]["status"] for name in ("S2", "S3")] == ["not_assessable", "failed"]
    assert "sa.dcm: ends within its pixel data" in records["S3"]["error"]["message"]
    assert records["S1"]["lesions"] == records["S4"]["lesions"]
    again = CliRunner().invoke(cli, ["batch", str(root), "-o", str(tmp_path / "out"), "--workers", "1"])
    assert again.exit_code == 1
