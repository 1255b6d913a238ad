"""What a case's inputs hash to, and what they do not."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from volstrat.case.case_file import CaseSources, Patient, RoleEntry
from volstrat.case.discovery import open_case
from volstrat.case.fingerprint import take_fingerprint
from volstrat.errors import InputFileError

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


@pytest.fixture
def sources(tmp_path: Path) -> CaseSources:
    """Return a case of a mask, a table and a folder of three files."""
    (tmp_path / "tumour.nii.gz").write_bytes(b"tumour")
    (tmp_path / "lesions.csv").write_bytes(b"lesion_id")
    (tmp_path / "pet" / "deep").mkdir(parents=True)
    for name in ("1", "2", "deep/3"):
        (tmp_path / "pet" / name).write_text(name)
    names = {"tumour": "tumour.nii.gz", "lesions": "lesions.csv", "pet": "pet"}
    entries = {role: (RoleEntry(path=tmp_path / name),) for role, name in names.items()}
    return CaseSources(folder=tmp_path, subject="S1", entries=entries)


def test_it_covers_every_file(sources: CaseSources) -> None:
    """Each file's bytes count, those of a series' folder too; taking it twice gives the same."""
    first = take_fingerprint(sources).sha256
    assert take_fingerprint(sources).sha256 == first
    for name in ("tumour.nii.gz", "lesions.csv", "pet/1", "pet/deep/3"):
        path = sources.folder / name
        before = path.stat()
        path.write_bytes(b"X" + path.read_bytes()[1:])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a copy program may
        assert take_fingerprint(sources).sha256 != first, name
        first = take_fingerprint(sources).sha256


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"told_by": "case.toml"}, id="case.toml"),
        pytest.param({"patient": Patient(weight_kg=70.0)}, id="patient"),
        pytest.param({"told_by": "manifest"}, id="manifest"),
    ],
)
def test_what_is_said_of_the_case_counts(sources: CaseSources, change: dict[str, object]) -> None:
    """Not only bytes: how roles were found, and what is known of the patient."""
    (sources.folder / "case.toml").write_text("")
    assert take_fingerprint(replace(sources, **change)).sha256 != take_fingerprint(sources).sha256  # type: ignore[arg-type]


def test_the_keys_of_an_entry_count(sources: CaseSources) -> None:
    """The same file with another selection or threshold is another input."""
    first = take_fingerprint(sources).sha256
    (tumour,) = sources.entries["tumour"]
    for key, value in (("select", (1,)), ("threshold", 0.5), ("instances", "labels"), ("resample", True)):
        entries = {**sources.entries, "tumour": (replace(tumour, **{key: value}),)}  # type: ignore[arg-type]
        assert take_fingerprint(replace(sources, entries=entries)).sha256 != first, key


def test_neither_place_nor_time_counts(sources: CaseSources, tmp_path: Path) -> None:
    """A moved case is the same case."""
    first = take_fingerprint(sources).sha256
    moved = tmp_path.with_name("elsewhere")
    tmp_path.rename(moved)
    entries = {
        role: tuple(replace(e, path=moved / e.path.name) for e in found)
        for role, found in sources.entries.items()
    }
    os.utime(moved / "lesions.csv", (1, 1))
    assert take_fingerprint(replace(sources, folder=moved, entries=entries)).sha256 == first


def test_data_files_of_a_detached_header_count(tmp_path: Path) -> None:
    """The voxels stand in another file than the one that is named."""
    header = (
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
    )
    (tmp_path / "tumour.mhd").write_text(header + "ElementDataFile = tumour.raw\n")
    (tmp_path / "tumour.raw").write_bytes(bytes(8))
    entries = {"tumour": (RoleEntry(path=tmp_path / "tumour.mhd"),)}
    sources = CaseSources(folder=tmp_path, subject="S1", entries=entries)
    first = take_fingerprint(sources)
    assert {path.name for path in first.files} == {"tumour.mhd", "tumour.raw"}
    (tmp_path / "tumour.raw").write_bytes(b"\1" + bytes(7))
    assert take_fingerprint(sources).sha256 != first.sha256


def test_a_change_since_then_is_seen(sources: CaseSources) -> None:
    """By size or time of any file; a removed one too."""
    taken = take_fingerprint(sources)
    assert taken.changed_file() is None
    with (sources.folder / "pet" / "2").open("ab") as stream:
        stream.write(b"more")
    assert taken.changed_file() == sources.folder / "pet" / "2"
    taken = take_fingerprint(sources)
    (sources.folder / "lesions.csv").unlink()
    assert taken.changed_file() == sources.folder / "lesions.csv"


def test_links_in_a_circle_end(sources: CaseSources) -> None:
    """A link that leads back up, and one that leads nowhere."""
    (sources.folder / "pet" / "up").symlink_to(sources.folder / "pet")
    (sources.folder / "pet" / "broken").symlink_to(sources.folder / "nowhere")
    assert len(take_fingerprint(sources).files) == 5


def test_a_missing_file_is_named(sources: CaseSources) -> None:
    """By name only."""
    (sources.folder / "tumour.nii.gz").unlink()
    with pytest.raises(InputFileError, match=r"^tumour\.nii\.gz: there is no such file"):
        take_fingerprint(sources)


def test_it_does_not_depend_on_how_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative or absolute, with a mask that lies elsewhere: a rerun from another place is the same."""
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "lesions.csv").write_bytes(b"lesion_id")
    (tmp_path / "zzz.nii.gz").write_bytes(b"tumour")
    monkeypatch.chdir(tmp_path)
    hashes = {
        take_fingerprint(
            CaseSources(
                folder=here,
                subject="S1",
                entries={
                    "tumour": (RoleEntry(path=tmp_path / "zzz.nii.gz"),),
                    "lesions": (RoleEntry(path=here / "lesions.csv"),),
                },
            )
        ).sha256
        for here in (folder, folder.relative_to(tmp_path))
    }
    assert len(hashes) == 1


def test_every_byte_of_the_case_file_counts(sources: CaseSources) -> None:
    """A remark in case.toml says nothing new, and is another input all the same."""
    told = replace(sources, told_by="case.toml")
    (sources.folder / "case.toml").write_text("# one")
    first = take_fingerprint(told).sha256
    (sources.folder / "case.toml").write_text("# two")
    assert take_fingerprint(told).sha256 != first


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
@pytest.mark.parametrize("special", ["pipe", "device"])
@pytest.mark.parametrize("name", ["tumour.nii.gz", "reviews.csv", "lesions.csv"])
def test_what_is_no_regular_file_is_refused_before_it_is_opened(
    tmp_path: Path, special: str, name: str
) -> None:
    """A pipe would be waited for and a device never ends: the whole batch stood still."""
    for path in (SAMPLES / "S02_stratum_2").iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    if special == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")

    def give_up(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    try:
        with pytest.raises(InputFileError, match="is not a regular file"):
            take_fingerprint(open_case(tmp_path).sources)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
