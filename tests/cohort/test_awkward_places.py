"""Names, places and trees that a cohort must survive."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cohort import cohorts
from tests.cohort.cohorts import results, rows, statuses, write_case
from volstrat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.cohort import CohortResult
    from volstrat.cohort.tasks import Assess

    Run = Callable[..., CohortResult]


def test_a_subject_that_moved_is_the_same_subject(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Neither removed nor there twice."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    (cohort / "other").mkdir()
    (cohort / "site0000" / "S00005").rename(cohort / "other" / "S00005")
    result = run(cohort, out)
    assert (result.removed, result.skipped) == ((), 8)
    assert results(out) == before


def test_two_cases_of_one_subject_fail_as_one(cohort: Path, tmp_path: Path, run: Run) -> None:
    """One failed row that names both folders, and no result; the others are unharmed; the cure works."""
    out = tmp_path / "out"
    write_case(cohort / "again" / "S00003", 70)
    result = run(cohort, out)
    assert result.counts["failed"] == 1
    (row,) = [row for row in rows(out) if row["status"] == "failed"]
    assert row["subject"] == "S00003"
    assert row["error.code"] == "subject_duplicate"
    assert "'again/S00003'" in row["error.message"]
    assert "'site0000/S00003'" in row["error.message"]
    assert json.loads((out / "S00003" / "case.json").read_bytes())["stratum"] is None
    before = results(out)
    assert run(cohort, out).skipped == 7
    assert results(out) == before
    (cohort / "again" / "S00003").rename(cohort / "again" / "S00099")
    assert run(cohort, out).counts["failed"] == 0


def test_one_subject_by_folder_and_by_case_file(cohort: Path, tmp_path: Path, run: Run) -> None:
    """case.toml may call a subject what another folder is called."""
    case = write_case(cohort / "zzz", 70)
    (case / "case.toml").write_text('subject = "S00001"\n[inputs]\ntumour = "tumour.nii.gz"\n')
    run(cohort, tmp_path / "out")
    assert statuses(tmp_path / "out")["S00001"] == "failed"
    assert "'zzz'" in rows(tmp_path / "out")[0]["error.message"]


def test_a_case_that_is_wrong_fails_under_its_own_name(cohort: Path, tmp_path: Path, run: Run) -> None:
    """The name that case.toml gives holds even where the case has no tumour."""
    case = write_case(cohort / "zzz", 70)
    (case / "case.toml").write_text('subject = "T1"\n[inputs]\nliver = "tumour.nii.gz"\n')
    run(cohort, tmp_path / "out")
    assert statuses(tmp_path / "out")["T1"] == "failed"


AWKWARD = (
    "S1", "s1", "S 1", "'S1'", '"S1"', "S1,S2", "S\n1", "-S1", "=S1+1", "<b>S1", "S..1", "\u00c51",
    "A\u030a1", "cohort.csv", "Index.HTML", "50%", "S1\u2028x", "%53", "run.json ", "S1.", "x" * 250,
)  # fmt: skip


def test_awkward_names(tmp_path: Path, run: Run) -> None:
    """Each has its own row, by code point order, and its own folder, even where case does not count."""
    named = list(AWKWARD)
    for n, name in enumerate(AWKWARD):
        write_case(tmp_path / "in" / name, n)
    for name in ("../S1", "/S1", "S/1", "S\\1", "S\r1", "S\t1", ".S1"):  # only case.toml can say these
        case = write_case(tmp_path / "in" / f"case {len(name)} {name[-3:].encode().hex()}")
        (case / "case.toml").write_text(f'subject = {json.dumps(name)}\n[inputs]\ntumour = "tumour.nii.gz"\n')
        named.append(name)
    out = tmp_path / "out"
    run(tmp_path / "in", out)
    from pyarrow import parquet

    assert parquet.read_table(out / "cohort.parquet")["subject"].to_pylist() == sorted(named)
    assert len(rows(out)) == len(named)
    assert len((out / "cohort.csv").read_bytes().splitlines()) == len(named) + 1
    records = {json.loads(path.read_bytes())["subject"]: path for path in out.glob("*/case.json")}
    assert sorted(records) == sorted(named)
    folders = [path.parent.name.casefold() for path in records.values()]
    assert len(set(folders)) == len(named)
    assert (out / "cohort.csv").is_file()
    before = results(out)
    assert run(tmp_path / "in", out).skipped == len(named)
    assert results(out) == before


def test_names_that_differ_in_case_come_and_go(tmp_path: Path, run: Run) -> None:
    """Where the other one is gone, the folder has its plain name again, and the record need not be redone."""
    first, second = write_case(tmp_path / "in" / "s1", 1), write_case(tmp_path / "in" / "S1", 2)
    out = tmp_path / "out"
    run(tmp_path / "in", out)
    assert not (out / "s1").exists()
    assert not (out / "S1").exists()
    shutil.rmtree(second)
    assert run(tmp_path / "in", out).skipped == 1
    assert json.loads((out / "s1" / "case.json").read_bytes())["subject"] == "s1"
    write_case(second, 2)
    write_case(first, 1)
    run(tmp_path / "in", out)
    run(tmp_path / "in", tmp_path / "anew")
    assert results(out) == results(tmp_path / "anew")


def test_a_name_that_is_not_utf8(tmp_path: Path, run: Run) -> None:
    """Linux names are bytes: each such folder is a subject of its own, written so that all can read it."""
    for n, name in enumerate((b"S\xff", b"S\\xff", b"S\xfe")):
        write_case(tmp_path / "in" / os.fsdecode(name), n)
    out = tmp_path / "out"
    result = run(tmp_path / "in", out)
    assert set(statuses(out)) == {r"S\xff", r"S\xfe"}
    assert statuses(out)[r"S\xff"] == "failed", "two folders come out as this name: neither is taken"
    assert result.subjects == 2


def test_a_record_is_written_whatever_its_texts_hold(cohort: Path, tmp_path: Path, run: Run) -> None:
    """A file name that is not UTF-8 reaches the record in escapes."""
    run(cohort, tmp_path / "out", assess=cohorts.odd_name)
    record = json.loads((tmp_path / "out" / "S00001" / "case.json").read_bytes())
    assert record["inputs"][0]["path"] == r"tumour\xff.nii.gz"


def test_an_output_inside_the_root_is_never_walked(cohort: Path, run: Run) -> None:
    """Nor is one of another run; a second run finds the same subjects."""
    for name in ("results", "results 2", "results"):
        assert run(cohort, cohort / name).subjects == 8


def test_inputs_inside_the_output_are_never_written_to(tmp_path: Path, run: Run) -> None:
    """A subject called like the folder that leads to the inputs gets another folder."""
    write_case(tmp_path / "scans" / "scans", 1)
    before = sorted(tmp_path.rglob("*"))
    run(tmp_path / "scans", tmp_path)
    assert sorted((tmp_path / "scans").rglob("*")) == before[1:]
    assert statuses(tmp_path) == {"scans": "assigned"}


def test_unreadable_places_and_circles_harm_nobody(cohort: Path, tmp_path: Path, run: Run) -> None:
    """A link that leads back up is not followed round; an empty folder fails by name."""
    (cohort / "loop").symlink_to(cohort)
    (cohort / "empty").mkdir()
    result = run(cohort, tmp_path / "out")
    assert result.counts["failed"] == 1
    assert statuses(tmp_path / "out")["empty"] == "failed"
    assert result.subjects == 9


@pytest.mark.parametrize(
    ("assess", "failing"), [(cohorts.touch_while_reading, 8), (cohorts.touch_once_while_reading, 0)]
)
def test_a_file_that_changes_while_it_is_read(
    cohort: Path, tmp_path: Path, run: Run, assess: Assess, failing: int
) -> None:
    """It is read once more; where it goes on changing, the subject fails and says so."""
    out = tmp_path / "out"
    run(cohort, out, assess=assess)
    failed = [row for row in rows(out) if row["status"] == "failed"]
    assert len(failed) == failing
    assert {row["error.message"] for row in failed} <= {"tumour.nii.gz: changed while it was read."}


def test_marks_of_direction_in_a_name_are_shown_in_tables(tmp_path: Path, run: Run) -> None:
    """A name with U+202E reads otherwise than it is written: tables escape it, the record has it as it is."""
    name = "P\u202e1"
    write_case(tmp_path / "in" / name)
    run(tmp_path / "in", tmp_path / "out")
    assert {row["subject"] for row in rows(tmp_path / "out")} == {"P\\u202e1"}
    records = [json.loads(path.read_bytes()) for path in (tmp_path / "out").glob("*/case.json")]
    assert [record["subject"] for record in records] == [name]


def test_a_source_that_is_no_folder_and_no_file_is_usage(tmp_path: Path, run: Run) -> None:
    """A pipe would be waited for without end."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match=r"pipe\.csv: is neither a folder nor a file"):
        run(tmp_path / "pipe.csv", tmp_path / "out")


