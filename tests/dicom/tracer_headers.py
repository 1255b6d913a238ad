"""What headers of a PET say of its tracer, written into a case."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset

from tests.records import Record
from volstrat.case.protocol_files import LoadedProtocol, parse_protocol

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def protocol() -> LoadedProtocol:
    """Return the packaged protocol without moving the PET, which has its say on lesions of a few voxels."""
    return parse_protocol(b"[review]\npet_shift_mm = []\n", name="unmoved.toml")


def change_all(folder: Path, change: Callable[[Dataset], object]) -> None:
    """Change every DICOM file of a folder."""
    for path in sorted(folder.iterdir()):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path, enforce_file_format=True)


def empty(dataset: Dataset, *, keyword: str) -> None:
    """Leave an attribute there, without a value."""
    setattr(dataset, keyword, "")


def of(record: Record, code: str) -> list[tuple[str, str]]:
    """Return severity and message of the findings with a code."""
    return [(f["severity"], f["message"]) for f in record["findings"] if f["code"] == code]


def pet_input(record: Record) -> dict[str, object]:
    """Return what the record says of the PET."""
    return dict(next(one for one in record["inputs"] if one["role"] == "pet"))
