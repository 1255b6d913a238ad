"""A case of two patients' files does not go out."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pydicom
import pytest

from tests.export.conftest import AT, CASE
from volstrat.case.protocol_files import load_protocol
from volstrat.errors import ExportError
from volstrat.export.export_run import export_case

if TYPE_CHECKING:
    from pathlib import Path


def test_a_case_of_two_patients_goes_into_nobody_s_study(tmp_path: Path) -> None:
    """The PET is another patient's: its uptake would be filed under the patient of the CT."""
    case = shutil.copytree(CASE, tmp_path / "case")
    for path in (case / "DICOM" / "SE0002").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "OTHER"
        dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(ExportError, match="different patients"):
        export_case(case, tmp_path / "out", load_protocol(), at=AT)
    assert not (tmp_path / "out").exists()
