"""Third parties' files, beside the checkout or where VOLSTRAT_TEST_DATA says; skipped in sight without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(
    os.environ.get("VOLSTRAT_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
).resolve()


def third_party(name: str) -> Path:
    """Return a file or folder of theirs, or skip where it is not at hand."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"third-party data without {name}: set VOLSTRAT_TEST_DATA")
    return path
