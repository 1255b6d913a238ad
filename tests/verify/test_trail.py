"""Tampering with an output's trail: every way of it is found, and said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from volstrat.cohort.run_file import record_event
from volstrat.errors import InputFileError, UsageError
from volstrat.store.audit import entry_sha256
from volstrat.verify import check_output_trail, verify_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.verify.conftest import Cohort

    Lines = list[bytes]

PROGRAM = Path(sys.executable).parent / "volstrat"


@pytest.fixture
def trail(cohort: Cohort) -> Cohort:
    """Return a cohort whose trail has four entries, whole."""
    for n in range(2):
        record_event(cohort.out, "reviewed", {"subject": f"S{n}", "reason": "second look"})
    state = check_output_trail(cohort.out)
    assert (state.head.length, state.faults) == (4, ())
    return cohort


def entry_of(line: bytes) -> dict[str, Any]:
    """Parse a line."""
    found: dict[str, Any] = json.loads(line)
    return found


def line_of(entry: dict[str, Any]) -> bytes:
    """Write a line as the program does."""
    return (json.dumps(entry, ensure_ascii=True) + "\n").encode()


def altered(lines: Lines, at: int, **changes: Any) -> Lines:  # noqa: ANN401 - any JSON value
    """Return the lines with one entry changed and its hash left as it was."""
    return [*lines[:at], line_of({**entry_of(lines[at]), **changes}), *lines[at + 1 :]]


def rehashed(lines: Lines, at: int, **changes: Any) -> Lines:  # noqa: ANN401 - any JSON value
    """Return the lines with one entry changed, and its own hash made to fit."""
    entry = {**entry_of(lines[at]), **changes}
    return [*lines[:at], line_of({**entry, "sha256": entry_sha256(entry)}), *lines[at + 1 :]]


def rechained(lines: Lines, at: int, **changes: Any) -> Lines:  # noqa: ANN401 - any JSON value
    """Return the lines with one entry changed and every hash from there on made to fit."""
    done, previous = list(lines[:at]), entry_of(lines[at])["previous_sha256"]
    for n, line in enumerate(lines[at:]):
        entry = {**entry_of(line), **(changes if n == 0 else {}), "previous_sha256": previous}
        previous = entry_sha256(entry)
        done.append(line_of({**entry, "sha256": previous}))
    return done


def followed(lines: Lines) -> Lines:
    """Return the lines and a forged entry, numbered and chained as it should be."""
    last = entry_of(lines[-1])
    entry = {**last, "entry": last["entry"] + 1, "event": "approved", "previous_sha256": last["sha256"]}
    return [*lines, line_of({**entry, "sha256": entry_sha256(entry)})]


def with_key_twice(lines: Lines) -> Lines:
    """Return the lines with a second ``event`` in one: a reader that takes the first is misled."""
    twice = lines[2].replace(b'"event": "reviewed"', b'"event": "approved", "event": "reviewed"')
    assert twice != lines[2]
    return [*lines[:2], twice, *lines[3:]]


OTHER = {"event": "approved"}


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        pytest.param(lambda x: altered(x, 2, **OTHER), "Entry 3 (approved) has been altered", id="altered"),
        pytest.param(
            lambda x: altered(x, 2, recorded_at="2020-01-01T00:00:00.000Z"), "Entry 3", id="back-dated"
        ),
        pytest.param(
            lambda x: altered(x, 0, detail={**entry_of(x[0])["detail"], "user": "somebody"}),
            "Entry 1", id="another-user",
        ),
        pytest.param(lambda x: rehashed(x, 1, **OTHER), "Entry 3 does not follow", id="rehashed"),
        pytest.param(lambda x: rechained(x, 1, **OTHER), "Entry 4 is not the one", id="rechained"),
        pytest.param(lambda x: rehashed(x, 3, **OTHER), "Entry 4 is not the one", id="last-rehashed"),
        pytest.param(lambda x: x[1:], "Line 1 holds entry 2", id="first-removed"),
        pytest.param(lambda x: [*x[:1], *x[2:]], "Line 2 holds entry 3", id="middle-removed"),
        pytest.param(lambda x: x[:-1], "its end was cut", id="last-removed"),
        pytest.param(lambda x: [], "its end was cut", id="emptied"),
        pytest.param(lambda x: [x[0], x[2], x[1], x[3]], "Line 2 holds entry 3", id="reordered"),
        pytest.param(lambda x: [*x[:2], x[1], *x[2:]], "Line 3 holds entry 2", id="repeated"),
        pytest.param(lambda x: [*x[:3], x[3][:-20]], "Line 4 is no entry", id="cut-in-a-line"),
        pytest.param(lambda x: [*x[:2], b"\n", *x[2:]], "Line 3 is no entry", id="blank-line"),
        pytest.param(followed, "Entry 5 came after the last one", id="forged-entry-added"),
        pytest.param(with_key_twice, "Line 3 is no entry", id="key-twice"),
        pytest.param(
            lambda x: [*x[:2], x[2].replace(b'": ', b'":  ', 1), *x[3:]], "Line 3 is no entry", id="respaced"
        ),
    ],
)  # fmt: skip
def test_tampering_is_found_and_the_entry_named(
    trail: Cohort, tamper: Callable[[Lines], Lines], told: str
) -> None:
    """Altered, removed, reordered, added: each is a fault, and verifying says so too."""
    (trail.out / "audit.jsonl").write_bytes(b"".join(tamper(trail.entries())))
    faults = check_output_trail(trail.out).faults
    assert any(told in fault for fault in faults), faults
    before = trail.entries()
    result = verify_output(trail.out, inputs=trail.inputs, only_hashes=True)
    assert not result.clean
    assert result.trail is not None
    assert result.trail.faults
    assert not result.noted
    assert trail.entries() == before  # nothing is chained to a broken trail


def test_a_trail_that_was_removed_is_missed(trail: Cohort) -> None:
    """`run.json` says that there was one."""
    (trail.out / "audit.jsonl").unlink()
    assert check_output_trail(trail.out).faults == ("The trail (audit.jsonl) was removed.",)


def test_a_run_file_that_was_removed_is_missed(trail: Cohort) -> None:
    """Without it nobody can say whether the trail's end was cut."""
    (trail.out / "run.json").unlink()
    (fault,) = check_output_trail(trail.out).faults
    assert "run.json is missing" in fault


