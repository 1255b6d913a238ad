"""Records as tests read them: plain dicts, so that a test may reach into one without asking what is null."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from volstrat.case import assess
from volstrat.case.protocol_files import LoadedProtocol, load_protocol

if TYPE_CHECKING:
    from pathlib import Path

Record = dict[str, Any]


@cache
def protocol() -> LoadedProtocol:
    """Return the packaged protocol, loaded once."""
    return load_protocol()


def run_case(folder: Path, protocol: LoadedProtocol, *, lesions: str | None = None) -> Record:
    """Measure and stratify one case folder, as `volstrat.case.assess.run_case` does."""
    return cast("Record", assess.run_case(folder, protocol, lesions=lesions))
