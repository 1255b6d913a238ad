"""Roles by file names, and which folders are cases (DICOM: see `tests.dicom.test_dicom_discovery`)."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from volstrat.case.discovery import iter_case_folders, open_case, role_of, subjects_of
from volstrat.errors import AmbiguousRoleError, InputFileError, MissingRoleError


def files(folder: Path, *names: str) -> Path:
    """Create files, and folders where a name ends with a slash."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name.endswith("/"):
            (folder / name).mkdir(parents=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("tumour.nii.gz", "tumour"),
        ("tumor.nii", "tumour"),
        ("TUMOUR.NII.GZ", "tumour"),
        ("Tumor.Seg.NRRD", "tumour"),
        ("resectable.nrrd", "resectable"),
        ("fdg_avid.mha", "fdg_avid"),
        ("avid.mhd", "fdg_avid"),
        ("pet.nii.gz", "pet"),
        ("suv.nii.gz", "pet"),
        ("ct.nhdr", "ct"),
        ("liver.nrrd", "liver"),
        ("remnant.nrrd", "remnant"),
        ("FLR.nrrd", "remnant"),
        ("reference.nrrd", "reference"),
        ("lesions.csv", "lesions"),
        ("Lesions.CSV", "lesions"),
        ("tumour.dcm", "tumour"),
        ("lesions.nrrd", None),
        ("tumour.csv", None),
        ("tumours.nii.gz", None),
        ("my_tumour.nii.gz", None),
        ("tumour.old.nii.gz", None),
        ("tumour.png", None),
        ("tumour", None),
        ("tumour.raw", None),
        ("lesions.reader1.csv", None),
        (".nii.gz", None),
    ],
)
def test_file_stems_say_roles_in_any_case(name: str, role: str | None) -> None:
    """The stems of the contract, each with a known ending; anything else has no role."""
    assert role_of(Path(name)) == role


def test_roles_are_settled_by_names(tmp_path: Path) -> None:
    """The subject is the folder's name; files without a role are left alone."""
    folder = files(tmp_path / "S7", "Tumor.nii.gz", "AVID.nrrd", "lesions.csv", "notes.txt", "scan.pdf")
    sources = open_case(folder).sources
    assert (sources.subject, sources.told_by) == ("S7", "names")
    assert {role: entry.path.name for role, (entry,) in sources.entries.items()} == {
        "tumour": "Tumor.nii.gz",
        "fdg_avid": "AVID.nrrd",
        "lesions": "lesions.csv",
    }


def test_a_case_file_is_complete(tmp_path: Path) -> None:
    """Files that it does not name are not read, though their names say a role."""
    folder = files(tmp_path / "S7", "a.nrrd", "resectable.nrrd", "tumour.nrrd")
    (folder / "case.toml").write_text('[inputs]\ntumour = "a.nrrd"\n')
    sources = open_case(folder).sources
    assert {role: entry.path.name for role, (entry,) in sources.entries.items()} == {"tumour": "a.nrrd"}


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (("tumour.nii.gz", "tumor.nii.gz"), "tumour"),
        (("tumour.nii.gz", "Tumour.nrrd"), "tumour"),
        (("tumour.nii.gz", "tumour.nii"), "tumour"),
        (("tumour.nii.gz", "avid.nrrd", "fdg_avid.nrrd"), "fdg_avid"),
        (("tumour.nii.gz", "suv.nrrd", "pet.nrrd"), "pet"),
        (("tumour.nii.gz", "flr.nrrd", "remnant.nrrd"), "remnant"),
        (("tumour.nii.gz", "ct/", "ct.nii.gz"), "ct"),
        (("tumour.nii.gz", "lesions.csv", "Lesions.csv"), "lesions"),
    ],
)
def test_two_candidates_are_refused_with_the_line_to_write(
    tmp_path: Path, names: tuple[str, ...], role: str
) -> None:
    """Both are listed; nothing is guessed, not even between two endings."""
    folder = files(tmp_path / "S7", *names)
    with pytest.raises(AmbiguousRoleError) as caught:
        open_case(folder)
    candidates = [name.rstrip("/") for name in names if role_of(folder / name) == role]
    assert caught.value.message.startswith(f"S7: 2 candidates for {role}: ")
    assert all(name in caught.value.message for name in candidates)
    assert f"[inputs] {role} = " in caught.value.hint


