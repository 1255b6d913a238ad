"""A mark as the page sends it, and the table's row that it becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from volstrat.errors import LesionTableError
from volstrat.review.mark_table import clean_text
from volstrat.terms.marks import NOT_TUMOUR, SITES, Marking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.terms.marks import LesionRow

    FdgWord = Literal["avid", "not_avid"]

_WORDS: dict[str, Marking | None] = {**{marking.word: marking for marking in Marking}, NOT_TUMOUR: None}
_AVIDITY: dict[str, FdgWord] = {"avid": "avid", "not_avid": "not_avid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark as the page sends it."""

    lesion_id: str
    # `ReviewSession.reading` that the page showed: another one may have other lesions by the same names.
    reading: int
    # resectability, fdg_avidity: words of a lesion table; both and ``reason`` empty: the row is removed
    resectability: str = ""
    fdg_avidity: str = ""
    reason: str = ""
    reader: str = ""
    # site, belongs_to: as the table's columns; None keeps what the row says
    site: str | None = None
    belongs_to: str | None = None
    seen: str = ""  # `token_of` the row that the page showed
    force: bool = False  # replace a row that the page had not shown


def row_of(
    mark: Mark, *, listed: Mapping[str, LesionRow], reader: str, at: str, table: str
) -> LesionRow | None:
    """Make the row of a mark; None where it is to be removed.

    Parameters
    ----------
    listed : mapping of lesion or region id to LesionRow
        What `lesion_list` says: point, segment and volume, and what the table holds now.
    at : str
        When (UTC).
    table : str
        Name of the table's file, for messages.

    Raises
    ------
    LesionTableError
        If it says what a table cannot hold.
    """
    for word, known_words, what in (
        (mark.resectability, _WORDS, "marking"),
        (mark.fdg_avidity, _AVIDITY, "avidity"),
        (mark.site, SITES, "site"),
    ):
        if word and word not in known_words:
            msg = f"{word!r} is no {what}."
            raise LesionTableError(msg)
    reason = clean_text(mark.reason, what="reason")
    known = listed.get(mark.lesion_id)
    site = (known.site if known else "") if mark.site is None else mark.site
    owner = (known.belongs_to if known else "") if mark.belongs_to is None else mark.belongs_to
    if not (mark.resectability or mark.fdg_avidity or reason or site or owner):
        return None
    if known is None:
        msg = f"There is no lesion {mark.lesion_id!r} in this case."
        raise LesionTableError(msg)
    return replace(
        known,
        resectability=_WORDS.get(mark.resectability),
        not_tumour=mark.resectability == NOT_TUMOUR,
        fdg_avidity=_AVIDITY.get(mark.fdg_avidity),
        site=site,
        belongs_to=owner,
        reader=reader,
        reason=reason,
        recorded_at=at,
        where=f"{table}, {mark.lesion_id}",
    )
