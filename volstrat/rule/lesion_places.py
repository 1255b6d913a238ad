"""The site of a lesion: the table's word, else the liver or not, where a liver mask is there."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, cast

import numpy as np

from volstrat.frozen import frozen
from volstrat.geometry.runs import VoxelRuns

if TYPE_CHECKING:
    from volstrat.geometry.array_types import Bools, Int64s
    from volstrat.rule.lesions import Lesions
    from volstrat.rule.measure import Measurements
    from volstrat.terms.marks import Site
    from volstrat.terms.outcomes import SiteSource


@frozen
class LesionSite:
    """Where a lesion lies, and who says so; both None where nothing says it."""

    word: Site | None
    source: SiteSource | None


def lesion_sites(measured: Measurements, liver: VoxelRuns | None) -> tuple[LesionSite, ...]:
    """Return the site of each lesion; the liver mask lies on the lesions' grid."""
    inside = None if liver is None else in_liver(measured.lesions, liver)
    sites = []
    for n, lesion_id in enumerate(measured.lesions.ids):
        row = measured.rows.get(lesion_id)
        if row is not None and row.site:
            sites.append(LesionSite(word=cast("Site", row.site), source="table"))
        elif inside is not None:
            sites.append(LesionSite(word="liver" if inside[n] else "not_liver", source="liver_mask"))
        else:
            sites.append(LesionSite(word=None, source=None))
    return tuple(sites)


def in_liver(lesions: Lesions, liver: VoxelRuns) -> Bools:
    """Tell which lesions have half their voxels or more in the liver.

    Liver masks leave lesions out or take them in; the liver is the mask united with the lesions that touch it
    (voxels that share a corner).
    """
    touching = np.zeros(lesions.count, dtype=bool)
    touching[lesions.lesion[_beside(lesions, liver)]] = True
    runs = touching[lesions.lesion]
    whole = liver.union(VoxelRuns.from_intervals(lesions.starts[runs], lesions.stops[runs]))
    found: Bools = 2 * lesions.count_in(whole) >= lesions.sizes
    return found


def _beside(lesions: Lesions, voxels: VoxelRuns) -> Bools:
    """Tell which of the lesions' runs (cut at row ends) lie in or beside a set of voxels."""
    ni, nj, nk = lesions.grid.shape
    row, first = np.divmod(lesions.starts, ni)
    k, j = np.divmod(row, nj)
    low = np.maximum(first - 1, 0)
    high = np.minimum(lesions.stops - lesions.starts + first + 1, ni)
    found = np.zeros(row.size, dtype=bool)
    for dj, dk in product((-1, 0, 1), repeat=2):
        there = (j + dj >= 0) & (j + dj < nj) & (k + dk >= 0) & (k + dk < nk)
        base = ni * (j + dj + nj * (k + dk))
        found[there] |= voxels.counts_in((base + low)[there], (base + high)[there]) > 0
    return found


def voxels_by_site(measured: Measurements, sites: tuple[LesionSite, ...]) -> dict[str, tuple[int, Int64s]]:
    """Return how many lesions each site has, and their voxels by `Marking`, (4,), each voxel once.

    Lesions that are no tumour are left out; those of which nothing says the site come under ``not_stated``.
    """
    pieces, marked = measured.marked.pieces, measured.marked
    found: dict[str, tuple[int, Int64s]] = {}
    for word in sorted({site.word or "not_stated" for site in sites}):
        those = np.array([(s.word or "not_stated") == word for s in sites], dtype=bool) & ~marked.not_tumour
        if those.any():
            own = np.append(those, False)[pieces.first_lesion]
            voxels = np.bincount(marked.piece_worst[own], pieces.voxels[own], minlength=4)
            found[word] = int(those.sum()), voxels.astype(np.int64)
    return found