def test_no_tumour_lists_what_is_there(tmp_path: Path) -> None:
    """With the name and the line that would do; of many files the first twelve."""
    folder = files(tmp_path / "S7", *(f"scan{n:02d}.nii.gz" for n in range(15)))
    with pytest.raises(MissingRoleError) as caught:
        open_case(folder)
    assert "S7: no tumour mask; there is scan00.nii.gz, " in caught.value.message
    assert "scan11.nii.gz and 3 more" in caught.value.message
    assert "tumour.nii.gz" in caught.value.hint
    assert '[inputs] tumour = "FILE"' in caught.value.hint
    with pytest.raises(MissingRoleError, match="there is nothing"):
        open_case(files(tmp_path / "empty"))


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    """A file, or nothing."""
    files(tmp_path, "file.nrrd")
    for name in ("file.nrrd", "nowhere"):
        with pytest.raises(InputFileError, match=f"{name}: is not a folder"):
            open_case(tmp_path / name)


@pytest.mark.parametrize(
    ("given", "taken"), [("anna", "lesions.anna.csv"), ("b.csv", "b.csv"), ("B.CSV", "B.CSV")]
)
def test_another_lesion_table_takes_the_place_of_the_cases_own(
    tmp_path: Path, given: str, taken: str
) -> None:
    """Beside names and beside ``case.toml``."""
    folder = files(tmp_path / "S7", "tumour.nrrd", "lesions.csv")
    table = open_case(folder, lesions=given).sources.only("lesions")
    assert table is not None
    assert table.path == folder / taken
    (folder / "case.toml").write_text('[inputs]\ntumour = "tumour.nrrd"\nlesions = "x.csv"\n')
    table = open_case(folder, lesions=given).sources.only("lesions")
    assert table is not None
    assert table.path == folder / taken


def found(root: Path, skip: Path | None = None) -> list[str]:
    """Return the case folders below a root, relative to it."""
    return [path.relative_to(root).as_posix() for path in iter_case_folders(root, skip=skip)]


def test_a_case_is_the_topmost_folder_with_a_role_file(tmp_path: Path) -> None:
    """Folders above are walked, folders below are the case's own."""
    files(
        tmp_path,
        "site A/S1/tumour.nrrd",
        "site A/S1/old/tumour.nrrd",
        "site A/S2/case.toml",
        "site A/S2/masks/tumour.nrrd",
        "site B/deep/er/S3/lesions.csv",
        "README.txt",
        ".hidden/S9/tumour.nrrd",
    )
    assert found(tmp_path) == ["site A/S1", "site A/S2", "site B/deep/er/S3"]
    assert found(tmp_path / "site A" / "S1") == ["."]


def test_folders_with_nothing_in_them_fail_by_name(tmp_path: Path) -> None:
    """A lowest folder without masks is a case that will fail, not one that is passed over."""
    files(tmp_path, "S1/tumour.nrrd", "S2/notes.txt", "S3/")
    assert found(tmp_path) == ["S1", "S2", "S3"]
    assert found(files(tmp_path / "nothing")) == []


def test_the_output_inside_the_root_is_not_walked(tmp_path: Path) -> None:
    """Neither as given nor through a link."""
    files(tmp_path, "S1/tumour.nrrd", "out/S1/tumour.nrrd")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert found(tmp_path, skip=tmp_path / "S1" / ".." / "out") == ["S1"]


def test_links_are_followed_but_not_round_in_circles(tmp_path: Path) -> None:
    """A subject may be a link; a link that leads back up is no subject."""
    root = files(tmp_path / "root", "group/S1/tumour.nrrd")
    (root / "group" / "up").symlink_to(root)
    files(tmp_path / "store" / "S2", "tumour.nrrd")
    (root / "S2").symlink_to(tmp_path / "store" / "S2")
    assert found(root) == ["S2", "group/S1"]


@pytest.mark.parametrize("name", ["case.toml", "Case.toml", "CASE.TOML"])
def test_a_case_file_that_is_a_link_to_nothing_is_never_ignored(tmp_path: Path, name: str) -> None:
    """A dangling case.toml, in any case of letters, fails by name; file names are not asked instead."""
    (tmp_path / "tumour.nii.gz").write_bytes(b"not read")
    (tmp_path / name).symlink_to(tmp_path / "gone.toml")
    with pytest.raises(InputFileError, match=re.escape(name)):
        open_case(tmp_path)