@pytest.mark.parametrize(
    "key", ["user", "host", "started_at", "finished_at", "files", "input_root", "protocol"]
)
def test_a_run_file_that_says_other_than_the_trail_is_told(trail: Cohort, key: str) -> None:
    """The trail guards what `run.json` says of the run."""
    run = json.loads((trail.out / "run.json").read_bytes())
    run[key] = "something else"
    (trail.out / "run.json").write_text(json.dumps(run))
    assert check_output_trail(trail.out).faults == (f"run.json says other than the trail: {key}.",)


@pytest.mark.parametrize("key", ["files", "records_sha256", "user"])
def test_a_key_taken_out_of_the_run_file_is_told(trail: Cohort, key: str) -> None:
    """Without its hashes of the tables, a table could be altered and nothing would say so."""
    run = json.loads((trail.out / "run.json").read_bytes())
    del run[key]
    (trail.out / "run.json").write_text(json.dumps(run))
    assert check_output_trail(trail.out).faults == (f"run.json says other than the trail: {key}.",)


def test_a_key_put_into_the_run_file_is_told(trail: Cohort) -> None:
    """Nothing vouches for it."""
    run = json.loads((trail.out / "run.json").read_bytes())
    (trail.out / "run.json").write_text(json.dumps({**run, "approved_by": "somebody"}))
    assert check_output_trail(trail.out).faults == ("run.json says other than the trail: approved_by.",)


