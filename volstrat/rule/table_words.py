"""What a lesion table says, as the rule reads it: arrays by lesion and by PET-only region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen
from volstrat.rule.markings import NO_WORD
from volstrat.terms.marks import Marking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.rule.markings import MarkedLesions
    from volstrat.terms.marks import FdgAvidity, LesionRow


AVIDITIES: tuple[FdgAvidity, ...] = ("not_avid", "avid", "not_assessed")
"""Avidity words by code."""
NOT_AVID, AVID, NOT_ASSESSED = range(3)
NO_LESION = -1


@frozen(eq=False)
class LesionWords:
    """What a table says of lesions."""

    marking: Int64s  # (lesions,): `Marking`, or `NO_WORD`
    avidity: Int64s  # (lesions,): `NOT_AVID`, `AVID`, or `NO_WORD`
    not_tumour: Bools  # (lesions,): lesions that leave the total


@frozen(eq=False)
class RegionWords:
    """What a table says of PET-only regions."""

    marking: Int64s  # (regions,): `Marking`; unknown until marked
    dismissed: Bools  # (regions,): those that the table calls physiological
    belongs_to: Int64s  # (regions,): the lesion whose marking a region takes, or `NO_LESION`

    @classmethod
    def nothing(cls, count: int) -> RegionWords:
        """Return what a table says that has no row for any of so many regions."""
        return cls(
            marking=np.full(count, Marking.UNKNOWN, dtype=np.int64),
            dismissed=np.zeros(count, dtype=bool),
            belongs_to=np.full(count, NO_LESION, dtype=np.int64),
        )


def lesion_words(rows: Mapping[int, LesionRow], count: int) -> LesionWords:
    """Return what rows, by the lesion's position, say of so many lesions."""
    marking = np.full(count, NO_WORD, dtype=np.int64)
    avidity = np.full(count, NO_WORD, dtype=np.int64)
    not_tumour = np.zeros(count, dtype=bool)
    for n, row in rows.items():
        marking[n] = NO_WORD if row.resectability is None else row.resectability
        avidity[n] = NO_WORD if row.fdg_avidity is None else AVIDITIES.index(row.fdg_avidity)
        not_tumour[n] = row.not_tumour
    return LesionWords(marking=marking, avidity=avidity, not_tumour=not_tumour)


def region_words(rows: Mapping[int, LesionRow], owners: Mapping[int, int], count: int) -> RegionWords:
    """Return what rows, by the region's rank, say of so many regions, and the lesions they belong to."""
    words = RegionWords.nothing(count)
    for rank, row in rows.items():
        words.marking[rank] = Marking.UNKNOWN if row.resectability is None else row.resectability
        words.dismissed[rank] = row.fdg_avidity == "not_avid"
    for rank, lesion in owners.items():
        words.belongs_to[rank] = lesion
    return words


def marked_regions(words: RegionWords, marked: MarkedLesions) -> Int64s:
    """Return each region's `Marking`: its own, or that of the lesion it belongs to.

    Of a lesion without one marking it is the worst of its voxels, of one that is no tumour it is unknown.
    """
    if not (words.belongs_to != NO_LESION).any():
        return words.marking
    worst = np.where(marked.codes == NO_WORD, np.argmax(marked.worst_voxels > 0, axis=1), marked.codes)
    of_lesion = np.where(marked.not_tumour, Marking.UNKNOWN, worst)
    given = np.append(of_lesion, Marking.UNKNOWN)[words.belongs_to]  # of none: the last
    return np.where(words.belongs_to == NO_LESION, words.marking, given)
