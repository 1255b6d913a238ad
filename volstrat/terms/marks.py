"""Markings and avidity words, and the rows in which readers give them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, cast

from volstrat.frozen import frozen

FdgAvidity = Literal["avid", "not_avid", "not_assessed"]
Resectability = Literal["resectable", "ablatable", "unresectable", "unknown", "partial", "not_tumour"]
"""The marking of a lesion in words; partial: there is none on nearly all of its voxels."""


class Marking(IntEnum):
    """What can be done with a voxel or lesion; the worst first, so that ``min`` is the worst."""

    UNRESECTABLE = 0
    UNKNOWN = 1
    ABLATABLE = 2
    RESECTABLE = 3

    @property
    def word(self) -> Resectability:
        """The word that tables and records use."""
        return cast("Resectability", self.name.lower())


PARTIAL: Final = "partial"
"""A lesion without one marking on nearly all of its voxels."""

NOT_TUMOUR: Final = "not_tumour"
"""What a table calls a lesion that is none: it leaves the total."""

Site = Literal["liver", "primary", "node", "bone", "lung", "peritoneum", "other", "not_liver"]
"""Where a lesion lies; not_liver: derived from the liver mask, where the table does not say."""

SITES: tuple[Site, ...] = ("liver", "primary", "node", "bone", "lung", "peritoneum", "other")
"""The words of a table."""


@frozen
class LesionRow:
    """One row of a lesion table."""

    lesion_id: str  # ``L1``, ``L2``, ... or a PET-only region ``P1``, ...
    # None where the cell is empty (the mask's marking stays) or says ``not_tumour``
    resectability: Marking | None = None
    # the lesion leaves the total; its uptake becomes a PET-only region, unless it is ``not_avid``
    not_tumour: bool = False
    # None where the cell is empty: measured avidity stays
    fdg_avidity: Literal["avid", "not_avid"] | None = None
    # name of the segment, ROI or label that the lesion is; tells it where there is no point
    segment: str = ""
    site: str = ""  # one of `SITES`; empty where the cell is
    # of a PET-only region: the lesion (its id in this table, or its segment) of which it is the uptake
    belongs_to: str = ""
    volume_ml: float | None = None  # as it was when the row was written; for the reader's eye alone
    # LPS mm, a voxel of the lesion or region: the row is about what lies there, whatever its id
    point_mm: tuple[float, float, float] | None = None
    reader: str = ""
    reason: str = ""
    recorded_at: str = ""
    where: str = ""  # file and line, for messages

    @property
    def word(self) -> str:
        """The word of the ``resectability`` column; "" where it is empty."""
        if self.not_tumour:
            return NOT_TUMOUR
        return "" if self.resectability is None else self.resectability.word

    @property
    def says_something(self) -> bool:
        """Whether the rule depends on the row."""
        return bool(self.word or self.fdg_avidity or self.belongs_to)
