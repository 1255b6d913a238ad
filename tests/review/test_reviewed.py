"""What a review starts from, and what others write beside it: masks, tables, closed reviews, another tab."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.review.conftest import ROOT
from tests.review.test_session import loaded, mark
from volstrat.case.discovery import open_case
from volstrat.errors import InputChangedError, UsageError
from volstrat.review.reviewed import InputWatch, Reviewed
from volstrat.review.state import States

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


def test_a_reading_is_signed_as_it_was_shown(sample: Sample) -> None:
    """Not over a table or a mask that somebody else wrote since: nobody saw that."""
    folder = sample("S01_stratum_1")
    session = loaded(folder, reader="R")
    mark(session, "L1", "unresectable")
    table = folder / "lesions.R.csv"
    table.write_text(
        table.read_text(encoding="utf-8").replace("unresectable", "resectable"), encoding="utf-8"
    )
    with pytest.raises(UsageError, match=r"lesions\.R\.csv: was written to since"):
        session.note("complete", "", "")
    session.refresh()
    (folder / "tumour.nii.gz").touch()
    with pytest.raises(InputChangedError, match=r"tumour\.nii\.gz"):
        session.note("complete", "", "")
    assert session.signed is None


def test_a_review_that_is_closed_beside_the_page_is_closed_on_it(sample: Sample) -> None:
    """As ``volstrat accept`` closes it; where its table goes, it is open again; a broken one is said."""
    folder = sample("S08_pet_only_region")
    session, table = loaded(folder), folder / "reviews.csv"
    loaded(folder).accept("pet_only_region", "P1", by="AB", reason="bowel")

    def now() -> Reviewed:
        reviewed = session.refresh()
        assert reviewed is not None
        return reviewed

    assert now().record["status"] == "assigned"
    table.unlink()
    assert now().record["status"] == "review"
    table.write_text("code\n", encoding="utf-8")
    assert "reviews.csv" in now().problem


def test_a_tab_is_told_what_changed_while_another_was_answered(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark comes in between an answer's mark and its rows: the first tab still hears of it."""
    session = loaded(sample("S01_stratum_1"))
    states = States(session)
    first = states.since("")
    look = session.changed_input

    def meanwhile() -> str:
        monkeypatch.setattr(session, "changed_input", look)
        mark(session, "L1", "unresectable")
        return ""

    monkeypatch.setattr(session, "changed_input", meanwhile)
    states.since("")
    assert [row["id"] for row in states.since(first["mark"])["changed"]] == ["L1"]