def test_two_case_files_are_refused(tmp_path: Path) -> None:
    """On a file system that tells them apart, case.toml beside Case.toml is two candidates."""
    for name in ("case.toml", "Case.toml"):
        (tmp_path / name).write_text('[inputs]\ntumour = "t.nii"\n', encoding="utf-8")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("the file system does not tell upper from lower case")
    with pytest.raises(AmbiguousRoleError, match="2 case files"):
        open_case(tmp_path)


def test_a_pipe_in_a_case_folder_is_not_waited_for(tmp_path: Path) -> None:
    """Looking for DICOM passes over pipes, which would be waited for without end."""
    os.mkfifo(tmp_path / "x.dcm")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MissingRoleError):
        open_case(tmp_path)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        pytest.param(("S1", "S2"), ("S1", "S2"), id="folders named like subjects"),
        pytest.param(("P01/baseline", "P02/baseline"), ("P01", "P02"), id="one visit each"),
        pytest.param(
            ("P01/baseline", "P01/month3", "P02/baseline"),
            ("P01/baseline", "P01/month3", "P02/baseline"),
            id="visits",
        ),
        pytest.param(
            ("sub-01/ses-1/anat", "sub-02/ses-1/anat"), ("sub-01", "sub-02"), id="parts in common anywhere"
        ),
        pytest.param(("A/1", "B/1"), ("A", "B"), id="sites with one number"),
        pytest.param(("A/1", "A/2", "B/1", "B/2"), ("A/1", "A/2", "B/1", "B/2"), id="sites with numbers"),
        pytest.param(
            ("a/S1", "a/S2", "a/S3", "copy/S3", "a/S4"),
            ("S1", "S2", "S3", "S3", "S4"),
            id="a copy is no subject",
        ),
    ],
)
def test_subjects_are_named_by_what_tells_their_folders_apart(
    tmp_path: Path, folders: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """The leaf folder, or the path without what all paths share."""
    assert tuple(subjects_of([files(tmp_path / name) for name in folders], tmp_path)) == names


def test_folders_that_systems_leave_hold_no_cases(tmp_path: Path) -> None:
    """Archives made on a Mac, network drives, waste baskets and what lies in them."""
    left = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#recycle", ".x")
    for name in ("S1", *(f"{folder}/S1" for folder in left), "S2/@eaDir"):
        files(tmp_path / name, "tumour.nii.gz")
    files(tmp_path / "S2", "tumour.nii.gz")
    assert list(iter_case_folders(tmp_path)) == [tmp_path / "S1", tmp_path / "S2"]


def test_a_workbook_is_a_lesion_table_and_two_tables_are_two_candidates(tmp_path: Path) -> None:
    """Neither is preferred: somebody marked in each."""
    case = files(tmp_path / "S1", "tumour.nii.gz", "lesions.xlsx")
    assert open_case(case).sources.entries["lesions"][0].path == case / "lesions.xlsx"
    files(case, "lesions.csv")
    with pytest.raises(AmbiguousRoleError, match=r"2 candidates for lesions: lesions\.csv, lesions\.xlsx"):
        open_case(case)


def test_a_folder_of_cases_is_told_from_a_case(tmp_path: Path) -> None:
    """Whoever names the folder above reads which cases lie in it, and the command for all of them."""
    for name in ("P1", "P2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tumour.nii.gz").write_bytes(b"")
    with pytest.raises(MissingRoleError, match="it is no case but holds some: P1, P2") as caught:
        open_case(tmp_path)
    assert "volstrat batch" in caught.value.hint


def test_dicom_of_one_case_of_a_cohort_does_not_make_the_cohort_a_case(tmp_path: Path) -> None:
    """S15 beside S01 gave their folder a stratum of its own: by S15's DICOM, without its table."""
    samples = Path(__file__).resolve().parents[2] / "sample_data"
    for name in ("S01_stratum_1", "S15_dicom"):
        shutil.copytree(samples / name, tmp_path / name)
    with pytest.raises(MissingRoleError, match="it is no case but holds some: S01_stratum_1"):
        open_case(tmp_path)
