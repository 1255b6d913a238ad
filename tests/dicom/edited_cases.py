"""A sound case of DICOM, and how its files are changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from tests.records import Record


def edit(path: Path, change: Callable[[Dataset], object]) -> Path:
    """Change a DICOM file."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)
    return path


def set_element(dataset: Dataset, keyword: str, value: object) -> None:
    """Set an element, or take it away."""
    if value is None:
        delattr(dataset, keyword)
    else:
        setattr(dataset, keyword, value)


def slices(folder: Path) -> list[Path]:
    """Return a series' files by their position in it."""
    return sorted(
        folder.iterdir(), key=lambda p: int(pydicom.dcmread(p, stop_before_pixels=True).InstanceNumber)
    )


def assert_fails(record: Record, *words: str) -> None:
    """Hold a failed record to one sentence that holds the words, and to saying nothing else."""
    assert record["status"] == "failed", record["stratum"]
    assert record["stratum"] is None
    assert (record["predicates"], record["volumes"], record["lesions"]) == (None, None, [])
    error = record["error"]
    assert error is not None
    for word in words:
        assert word in f"{error['message']} {error['hint']}"
    assert error["code"] != "internal"
    assert "\n" not in error["message"]
    assert "Secret" not in str(record)
    assert "SECRET" not in str(record)


def finding(record: Record, code: str) -> list[str]:
    """Return the messages of the findings with a code."""
    return [f["message"] for f in record["findings"] if f["code"] == code]
