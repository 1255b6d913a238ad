"""Little memory, few processes, few open files: one sentence that says which, and no false result."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from volstrat.case.protocol_files import load_protocol
from volstrat.case.record import failure_record

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "S02_stratum_2"
UNPRIVILEGED = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
MAY_READ = ["--inh-caps=+dac_override,+dac_read_search", "--ambient-caps=+dac_override,+dac_read_search"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits are Linux's here")


def limited(
    limit: str, *arguments: str | Path, as_user: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the program under a limit of the shell."""
    command = [
        "bash",
        "-c",
        f'ulimit {limit}; exec "$@"',
        "bash",
        sys.executable,
        "-m",
        "volstrat",
        *arguments,
    ]
    done = subprocess.run([*as_user, *command], capture_output=True, text=True, timeout=120, check=False)
    for stream in (done.stdout, done.stderr):
        assert "Traceback" not in stream
        assert "itself failed" not in stream
    return done


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Return a folder of two cases."""
    for name in ("S1", "S2"):
        shutil.copytree(SAMPLE, tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.mark.parametrize("kilobytes", [100_000, 240_000, 327_000])
def test_a_case_without_enough_memory_says_so(kilobytes: int) -> None:
    """At 240 MB a library would wait for memory for ever: the limit is looked at before any is loaded."""
    done = limited(f"-v {kilobytes}", "case", SAMPLE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("MB of memory (ulimit -v); at least 320 MB are needed. Raise the limit.\n")


def test_the_least_memory_is_enough_for_a_small_case() -> None:
    """320 MB."""
    assert limited(f"-v {320 << 10}", "case", SAMPLE).returncode == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libscipy_openblas-6cdc3b4a.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_want_of_memory_is_no_fault_of_the_program(error: Exception) -> None:
    """Whatever it is that finds none, a library or an array, the record says what is wanting."""
    record = failure_record(subject="S1", error=error, protocol=load_protocol())
    assert record["error"] is not None
    assert record["error"]["code"] == "memory_limit"
    assert record["error"]["message"] == "The case does not fit into the memory that there is."


def test_a_batch_without_open_files_says_so(cohort: Path, tmp_path: Path) -> None:
    """No subject is said to have failed: no process could be started."""
    done = limited("-n 16", "batch", cohort, "-o", tmp_path / "out", "--workers", "2")
    assert done.returncode == 1
    assert "Too many open files" in done.stderr
    assert "ulimit -n" in done.stderr
    assert not list((tmp_path / "out").glob("*/case.json"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that everybody may read and write: pytest's own are for its user alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.mark.parametrize("processes", [1, 3])
def test_a_batch_without_processes_says_so(open_folder: Path, processes: int) -> None:
    """The limit counts threads too; it does not bind root, so root becomes somebody else."""
    user: tuple[str, ...] = ()
    shutil.copytree(SAMPLE, open_folder / "in" / "S1")
    if os.geteuid() == 0:
        user = (*UNPRIVILEGED, *MAY_READ)
        tried = [*user, sys.executable, "-c", ""] if shutil.which("setpriv") else ["false"]
        if subprocess.run(tried, capture_output=True, check=False).returncode:
            pytest.skip("root cannot become somebody else here")
    out = open_folder / "out"
    done = limited(f"-u {processes}", "batch", open_folder / "in", "-o", out, "--workers", "2", as_user=user)
    assert done.returncode == 1
    assert "ulimit -u" in done.stderr
    assert not list(out.glob("*/case.json"))
