"""Manifests: one row a subject, one column a role."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from tests.cohort.cohorts import results, rows, statuses, write_case
from volstrat.cohort.source import Manifest
from volstrat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]

HEADER = ["subject", "tumour", "resectable", "fdg_avid"]


def write(path: Path, *lines: list[str]) -> Path:
    """Write a manifest."""
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def row(subject: str, folder: str) -> list[str]:
    """Return the row of a case that `write_case` wrote."""
    return [subject, *(f"{folder}/{role}.nii.gz" for role in HEADER[1:])]


def test_a_manifest_gives_what_the_folders_give(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Paths are relative to it; the same files give the same measurements."""
    (tmp_path / "lists").mkdir()
    lines = [row(f"S0000{n}", f"../in/site0000/S0000{n}") for n in range(1, 9)]
    manifest = write(tmp_path / "lists" / "m.csv", HEADER, *lines)
    run(manifest, tmp_path / "out")
    run(cohort, tmp_path / "folders")
    assert rows(tmp_path / "out") == rows(tmp_path / "folders")
    assert run(manifest, tmp_path / "out").skipped == 8


def test_an_empty_cell_is_a_role_the_case_has_not(cohort: Path, tmp_path: Path, run: Run) -> None:
    """No avid mask: the subject is as a folder without one."""
    manifest = write(tmp_path / "m.csv", HEADER, [*row("T", "in/site0000/S00001")[:3], ""])
    run(manifest, tmp_path / "out")
    (cohort / "site0000" / "S00001" / "fdg_avid.nii.gz").unlink()
    run(cohort, tmp_path / "folders")
    (told,), wanted = rows(tmp_path / "out"), rows(tmp_path / "folders")[0]
    assert told == {**wanted, "subject": "T"}


def test_what_is_wrong_with_one_row_fails_that_subject_only(cohort: Path, tmp_path: Path, run: Run) -> None:
    """A name that comes twice, a row too short, a cell without its tumour, a file that is not there."""
    manifest = write(
        tmp_path / "m.csv",
        HEADER,
        row("good", "in/site0000/S00001"),
        row("twice", "in/site0000/S00002"),
        row("short", "in/site0000/S00002")[:3],
        ["bare", "", "", ""],
        [],
        row("gone", "in/nowhere"),
        row("twice", "in/site0000/S00003"),
    )
    run(manifest, tmp_path / "out")
    told = {r["subject"]: r["error.message"] for r in rows(tmp_path / "out")}
    assert told == {
        "bare": "m.csv, line 5: names no tumour mask.",
        "gone": "tumour.nii.gz: no such file or folder (named as tumour).",
        "good": "",
        "short": "m.csv, line 4: has 3 cells, the header 4.",
        "twice": "m.csv: lines 3 and 8 are called 'twice'; a subject has one row.",
    }
    assert str(cohort) not in str(results(tmp_path / "out"))


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        pytest.param([["tumour"], ["a"]], "has no column subject (it has: tumour)", id="no subject"),
        pytest.param([["subject", "ct"]], "has no column tumour", id="no tumour"),
        pytest.param([["Subject", "mask"]], "no column subject and no tumour", id="neither"),
        pytest.param([[*HEADER, "tumor"]], "unknown column 'tumor'", id="unknown"),
        pytest.param([[*HEADER, "tumour"]], "the column tumour comes twice", id="column twice"),
        pytest.param([HEADER, ["", "a", "", ""]], "line 2: the subject is empty", id="no name"),
        pytest.param([], "has no column", id="empty"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(
    tmp_path: Path, run: Run, lines: list[list[str]], sentence: str
) -> None:
    """Before anything is written, by its name."""
    manifest = write(tmp_path / "m.csv", *lines)
    with pytest.raises(UsageError) as caught:
        run(manifest, tmp_path / "out")
    assert caught.value.message.startswith("m.csv")
    assert sentence in caught.value.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"subject;tumour\nS1;a.nii\n", id="semicolons"),
        pytest.param(b"sep=;\r\nsubject;tumour\r\nS1;a.nii\r\n", id="sep line"),
        pytest.param("subject\ttumour\nS1\ta.nii\n".encode("utf-16"), id="UTF-16 with tabs"),
        pytest.param(b"subject,tumour,,\nS1,a.nii,,\n", id="empty columns"),
    ],
)
def test_a_manifest_is_read_as_spreadsheets_save_it(tmp_path: Path, data: bytes) -> None:
    """What separates the cells says nothing of what they hold."""
    path = tmp_path / "m.csv"
    path.write_bytes(data)
    (found,) = Manifest(path).cases()
    assert found.sources is not None
    assert (found.subject, found.sources.entries["tumour"][0].path) == ("S1", tmp_path / "a.nii")


def test_a_manifest_may_choose_segments(tmp_path: Path) -> None:
    """Names and numbers, separated by a bar; without a file they are nobody's."""
    header = ["subject", "tumour", "tumour.segments", "resectable", "resectable.segments"]
    path = write(tmp_path / "m.csv", header, ["A", "t.nii", "Met 1 | 3", "", ""], ["B", "t.nii", "", "", "x"])
    first, second = Manifest(path).cases()
    assert first.sources is not None
    assert first.sources.entries["tumour"][0].select == ("Met 1", 3)
    assert second.problem is not None
    assert "line 3: names segments for resectable, but no file" in second.problem.message


def test_another_encoding_is_told(tmp_path: Path) -> None:
    """What spreadsheet programs do."""
    path = tmp_path / "m.csv"
    path.write_bytes("subject,tumour\nÅ,a\n".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8"):
        Manifest(path)


def test_a_byte_order_mark_and_blank_lines_are_no_matter(tmp_path: Path) -> None:
    """Spreadsheet programs write the one, people the other."""
    path = tmp_path / "m.csv"
    path.write_bytes(b"\xef\xbb\xbfsubject , tumour\r\n\r\n S1 , a.nii \r\n,\r\n")
    (found,) = Manifest(path).cases()
    assert found.subject == "S1"
    assert found.sources is not None
    assert found.sources.entries["tumour"][0].path == tmp_path / "a.nii"


def test_other_tables_are_for_folders(cohort: Path, tmp_path: Path, run: Run) -> None:
    """A manifest names each subject's table itself."""
    manifest = write(tmp_path / "m.csv", HEADER, row("S", str(cohort / "site0000" / "S00001")))
    with pytest.raises(UsageError, match="names each subject's lesion table itself"):
        run(manifest, tmp_path / "out", lesions="R")


def test_the_lesion_table_of_a_reader(cohort: Path, tmp_path: Path, run: Run) -> None:
    """``lesions`` chooses lesions.R.csv; a subject without one fails by name."""
    for n in (1, 2):
        case = cohort / "site0000" / f"S0000{n}"
        (case / "lesions.R.csv").write_text("lesion_id,resectability\nL1,unknown\n")
    run(cohort, tmp_path / "out", lesions="R")
    told = statuses(tmp_path / "out")
    assert told["S00001"] != "failed"
    assert told["S00003"] == "failed"
    assert write_case(tmp_path / "x").is_dir()
