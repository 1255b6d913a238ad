"""Walking folders that no person made."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from volstrat.case.discovery import iter_case_folders
from volstrat.formats.walk import DEEPEST, files_below, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Callable[[Path, int], None]]:
    """Return a function that makes folders in one another, a file in each: deeper than a path may be long."""

    def make(folder: Path, levels: int) -> None:
        folder.mkdir()
        own = os.open(folder, os.O_RDONLY)
        for _ in range(levels):
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=own))
            os.mkdir("d", dir_fd=own)
            below = os.open("d", os.O_RDONLY, dir_fd=own)
            os.close(own)
            own = below
        os.close(own)

    yield make
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)  # what removes temporary folders recurses


def test_a_tree_deeper_than_the_stack_is_walked_to_a_depth(
    tmp_path: Path, deep: Callable[[Path, int], None]
) -> None:
    """3,000 folders in one another: a hundred are looked into, and the folders beside them are all found."""
    deep(tmp_path / "a", 3000)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").touch()
    found = [here for here, _ in files_below(tmp_path)]
    assert len(found) == DEEPEST + 1
    assert found[-1] == tmp_path / "b"


def test_a_cohort_with_a_deep_tree_in_it_has_all_its_other_cases(
    tmp_path: Path, deep: Callable[[Path, int], None]
) -> None:
    """The deep one is a case that will fail by name; the one after it is found."""
    deep(tmp_path / "a", 120)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "tumour.nii.gz").touch()
    found = list(iter_case_folders(tmp_path))
    assert found[-1] == tmp_path / "b"
    assert len(found) == 2


def test_links_are_followed_and_no_folder_comes_twice(tmp_path: Path) -> None:
    """A link back up, and two links to one folder."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "a" / "b")
    assert sorted(os.path.relpath(here, tmp_path) for here, _, _ in walk(tmp_path)) == [".", "a", "a/b"]
