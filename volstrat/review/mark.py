"""A mark as the page sends it, and the table's row that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from volstrat.errors import LesionTableError
from volstrat.review.mark_table import clean_text
from volstrat.terms.marks import LesionRow, Marking

if TYPE_CHECKING:
    from collections.abc import Mapping

    FdgWord = Literal["avid", "not_avid"]

_WORDS: dict[str, Marking] = {marking.word: marking for marking in Marking}
_AVIDITY: dict[str, FdgWord] = {"avid": "avid", "not_avid": "not_avid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark as the page sends it.

    Parameters
    ----------
    reading : int
        `ReviewSession.reading` that the page showed: another one may have other lesions by the same names.
    resectability, fdg_avidity : str
        Words of a lesion table; both and ``reason`` empty: the row is removed.
    seen : str
        `token_of` the row that the page showed.
    force : bool
        Replace a row that the page had not shown.
    """

    lesion_id: str
    reading: int
    resectability: str = ""
    fdg_avidity: str = ""
    reason: str = ""
    reader: str = ""
    seen: str = ""
    force: bool = False


def row_of(
    mark: Mark, *, points: Mapping[str, tuple[float, float, float]], reader: str, at: str, table: str
) -> LesionRow | None:
    """Make the row of a mark; None where it is to be removed.

    Parameters
    ----------
    points : mapping of lesion or region id to a point in it, LPS mm
    at : str
        When (UTC).
    table : str
        Name of the table's file, for messages.

    Raises
    ------
    LesionTableError
        If it says what a table cannot hold.
    """
    if mark.resectability and mark.resectability not in _WORDS:
        msg = f"{mark.resectability!r} is no marking."
        raise LesionTableError(msg)
    if mark.fdg_avidity and mark.fdg_avidity not in _AVIDITY:
        msg = f"{mark.fdg_avidity!r} is no avidity."
        raise LesionTableError(msg)
    reason = clean_text(mark.reason, what="reason")
    if not (mark.resectability or mark.fdg_avidity or reason):
        return None
    if mark.lesion_id not in points:
        msg = f"There is no lesion {mark.lesion_id!r} in this case."
        raise LesionTableError(msg)
    return LesionRow(
        lesion_id=mark.lesion_id,
        resectability=_WORDS.get(mark.resectability),
        fdg_avidity=_AVIDITY.get(mark.fdg_avidity),
        point_mm=points[mark.lesion_id],
        reader=reader,
        reason=reason,
        recorded_at=at,
        where=f"{table}, {mark.lesion_id}",
    )
