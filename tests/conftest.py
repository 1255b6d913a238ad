"""Which tests `scripts/test --fast` leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROOT = Path(__file__).resolve().parent
_SLOW_FOLDERS = {"cohort", "compare", "dicom", "review", "verify"}
_SLOW_FIXTURES = {"browser", "context", "opened"}


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark the tests of browser, DICOM folders and cohorts as slow, by their folder or fixture."""
    for item in items:
        inside = item.path.relative_to(_ROOT).parts if item.path.is_relative_to(_ROOT) else ()
        fixtures = getattr(item, "fixturenames", ())
        if _SLOW_FOLDERS.intersection(inside) or _SLOW_FIXTURES.intersection(fixtures):
            item.add_marker(pytest.mark.slow)
