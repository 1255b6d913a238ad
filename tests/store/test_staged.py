"""Files that get their names together or not at all; the lock on an output folder."""

from __future__ import annotations

import errno
import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest

from volstrat.errors import OutputError, UsageError
from volstrat.store.locking import output_lock
from volstrat.store.output import StagedFiles

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> set[str]:
    """Return what is in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def test_files_appear_together(tmp_path: Path) -> None:
    """Under temporary names first."""
    (tmp_path / "a").write_bytes(b"old")
    with StagedFiles(tmp_path) as files:
        files.open("a").write(b"new")
        files.open("b").write(b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
        assert not (tmp_path / "b").exists()
    assert names(tmp_path) == {"a", "b"}
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()], ids=["fault", "interrupt"])
def test_nothing_appears_where_the_block_fails(tmp_path: Path, error: BaseException) -> None:
    """The old file stands, and no half-written one stays."""
    (tmp_path / "a").write_bytes(b"old")

    def write() -> None:
        with StagedFiles(tmp_path) as files:
            files.open("a").write(b"new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert names(tmp_path) == {"a"}
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """ENOSPC while writing: the error names the folder and the files."""

    def write() -> None:
        with StagedFiles(tmp_path) as files:
            files.open("a").write(b"new")
            files.open("b")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"a and b cannot be written \(No space left"):
        write()
    assert names(tmp_path) == set()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    """Its temporary file would else stay for ever."""
    (tmp_path / ".a.0123abcd.part").write_bytes(b"half")
    with StagedFiles(tmp_path) as files:
        files.open("a")
    assert names(tmp_path) == {"a"}


def _hold(folder: Path, held: multiprocessing.synchronize.Event) -> None:
    with output_lock(folder):
        held.set()
        multiprocessing.Event().wait()


def test_a_second_holder_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    """The lock ends with its process, even by SIGKILL."""
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held))
    process.start()
    try:
        assert held.wait(30)
        with pytest.raises(UsageError, match=rf"another run is going on .*process {process.pid} on"):
            output_lock(tmp_path).__enter__()
    finally:
        process.kill()
        process.join()
    with output_lock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file stands in its place."""
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), output_lock(tmp_path / "out"):
        pass
