"""Markings and avidity words, and the rows in which readers give them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, cast

FdgAvidity = Literal["avid", "not_avid", "not_assessed"]
Resectability = Literal["resectable", "ablatable", "unresectable", "unknown", "partial"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRow:
    """One row of a lesion table.

    Parameters
    ----------
    lesion_id : str
        ``L1``, ``L2``, ... or a PET-only region ``P1``, ...
    resectability : Marking or None
        None where the cell is empty: the mask's marking stays.
    fdg_avidity : {"avid", "not_avid"} or None
        None where the cell is empty: measured avidity stays.
    point_mm : tuple of float or None
        LPS mm; must lie in the lesion or region it names.
    where : str
        File and line, for messages.
    """

    lesion_id: str
    resectability: Marking | None = None
    fdg_avidity: Literal["avid", "not_avid"] | None = None
    point_mm: tuple[float, float, float] | None = None
    reader: str = ""
    reason: str = ""
    recorded_at: str = ""
    where: str = ""
