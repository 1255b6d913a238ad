"""A sound case of DICOM, for tests that spoil copies of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.dicom.dicom_case import write_dicom_case


@pytest.fixture(scope="session")
def sound_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a case that is in order."""
    return write_dicom_case(tmp_path_factory.mktemp("dicom") / "S1", tumour="seg", avid="rtstruct")


@pytest.fixture(scope="session")
def seg_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a case of stratum 2: what is avid, a segmentation, can go, and 32 % of the tumour can."""
    return write_dicom_case(tmp_path_factory.mktemp("dicom") / "S1", tumour="seg", avid="seg")


@pytest.fixture
def case(sound_case: Path, tmp_path: Path) -> Path:
    """Return a copy of the sound case."""
    return Path(shutil.copytree(sound_case, tmp_path / "S1"))
