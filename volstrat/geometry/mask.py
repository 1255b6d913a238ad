"""A mask: labelled runs on a grid, and what the labels stand for."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from volstrat.errors import GridMismatchError
from volstrat.frozen import FrozenDict, frozen
from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import LabelRuns, VoxelRuns

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(eq=False)
class Mask:
    """Labelled voxels on a grid."""

    grid: VoxelGrid
    runs: LabelRuns  # labels from 1; where labels overlap a voxel appears in several runs
    # Label or segment names the file gives, by label; a label may be named and hold no voxel.
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.runs.starts.size and int(self.runs.stops.max()) > self.grid.size:
            msg = f"A mask has voxels beyond its grid of shape {self.grid.shape}."
            raise ValueError(msg)
        object.__setattr__(self, "names", FrozenDict(self.names))

    @property
    def labels(self) -> tuple[int, ...]:
        """Labels that are named or occur, rising."""
        return tuple(sorted({*self.names, *self.runs.values}))

    def voxels(self) -> VoxelRuns:
        """Return the voxels of any label."""
        return self.runs.union()

    def on_grid(self, grid: VoxelGrid, *, tolerance_mm: float) -> Mask:
        """Return the mask on another grid of the same lattice; nothing is resampled.

        Voxels that do not fall on it within ``tolerance_mm`` are a GridMismatchError.
        """
        placement = self.grid.placement_on(grid, tolerance_mm=tolerance_mm)
        if placement is None:
            msg = "The two masks do not lie on the same voxels."
            raise GridMismatchError(msg)
        runs = self.runs.reindexed(placement, shape=self.grid.shape, onto=grid.shape)
        return Mask(grid=grid, runs=runs, names=self.names)