def test_a_tree_without_any_case_is_one_sentence(tmp_path: Path, run: Run) -> None:
    """Not a failed row for each of its folders."""
    for n in range(30):
        (tmp_path / "in" / f"a{n}" / "b").mkdir(parents=True)
    with pytest.raises(UsageError, match="30 folders, none of which holds a mask"):
        run(tmp_path / "in", tmp_path / "out")


def test_a_table_at_the_root_is_nobodys(cohort: Path, tmp_path: Path, run: Run) -> None:
    """The cases below are measured, the table is named; a mask at the root is one case or many: refused."""
    (cohort / "lesions.csv").write_text("lesion_id,resectability\n")
    result = run(cohort, tmp_path / "out")
    assert (result.subjects, result.passed_over) == (8, ("lesions.csv",))
    shutil.copy(cohort / "site0000" / "S00001" / "tumour.nii.gz", cohort / "tumour.nii.gz")
    with pytest.raises(
        UsageError, match=r"holds lesions\.csv, tumour\.nii\.gz itself, and 8 case\(s\) lie below"
    ):
        run(cohort, tmp_path / "other")


def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(cohort: Path, tmp_path: Path, run: Run) -> None:
    """The record takes its place."""
    out = tmp_path / "out"
    run(cohort, out)
    before = results(out)
    record = next(out.glob("*/case.json"))
    record.unlink()
    os.mkfifo(record)
    run(cohort, out)
    assert results(out) == before
