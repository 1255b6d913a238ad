"""Results are written whole or not at all, under safe names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from volstrat.errors import OutputError
from volstrat.store.output import folder_name, write_atomically


def test_a_file_and_its_folders_are_written(tmp_path: Path) -> None:
    """Written again, it holds the new bytes; nothing else is left in the folder."""
    path = tmp_path / "a" / "b" / "case.json"
    for data in (b"old", b"", b"new" * 100_000):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full on the last step: the old bytes stay, the temporary file goes."""
    path = tmp_path / "case.json"
    write_atomically(path, b"old")

    def full(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"case\.json: cannot be written \(No space left on device\)"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("in_the_way", ["file", "folder"])
def test_what_is_in_the_way_is_said(tmp_path: Path, in_the_way: str) -> None:
    """A file where the folder should be; a folder where the file should be."""
    path = tmp_path / "S1" / "case.json"
    if in_the_way == "file":
        (tmp_path / "S1").write_text("x")
    else:
        path.mkdir(parents=True)
    with pytest.raises(OutputError) as caught:
        write_atomically(path, b"new")
    assert "cannot be written" in caught.value.message
    assert caught.value.hint
    assert [p.name for p in tmp_path.rglob("*.part")] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    """Permission denied, by name."""
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_atomically(tmp_path / "case.json", b"new")


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("S001", "S001"),
        ("Site A_12-3.b~", "Site A_12-3.b~"),
        ("Åse 患者", "Åse 患者"),
        ("../up", "%2E.%2Fup"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("end.", "end%2E"),
        (" x ", "%20x%20"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("a%2Fb", "a%252Fb"),
        ("a\nb\0", "a%0Ab%00"),
        ("a:b*?", "a%3Ab%2A%3F"),
        ("\udcff", "%FF"),
    ],
)
def test_subjects_become_safe_folder_names(subject: str, name: str) -> None:
    """What is safe stays readable; all else is escaped byte by byte."""
    assert folder_name(subject) == name


subjects = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@given(subjects, subjects)
@example("a" * 300, "a" * 299 + "b")
@example("患" * 90, "患" * 91)
@example("a/b", "a%2Fb")
def test_names_stay_inside_and_apart(one: str, other: str) -> None:
    """One path part that any file system takes, never `.` or `..`; different subjects differ."""
    for subject in (one, other):
        name = folder_name(subject)
        assert name == Path(name).name
        assert name not in {"", ".", ".."}
        assert len(name.encode()) <= 200
        assert folder_name(subject) == name
    assert (folder_name(one) == folder_name(other)) == (one == other)


def test_a_long_name_that_is_no_text_is_still_a_name() -> None:
    """Bytes that are no UTF-8, as old file systems have them."""
    assert len(folder_name("\udcff" * 300)) <= 200
    assert folder_name("\udcff" * 300) != folder_name("\udcff" * 299 + "\udcfe")
