"""What a lesion table says, as the rule reads it: arrays by lesion and by PET-only region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.rule.markings import NO_WORD
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from volstrat.terms.marks import FdgAvidity, LesionRow

    Int64s = NDArray[np.int64]
    Bools = NDArray[np.bool_]

AVIDITIES: tuple[FdgAvidity, ...] = ("not_avid", "avid", "not_assessed")
"""Avidity words by code."""
NOT_AVID, AVID, NOT_ASSESSED = range(3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableWords:
    """A lesion table's words.

    Parameters
    ----------
    marking : array of int64, (lesions,)
        `Marking`, or `NO_WORD`.
    avidity : array of int64, (lesions,)
        `NOT_AVID`, `AVID`, or `NO_WORD`.
    region_marking : array of int64, (PET-only regions,)
        `Marking`; unknown until marked.
    dismissed : array of bool, (PET-only regions,)
        Those that the table calls physiological.
    """

    marking: Int64s
    avidity: Int64s
    region_marking: Int64s
    dismissed: Bools


def words_of(rows: Mapping[str, LesionRow], lesions: Sequence[str], regions: int) -> TableWords:
    """Return what rows say of lesions, by their ids, and of so many PET-only regions."""
    marking = np.full(len(lesions), NO_WORD, dtype=np.int64)
    avidity = np.full(len(lesions), NO_WORD, dtype=np.int64)
    region_marking = np.full(regions, Marking.UNKNOWN, dtype=np.int64)
    dismissed = np.zeros(regions, dtype=bool)
    places = {lesion_id: n for n, lesion_id in enumerate(lesions)}
    for lesion_id, row in rows.items():
        n = places.get(lesion_id)
        if n is not None:
            marking[n] = NO_WORD if row.resectability is None else row.resectability
            avidity[n] = NO_WORD if row.fdg_avidity is None else AVIDITIES.index(row.fdg_avidity)
        elif 0 <= (rank := int(lesion_id[1:]) - 1) < regions:
            region_marking[rank] = Marking.UNKNOWN if row.resectability is None else row.resectability
            dismissed[rank] = row.fdg_avidity == "not_avid"
    return TableWords(marking=marking, avidity=avidity, region_marking=region_marking, dismissed=dismissed)
