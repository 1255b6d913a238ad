"""Two readings of one image: how far their voxels and their surfaces agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from volstrat.errors import GridMismatchError, UsageError
from volstrat.geometry.surface import distances_between, surface_of

if TYPE_CHECKING:
    from volstrat.geometry.grid import VoxelGrid
    from volstrat.geometry.runs import VoxelRuns

OverlapOutcome = Literal["compared", "both_empty", "only_a_empty", "only_b_empty"]

_OUTCOMES: dict[tuple[bool, bool], OverlapOutcome] = {
    (True, True): "compared",
    (True, False): "only_b_empty",
    (False, True): "only_a_empty",
    (False, False): "both_empty",
}
_HD_PERCENT = 95.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskAgreement:
    """Agreement of two masks, A and B, on one grid.

    All but the signed difference and the directed distances are the same with A and B swapped. What its
    formula leaves undefined is None, and ``outcome`` says why (with one empty mask Dice and volume similarity
    are 0 and the surface values None; with both empty only volumes and their difference remain); no value is
    ever NaN.

    - Volumes are voxel counts times voxel volume; the difference is B minus A.
    - ``volume_similarity``: ``1 - |A - B| / (A + B)`` in voxels (Taha and Hanbury 2015).
    - ``dice``: ``2 |A and B| / (A + B)`` in voxels (Dice 1945).
    - ``surface_dice``: share of both surfaces' area within the tolerance of the other surface (normalised
      surface Dice; Nikolov et al., arXiv 1809.04430). Distances up to 0.001 mm above the tolerance count.
    - ``hd95_mm``: the larger of the two directed 95th percentiles of distance, each weighted by surface area:
      the smallest distance within which 95 % of a surface lies from the other one.
    - ``mean_surface_distance_mm``: area-weighted mean distance over both surfaces; directed ones beside it.
    - Surface areas as in `volstrat.geometry.surface.surfel_areas_mm2`.
    """

    outcome: OverlapOutcome
    a_voxels: int
    b_voxels: int
    both_voxels: int
    a_volume_ml: float
    b_volume_ml: float
    volume_difference_ml: float
    volume_similarity: float | None
    dice: float | None
    tolerance_mm: float
    surface_dice: float | None = None
    hd95_mm: float | None = None
    mean_surface_distance_mm: float | None = None
    mean_distance_a_to_b_mm: float | None = None
    mean_distance_b_to_a_mm: float | None = None
    a_surface_mm2: float | None = None
    b_surface_mm2: float | None = None


def compare_masks(a: VoxelRuns, b: VoxelRuns, grid: VoxelGrid, *, tolerance_mm: float) -> MaskAgreement:
    """Compare two voxel sets on one grid.

    A mask on another grid of the same lattice goes through `Mask.on_grid` first; ``tolerance_mm`` is that of
    the surface Dice. A negative or endless one is a `UsageError`, a voxel beyond the grid a
    `GridMismatchError`.
    """
    if not math.isfinite(tolerance_mm) or tolerance_mm < 0:
        msg = f"The surface tolerance must be 0 mm or above; got {tolerance_mm}."
        raise UsageError(msg)
    for runs in (a, b):
        if runs and (int(runs.starts[0]) < 0 or int(runs.stops[-1]) > grid.size):
            msg = f"A mask to be compared has voxels beyond the grid of shape {grid.shape}."
            raise GridMismatchError(msg, hint="Bring both masks onto one grid first.")
    in_a, in_b, in_both = a.count, b.count, a.intersection(b).count
    total = in_a + in_b
    voxel_ml = grid.voxel_ml
    outcome = _OUTCOMES[bool(in_a), bool(in_b)]
    surfaces = _surface_values(a, b, grid, tolerance_mm) if outcome == "compared" else {}
    return MaskAgreement(
        outcome=outcome,
        a_voxels=in_a,
        b_voxels=in_b,
        both_voxels=in_both,
        a_volume_ml=in_a * voxel_ml,
        b_volume_ml=in_b * voxel_ml,
        volume_difference_ml=(in_b - in_a) * voxel_ml,
        volume_similarity=1 - abs(in_a - in_b) / total if total else None,
        dice=2 * in_both / total if total else None,
        tolerance_mm=float(tolerance_mm),
        **surfaces,
    )


def _surface_values(a: VoxelRuns, b: VoxelRuns, grid: VoxelGrid, tolerance_mm: float) -> dict[str, float]:
    forth, back = distances_between(surface_of(a, grid), surface_of(b, grid))
    area = forth.area_mm2 + back.area_mm2
    return {
        "surface_dice": (forth.area_within_mm2(tolerance_mm) + back.area_within_mm2(tolerance_mm)) / area,
        "hd95_mm": max(forth.percentile_mm(_HD_PERCENT), back.percentile_mm(_HD_PERCENT)),
        "mean_surface_distance_mm": (forth.weighted_sum + back.weighted_sum) / area,
        "mean_distance_a_to_b_mm": forth.weighted_sum / forth.area_mm2,
        "mean_distance_b_to_a_mm": back.weighted_sum / back.area_mm2,
        "a_surface_mm2": forth.area_mm2,
        "b_surface_mm2": back.area_mm2,
    }
