"""A dense image on a grid: CT or PET values, held only where a command needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from volstrat.frozen import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from volstrat.geometry.grid import VoxelGrid


MOST_VOXELS = 400_000_000
"""Of an image: more than 512 x 512 x 1500, and 1.6 GB once it is read. A file of 1 MB can say more."""


@frozen(eq=False)
class Image:
    """Dense values on a grid."""

    grid: VoxelGrid
    # float32 or int16, indexed ``[i, j, k]``, Fortran order; locked. Unit as its producer states (HU, SUVbw).
    values: NDArray[np.generic]

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            msg = f"Values of shape {self.values.shape} do not fit a grid of shape {self.grid.shape}."
            raise ValueError(msg)
        values = np.asfortranarray(self.values)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
