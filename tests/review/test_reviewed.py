"""What a review starts from: a folder that is a case, whose files stay as they were."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.review.conftest import ROOT
from volstrat.case.discovery import open_case
from volstrat.review.reviewed import InputWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Sample = Callable[[str], Path]


def test_voxels_in_a_file_beside_their_header_are_watched(tmp_path: Path) -> None:
    """The header of a mask stays as it was; the file that it names for its voxels does not."""
    size = "NDims = 3\nDimSize = 4 4 4\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
    for name in ("tumour", "resectable"):
        (tmp_path / f"{name}.mhd").write_text(f"{size}ElementDataFile = {name}.raw\n")
        (tmp_path / f"{name}.raw").write_bytes(bytes([1] * 8 + [0] * 56))
    watch = InputWatch(open_case(tmp_path).sources)
    assert watch.changed() == ""
    (tmp_path / "resectable.raw").write_bytes(bytes([1] * 4 + [0] * 61))
    assert watch.changed() == "resectable.raw"


@pytest.mark.parametrize("holds", ["nothing", "notes", "cases"])
def test_a_folder_that_is_no_case_opens_no_page(sample: Sample, tmp_path: Path, holds: str) -> None:
    """One sentence that says what lies there, and exit 2: there is nothing that a page could show."""
    folder = tmp_path / "folder"
    folder.mkdir()
    if holds == "notes":
        (folder / "notes.txt").write_text("a")
    if holds == "cases":
        sample("S01_stratum_1").rename(folder / "S01")
    command = [sys.executable, "-m", "volstrat", "review", str(folder), "--no-browser"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    said = {"nothing": "there is nothing", "notes": "there is notes.txt", "cases": "holds some: S01"}[holds]
    assert done.stderr.startswith("volstrat: folder: no tumour mask; ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
