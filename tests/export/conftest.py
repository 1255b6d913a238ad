"""One export of a sample case for all tests."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from volstrat.case.protocol_files import load_protocol
from volstrat.export.export_run import Exported, export_case

ROOT = Path(__file__).parents[2]
CASE = ROOT / "sample_data" / "S15_dicom"
AT = datetime(2026, 3, 1, 14, 30)  # noqa: DTZ001 - DICOM content times are local


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return the sample case as everything it can go out as."""
    return export_case(CASE, tmp_path_factory.mktemp("out"), load_protocol(), slicer=True, at=AT)
