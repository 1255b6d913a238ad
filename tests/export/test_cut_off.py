"""Files that are cut off, of others, or no files, where a report or an earlier export is looked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.export.conftest import CASE
from volstrat.case.protocol_files import load_protocol
from volstrat.errors import ExportError, FormatError, InputFileError
from volstrat.export.export_run import export_case
from volstrat.export.structured_report import read_report

if TYPE_CHECKING:
    from pathlib import Path

    from volstrat.export.export_run import Exported


def test_a_report_that_is_cut_off_is_no_report(exported: Exported, tmp_path: Path) -> None:
    """Wherever it ends, it is refused, but where nothing that it says of the case is missing."""
    (whole,) = [path for path in exported.files if path.name.startswith("sr")]
    data, said = whole.read_bytes(), read_report(whole)
    cut = tmp_path / "cut.dcm"
    for size in range(0, len(data), len(data) // 60):
        cut.write_bytes(data[:size])
        try:
            found = read_report(cut)
        except (FormatError, InputFileError):
            continue
        assert found == said


def test_what_was_drawn_in_slicer_is_not_written_over(exported: Exported, tmp_path: Path) -> None:
    """Slicer saves to the file that it opened; the export's own, from before, is replaced."""
    (own,) = [path for path in exported.files if path.name.endswith(".seg.nrrd")]
    data = own.read_bytes()
    assert b"\nSegmentation_MasterRepresentation" in data
    saved = tmp_path / own.name
    saved.write_bytes(data)
    export_case(CASE, tmp_path, load_protocol(), kinds=["seg"], slicer=True)
    changed = data.replace(b"\nSegmentation_M", b"\nSegmentation_ConversionParameters:=|\nSegmentation_M", 1)
    saved.write_bytes(changed)
    with pytest.raises(ExportError, match="as 3D Slicer saved it"):
        export_case(CASE, tmp_path, load_protocol(), kinds=["seg"], slicer=True)
    assert saved.read_bytes() == changed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_waited_for_by_nobody(tmp_path: Path) -> None:
    """Neither as a report, nor in the folder that an export goes into."""
    os.mkfifo(tmp_path / "pipe.dcm")
    with pytest.raises(InputFileError, match="not a regular file"):
        read_report(tmp_path / "pipe.dcm")
    with pytest.raises(ExportError, match=r"holds pipe\.dcm"):
        export_case(CASE, tmp_path, load_protocol())