@pytest.mark.parametrize("left", [0, 1])
def test_a_cut_that_takes_the_runs_own_entries_is_told(trail: Cohort, left: int) -> None:
    """Though `run.json` was made to keep the shorter trail's head: it still tells of an end that is gone."""
    lines = trail.entries()[:left]
    (trail.out / "audit.jsonl").write_bytes(b"".join(lines))
    run = json.loads((trail.out / "run.json").read_bytes())
    last = entry_of(lines[-1])["sha256"] if lines else "0" * 64
    run["audit"] = {"length": left, "last_sha256": last}
    (trail.out / "run.json").write_text(json.dumps(run))
    assert "run.json says other than the trail: finished_at." in check_output_trail(trail.out).faults


@pytest.mark.parametrize("changes", [{"detail": [1]}, {"detail": None}, {"event": 3}, {"recorded_at": 1}])
def test_an_entry_of_other_types_is_no_entry(trail: Cohort, changes: dict[str, Any]) -> None:
    """However well its hashes fit; nothing that reads the trail stumbles over it."""
    lines = rechained(trail.entries(), 2, **changes)
    (trail.out / "audit.jsonl").write_bytes(b"".join(lines))
    run = json.loads((trail.out / "run.json").read_bytes())
    run["audit"]["last_sha256"] = entry_of(lines[-1])["sha256"]
    (trail.out / "run.json").write_text(json.dumps(run))
    assert "Line 3 is no entry." in check_output_trail(trail.out).faults
    assert not verify_output(trail.out, inputs=trail.inputs, only_hashes=True).clean


def test_a_run_file_that_cannot_be_parsed_is_told(trail: Cohort) -> None:
    """As one that is not there, however deep it is nested."""
    (trail.out / "run.json").write_text("[" * 100_000)
    (fault,) = check_output_trail(trail.out).faults
    assert "run.json cannot be read" in fault


def test_a_run_file_that_cannot_be_parsed_is_not_said_to_be_missing(trail: Cohort) -> None:
    """Whoever looks for it finds it; where the cases lie must be told all the same."""
    (trail.out / "run.json").write_text("{")
    with pytest.raises(UsageError, match=r"run\.json cannot be read"):
        verify_output(trail.out)


def test_a_run_file_without_the_head_is_told(trail: Cohort) -> None:
    """Length and last hash are what shows a cut tail."""
    run = json.loads((trail.out / "run.json").read_bytes())
    del run["audit"]
    (trail.out / "run.json").write_text(json.dumps(run))
    (fault,) = check_output_trail(trail.out).faults
    assert "does not keep the trail's length" in fault


def test_no_trail_where_none_was_is_an_error(tmp_path: Path) -> None:
    """The command cannot check what is not there."""
    with pytest.raises(InputFileError, match="no audit trail"):
        check_output_trail(tmp_path)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_the_commands_show_and_check_a_trail(trail: Cohort) -> None:
    """Exit 0 and the last hash where it is whole; 1 and the entry where it is not."""
    shown = run("audit", "show", trail.out)
    assert shown.returncode == 0
    assert [line.split()[2] for line in shown.stdout.splitlines()] == [
        "batch_started", "batch_finished", "reviewed", "reviewed",
    ]  # fmt: skip
    as_json = run("audit", "show", trail.out, "--json")
    assert [json.loads(line)["entry"] for line in as_json.stdout.splitlines()] == [1, 2, 3, 4]
    checked = run("audit", "check", trail.out)
    assert checked.returncode == 0
    assert entry_of(trail.entries()[-1])["sha256"] in checked.stdout
    (trail.out / "audit.jsonl").write_bytes(b"".join(altered(trail.entries(), 1, **OTHER)))
    checked = run("audit", "check", trail.out)
    assert (checked.returncode, checked.stderr) == (1, "")
    assert checked.stdout.startswith("Entry 2 (approved) has been altered.")
