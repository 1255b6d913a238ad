"""Comparisons of readings, run as a library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from tests.comparison.readers import (
    L2,
    agreement,
)
from volstrat.comparison import agreement_schema, compare_readings

if TYPE_CHECKING:
    from tests.comparison.readers import Box


LARGER: Box = ((20, 31), *L2[1:])  # 330 voxels


def compared(tmp_path: Path, *paths: Path, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Compare, hold the result to its schema, and return it."""
    compare_readings(paths, tmp_path / "out", **options)
    found = agreement(tmp_path / "out")
    jsonschema.Draft202012Validator(agreement_schema()).validate(found)
    return found


def only_subject(found: dict[str, Any]) -> dict[str, Any]:
    """Return the one subject."""
    (subject,) = found["subjects"]
    one: dict[str, Any] = subject
    return one
