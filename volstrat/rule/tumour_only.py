"""A case without the lesions that its table calls no tumour: what two readings are compared by."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from volstrat.rule.markings import mark_pieces, pieces_without
from volstrat.rule.table_words import NO_LESION

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Int64s
    from volstrat.rule.attribution import Attribution
    from volstrat.rule.measure import Measurements


def tumour_only(measured: Measurements) -> Measurements:
    """Return the case as if the lesions that are no tumour had not been drawn.

    Their uptake stays what the table makes of it: PET-only regions. Lesions keep their ids.
    """
    left_out = measured.words.not_tumour
    if not left_out.any():
        return measured
    kept = np.flatnonzero(~left_out)
    number = np.full(left_out.size, -1, dtype=np.int64)
    number[kept] = np.arange(kept.size)
    lesions, words = measured.lesions, measured.words
    runs = ~left_out[lesions.lesion]
    pieces = pieces_without(measured.pieces, left_out)
    pieces = replace(
        pieces,
        lesion=number[pieces.lesion],
        pair_lesion=number[pieces.pair_lesion],
        drawn_voxels=pieces.drawn_voxels[kept],
        drawn=pieces.drawn[kept],
    )
    words = replace(
        words, marking=words.marking[kept], avidity=words.avidity[kept], not_tumour=words.not_tumour[kept]
    )
    regions = measured.region_words
    owned = regions.belongs_to != NO_LESION
    belongs_to = np.where(owned, number[regions.belongs_to], NO_LESION)
    attribution = None if measured.attribution is None else _renumbered(measured.attribution, number)
    measures = measured.measures
    gone = {lesions.ids[n] for n in np.flatnonzero(left_out).tolist()}
    return replace(
        measured,
        lesions=replace(
            lesions,
            ids=tuple(lesions.ids[n] for n in kept.tolist()),
            starts=lesions.starts[runs],
            stops=lesions.stops[runs],
            lesion=number[lesions.lesion[runs]],
            names=tuple(lesions.names[n] for n in kept.tolist()),
            by_size=tuple(lesions.by_size[n] for n in kept.tolist()),
        ),
        measures=replace(measures, **{f.name: getattr(measures, f.name)[kept] for f in fields(measures)}),
        pieces=pieces,
        marked=mark_pieces(pieces, words.marking, words.not_tumour),
        base=attribution,
        attribution=attribution,
        covered=measured.covered[kept],
        alternatives=(),
        rows={i: row for i, row in measured.rows.items() if i not in gone},
        words=words,
        region_words=replace(regions, belongs_to=belongs_to),
    )


def _renumbered(attribution: Attribution, number: Int64s) -> Attribution:
    """Return an attribution to tumour alone by the lesions' new positions."""
    groups = attribution.groups
    return replace(
        attribution,
        groups=replace(groups, pair_lesion=number[groups.pair_lesion]),
        pet_only=attribution.pet_only.renumbered(number),
    )
