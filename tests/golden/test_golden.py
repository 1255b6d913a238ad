"""Nothing that volstrat says of the golden cases changes unseen (`scripts/golden` shows and accepts)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.golden import digests
from tests.golden.cases import ROOT, SAMPLES, SETS, SHARED, absent, by_key, found, record_of, shared_record
from tests.golden.words import changes, differing, grouped

if TYPE_CHECKING:
    from pathlib import Path

ADVICE = "Where this is meant: `scripts/golden --show`, then `--accept`, and a line in CHANGELOG.md."


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the sets of this module share, as they share cohorts."""
    return tmp_path_factory.mktemp("golden")


_COHORTS = {"agreements", "tables"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in _COHORTS else [])
        for name in SETS
        if name != "shared"
    ],
)
def test_a_set_is_what_its_goldens_say(name: str, scratch: Path) -> None:
    """Every record, column and schema has its golden, every golden its record, and both are the same."""
    differing = digests.differences(digests.digests(found(name, scratch)), digests.read(name))
    assert differing == [], ADVICE


@pytest.mark.parametrize("case", SHARED)
def test_a_case_of_the_shared_data_is_what_its_golden_says(case: str, tmp_path: Path) -> None:
    """Real images; skipped in plain sight where they are not there."""
    if missing := absent(case):
        pytest.skip(f"shared data without {missing[0]}: set VOLSTRAT_TEST_DATA")
    now = digests.digests(by_key({case: shared_record(case, tmp_path)}))
    assert digests.differences(now, digests.only(digests.read("shared"), [case])) == [], ADVICE


def test_no_golden_is_left_over() -> None:
    """Sets, and cases of the shared data (which are not all made everywhere), are those that there are."""
    assert sorted(path.name for path in digests.DIGESTS.iterdir()) == sorted(SETS)
    assert {line for lines in digests.read("shared").values() for line in lines} == set(SHARED)


@pytest.mark.slow
def test_records_rest_on_no_clock_and_no_host(tmp_path: Path) -> None:
    """Another place, file times, date, zone, language, user, host, process and hash seed: the same record."""
    moved = tmp_path / "elsewhere" / "samples"
    shutil.copytree(SAMPLES, moved, copy_function=shutil.copyfile)
    for path in moved.rglob("*"):
        os.utime(path, (1e9, 1e9))
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.elsewhere", moved],
        cwd=ROOT,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "7",
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "HOME": str(tmp_path),
            "USER": "somebody",
            "HOSTNAME": "elsewhere",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)
    assert len(records) >= 15
    for subject, record in records.items():
        assert list(differing(record_of(SAMPLES / subject), record)) == [], subject


def test_a_missing_and_an_orphan_golden_are_told(tmp_path: Path) -> None:
    """One line more, one line less and one line other than stored: three sentences."""
    digests.write("set", {"stratum": {"a": '"x"', "b": "null", "c": "1"}, "gone": {"a": "1"}}, tmp_path)
    digests.write("set", {"stratum": {"a": '"x"', "b": "null", "c": "1"}}, tmp_path)
    stored = digests.read("set", tmp_path)
    assert stored == {"stratum": {"a": '"x"', "b": "null", "c": "1"}}
    now = digests.digests({"stratum": {"a": "y", "b": None, "d": [0] * 9}})
    assert digests.differences(now, stored) == [
        'stratum of a: was "x", is "y"',
        "stratum of c: a golden of nothing",
        "stratum of d: has no golden",
    ]


def test_a_digest_sees_an_order_of_keys_and_a_last_bit() -> None:
    """Records are the same to the byte or not the same."""
    assert digests.digest({"lower": 0.1, "upper": 0.2}) != digests.digest({"upper": 0.2, "lower": 0.1})
    assert digests.digest([0.1 + 0.2] * 9) != digests.digest([0.3] * 9)
    assert (digests.digest(True), digests.digest(1), digests.digest(1.0)) == ("true", "1", "1.0")


def test_differences_are_said_in_words() -> None:
    """A lesion is followed by its id, whatever is added before it; what is alike stands together."""
    old = {"S1": [{"lesion_id": "L2", "voxels": 5}], "S2": [{"lesion_id": "L2", "voxels": 7}], "S3": []}
    new = {
        "S1": [{"lesion_id": "L1", "voxels": 9}, {"lesion_id": "L2", "voxels": 6}],
        "S2": [{"lesion_id": "L2", "voxels": 8, "site": None}],
        "S3": [],
    }
    assert list(grouped(changes({"lesions": old}, {"lesions": new}), most=1)) == [
        "lesions[].voxels: 2 changes",
        "    S1: lesions[L2].voxels 5 -> 6",
        "    and 1 more (--all)",
        "lesions[]: 1 change",
        '    S1: lesions[L1] is new: {"lesion_id": "L1", "voxels": 9}',
        "lesions[].site: 1 change",
        "    S2: lesions[L2].site is new: null",
    ]
    assert list(differing({"b": [True]}, {"b": [1]})) == [(".b[0]", "true -> 1")]
    assert list(differing({"a": 1, "b": 2}, {"b": 2, "a": 1}, "x")) == [("x", "stands in another order")]
