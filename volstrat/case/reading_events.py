"""What was done to a reading as a whole: rows without a lesion in ``lesions.history.csv``.

The page writes them: a reading is called complete or opened again, a note on the case, a view kept for the
report. They decide nothing.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from volstrat.case.lesion_table import HISTORY

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was done to a reading as a whole.

    Parameters
    ----------
    kind : {"complete", "reopened", "note", "key_image"}
    text : str
        The marks' hash, the reason, the note, or the view as JSON.
    by, at : str
        Who, and when (UTC).
    """

    kind: str
    text: str
    by: str
    at: str


def read_events(table: Path) -> tuple[Event, ...]:
    """Return what happened to the reading of a lesion table, the oldest first; none where none is kept."""
    try:
        text = table.with_name(HISTORY).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(
        Event(kind=row["resectability"], text=row["reason"], by=row["reader"], at=row["recorded_at"])
        for row in csv.DictReader(io.StringIO(text, newline=""))
        if row.get("table") == table.name and not row.get("lesion_id")
    )
