"""Shards and merging: as if one run had done it all."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.cohort.cohorts import results, rows, statuses, write_case
from volstrat.case.protocol_files import load_protocol
from volstrat.cohort import Shard, merge_cohorts, parse_shard
from volstrat.cohort.run_file import HISTORY, TRAIL, entries_of_changes
from volstrat.errors import UsageError
from volstrat.verify.verify_run import verify_output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]


@pytest.fixture
def shards(cohort: Path, tmp_path: Path, run: Run) -> list[Path]:
    """Run a cohort in three shards: names twice, names that differ in case, a broken subject among them."""
    write_case(cohort / "again" / "S00003", 70)
    for n, name in enumerate(("s00001", "t\n1", "T\n1", "cohort.csv")):
        write_case(cohort / "odd" / name, 20 + n)
    (cohort / "site0000" / "S00008" / "tumour.nii.gz").write_bytes(b"no mask")
    for n in range(1, 4):
        run(cohort, tmp_path / f"shard{n}", shard=Shard(number=n, of=3))
    return [tmp_path / f"shard{n}" for n in range(1, 4)]


def test_merged_shards_are_the_whole_cohort(
    cohort: Path, tmp_path: Path, run: Run, shards: list[Path]
) -> None:
    """To the byte, in whatever order they are named; merging again changes nothing."""
    run(cohort, tmp_path / "whole")
    for order in (shards, shards[::-1]):
        merged = merge_cohorts(order, tmp_path / "merged")
        assert results(tmp_path / "merged") == results(tmp_path / "whole")
    assert merged.counts["failed"] == 2
    assert not list((tmp_path / "merged").rglob("*.part"))


def test_a_merged_output_can_be_gone_on_with(
    cohort: Path, tmp_path: Path, run: Run, shards: list[Path]
) -> None:
    """A batch of all of it finds every record that stands; only what failed is tried again."""
    merge_cohorts(shards, tmp_path / "merged")
    before = results(tmp_path / "merged")
    result = run(cohort, tmp_path / "merged")
    assert (result.subjects - result.skipped, result.removed) == (2, ())
    assert results(tmp_path / "merged") == before


def test_what_goes_with_a_record_is_merged_too(tmp_path: Path, shards: list[Path]) -> None:
    """A report, say."""
    (shard,) = (folder for folder in shards if "S00002" in statuses(folder))
    (shard / "S00002" / "report").mkdir()
    (shard / "S00002" / "report" / "page.html").write_text("page")
    merge_cohorts(shards, tmp_path / "merged")
    assert (tmp_path / "merged" / "S00002" / "report" / "page.html").read_text() == "page"


def refusal(folders: list[Path], out: Path) -> str:
    """Return the sentence that merging is refused with; nothing is written."""
    with pytest.raises(UsageError) as caught:
        merge_cohorts(folders, out)
    return caught.value.message


def test_what_makes_no_whole_cohort_is_refused(
    cohort: Path, tmp_path: Path, run: Run, shards: list[Path]
) -> None:
    """A shard that is missing, comes twice, is unfinished, or is of another partition or protocol."""
    out = tmp_path / "merged"
    assert refusal(shards[:2], out).endswith("shard 3 of 3 is missing.")
    assert "is named twice" in refusal([*shards, shards[0]], out)
    shutil.copytree(shards[0], tmp_path / "copy")
    assert "one shard comes twice" in refusal([*shards, tmp_path / "copy"], out)
    assert "is no output of volstrat batch" in refusal([*shards[:2], cohort], out)
    assert "is one of the outputs to merge" in refusal(shards, shards[1])
    run(cohort, tmp_path / "whole")
    assert "is a whole cohort" in refusal([*shards[:2], tmp_path / "whole"], out)
    run(cohort, tmp_path / "half", shard=Shard(number=1, of=2))
    assert "different partitions: 1/3, 2/3, 1/2" in refusal([*shards[:2], tmp_path / "half"], out)
    told = json.loads((shards[2] / "run.json").read_bytes())
    (shards[2] / "run.json").write_text(json.dumps({**told, "finished_at": None}))
    assert "has not come to its end" in refusal(shards, out)
    (tmp_path / "p.toml").write_text(load_protocol().text + "\n")
    other = load_protocol(tmp_path / "p.toml")
    run(cohort, shards[2], shard=Shard(number=3, of=3), protocol=other, fresh=True)
    assert "made with another protocol than" in refusal(shards, out)
    assert not out.exists()


def test_whole_cohorts_are_merged_and_a_subject_of_both_fails(cohort: Path, tmp_path: Path, run: Run) -> None:
    """One row that names both outputs, under the protocol that both were made with."""
    write_case(tmp_path / "in2" / "S00002", 3)
    write_case(tmp_path / "in2" / "S00100", 3)
    run(cohort, tmp_path / "a" / "out")
    run(tmp_path / "in2", tmp_path / "b" / "out")
    merge_cohorts([tmp_path / "a" / "out", tmp_path / "b" / "out"], tmp_path / "merged")
    failed = [row for row in rows(tmp_path / "merged") if row["status"] == "failed"]
    assert [row["subject"] for row in failed] == ["S00002"]
    assert "'a/out: S00002', 'b/out: S00002'" in failed[0]["error.message"]
    assert failed[0]["protocol.sha256"] == load_protocol().sha256
    assert len(rows(tmp_path / "merged")) == 9


def test_shards_by_different_lesion_tables_are_refused(cohort: Path, tmp_path: Path, run: Run) -> None:
    """Two readers' marks make no one cohort; shards by one reader's table do, and it is told whose."""
    for case in sorted(cohort.glob("*/*")):
        for reader in ("ann", "bo"):
            (case / f"lesions.{reader}.csv").write_text("lesion_id,resectability\nL1,resectable\n")
    shards = [tmp_path / f"shard{n}" for n in (1, 2)]
    for n, (out, reader) in enumerate(zip(shards, ("ann", "bo"), strict=True), start=1):
        run(cohort, out, shard=Shard(number=n, of=2), lesions=reader)
    assert "made with another lesion table than" in refusal(shards, tmp_path / "merged")
    run(cohort, shards[1], shard=Shard(number=2, of=2), lesions="ann")
    merge_cohorts(shards, tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / "run.json").read_bytes())["lesions"] == "ann"


def test_a_record_that_was_altered_is_refused(tmp_path: Path, shards: list[Path]) -> None:
    """Merging would hash it into a new trail, which would then vouch for it."""
    subject = next(name for name, status in statuses(shards[1]).items() if status == "assigned")
    path = shards[1] / subject / "case.json"
    path.write_bytes(path.read_bytes().replace(b'"assigned"', b'"review"'))
    assert "are not those that its run wrote" in refusal(shards, tmp_path / "merged")
    assert not (tmp_path / "merged" / "cohort.csv").exists()


def test_a_missing_record_is_told(tmp_path: Path, shards: list[Path]) -> None:
    """By subject."""
    subject = next(iter(statuses(shards[1])))
    (shards[1] / subject / "case.json").unlink()
    assert f"the record of '{subject}' is not there" in refusal(shards, tmp_path / "merged")


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "a/b", "1/2/3", "-1/3", "1.5/3"])
def test_what_is_no_shard(text: str) -> None:
    """Shards are k/n with 1 <= k <= n."""
    with pytest.raises(UsageError):
        parse_shard(text)


def test_what_a_merge_replaces_and_what_its_shards_replaced_is_entered_and_kept(
    cohort: Path, tmp_path: Path, run: Run
) -> None:
    """Old records went without an entry; `verify` missed them once a batch went on in the output."""
    shard, merged = Shard(number=1, of=1), tmp_path / "merged"
    run(cohort, tmp_path / "shard", shard=shard)
    merge_cohorts([tmp_path / "shard"], merged)
    (cohort / "site0000" / "S00001" / "lesions.csv").write_text("lesion_id,resectability\nL1,unresectable\n")
    run(cohort, tmp_path / "shard", shard=shard)
    merge_cohorts([tmp_path / "shard"], merged)
    merge_cohorts([tmp_path / "shard"], tmp_path / "anew")
    for out in (merged, tmp_path / "anew"):
        run(cohort, out)
        assert [one["subject"] for one in entries_of_changes(out / TRAIL)] == ["S00001"]
        assert verify_output(out).clean
    next((tmp_path / "shard" / HISTORY).iterdir()).unlink()
    assert "records that were replaced are gone or altered" in refusal(
        [tmp_path / "shard"], tmp_path / "other"
    )


def test_a_subject_of_two_cases_never_has_a_record_that_is_replaced(
    cohort: Path, tmp_path: Path, run: Run
) -> None:
    """The first case's record was kept as one that had stood: `verify` missed its entry."""
    write_case(cohort / "again" / "S00003", 70)
    for n in (1, 2):
        run(cohort, tmp_path / f"whole{n}")
    for _ in range(2):
        merge_cohorts([tmp_path / "whole1", tmp_path / "whole2"], tmp_path / "merged")
        run(cohort, tmp_path / "whole1")
    for out in (tmp_path / "whole1", tmp_path / "merged"):
        assert not list(entries_of_changes(out / TRAIL))
        assert verify_output(out, workers=1).clean
