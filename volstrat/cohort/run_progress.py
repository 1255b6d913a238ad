"""How far a run has come, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Counts that a run keeps up to date; handed to the caller now and then.

    Parameters
    ----------
    found : int
        Cases met so far.
    all_found : bool
        Discovery is over, so that ``found`` is all there is.
    done : int
        Subjects done or skipped.
    skipped : int
        Of these, those whose record of an earlier run stands.
    counts : dict
        Subjects done, by status.
    writing : bool
        All subjects are done; the tables are being written.
    """

    found: int = 0
    all_found: bool = False
    done: int = 0
    skipped: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    writing: bool = False
