"""A run that must be refused, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from volstrat.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from volstrat.cohort import CohortResult

    Run = Callable[..., CohortResult]


def refused(run: Run, *places: Path, **options: Any) -> str:  # noqa: ANN401
    """Return the sentence that a run is refused with."""
    with pytest.raises(UsageError) as caught:
        run(*places, **options)
    return caught.value.message
