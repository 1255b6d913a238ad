"""Planes through a grid in radiological convention, and where patient coordinates fall on them.

A plane follows the grid's own axes, each called by the patient axis it lies closest to, so that what
is shown are the voxels as they were taken. Axial pictures are seen from the feet, coronal ones from
the front: the patient's right is on the left of the picture. Sagittal ones are seen from the left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Literal

import numpy as np

from volstrat.geometry.grid import VoxelGrid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from volstrat.geometry.array_types import Float64s


PlaneName = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[PlaneName, ...] = ("axial", "coronal", "sagittal")

# Patient axes (0 left, 1 posterior, 2 head) along columns and rows, and the one that looks out of the plane.
_AXES: dict[PlaneName, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (0, 2, 1),
    "sagittal": (1, 2, 0),
}
_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))
_SECOND_LETTER_COSINE = 0.2588  # 15 degrees off an axis, the second letter is said too


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatientView:
    """A grid with its axes put in patient order: left, posterior, head."""

    grid: VoxelGrid  # the same voxels; axis 0 rises closest to left, 1 to posterior, 2 to the head
    # axes, signs: which stored axis each comes from, and -1 where it runs backwards
    axes: tuple[int, int, int]
    signs: tuple[int, int, int]

    @classmethod
    def of(cls, grid: VoxelGrid) -> PatientView:
        """Return the view of a grid."""
        directions = grid.directions
        axes = max(permutations(range(3)), key=lambda p: sum(abs(directions[a, p[a]]) for a in range(3)))
        signs = tuple(1 if directions[a, axes[a]] > 0 else -1 for a in range(3))
        affine = np.eye(4)
        origin = np.zeros(3)
        for a, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
            affine[:3, a] = sign * grid.affine[:3, axis]
            if sign < 0:
                origin[axis] = grid.shape[axis] - 1
        affine[:3, 3] = grid.to_mm(origin)
        shape = tuple(grid.shape[axis] for axis in axes)
        turned = VoxelGrid(
            shape=(shape[0], shape[1], shape[2]),
            affine=affine,
            frame_of_reference_uid=grid.frame_of_reference_uid,
        )
        return cls(grid=turned, axes=(axes[0], axes[1], axes[2]), signs=(signs[0], signs[1], signs[2]))

    def turn(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return an array of the grid with its axes in patient order; nothing is copied."""
        s = self.signs
        return values.transpose(self.axes)[:: s[0], :: s[1], :: s[2]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """One slice position of a grid in patient order.

    Positions on it are ``(u, v)`` in mm, from the top left corner of the picture, to the right and down.
    """

    name: PlaneName
    grid: VoxelGrid  # as from `PatientView`
    index: int  # slice number along the axis that looks out of the plane
    # The grid axes along the picture's rows of pixels, down the picture, and out of it.
    columns: int = field(init=False)
    rows: int = field(init=False)
    normal: int = field(init=False)
    count: int = field(init=False)  # how many slices there are
    downward: bool = field(init=False)  # whether the row axis rises down the picture; the head is on top

    def __post_init__(self) -> None:
        columns, rows, normal = _AXES[self.name]
        found = {"columns": columns, "rows": rows, "normal": normal, "count": self.grid.shape[normal]}
        for name, value in {**found, "downward": self.name == "axial"}.items():
            object.__setattr__(self, name, value)

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height, mm."""
        shape, spacing = self.grid.shape, self.grid.spacing_mm
        return shape[self.columns] * spacing[self.columns], shape[self.rows] * spacing[self.rows]

    @property
    def right(self) -> Float64s:
        """Unit vector (LPS) to the right of the picture."""
        along: Float64s = self.grid.directions[:, self.columns]
        return along

    @property
    def down(self) -> Float64s:
        """Unit vector (LPS) down the picture."""
        along: Float64s = self.grid.directions[:, self.rows] * (1 if self.downward else -1)
        return along

    @property
    def corner_mm(self) -> Float64s:
        """The outer top left corner, LPS mm."""
        index = np.zeros(3)
        index[self.normal] = self.index
        index[self.columns] = -0.5
        index[self.rows] = -0.5 if self.downward else self.grid.shape[self.rows] - 0.5
        return self.grid.to_mm(index)

    def to_mm(self, uv: ArrayLike) -> Float64s:
        """LPS millimetres (..., 3) of positions on the plane (..., 2)."""
        at = np.asarray(uv, dtype=np.float64)
        points: Float64s = self.corner_mm + at[..., :1] * self.right + at[..., 1:] * self.down
        return points

    def to_plane(self, points_mm: ArrayLike) -> Float64s:
        """Positions on the plane (..., 2) below points (LPS mm) (..., 3), along its normal."""
        index = self.grid.to_index(points_mm) + 0.5
        spacing = self.grid.spacing_mm
        u = index[..., self.columns] * spacing[self.columns]
        v = index[..., self.rows] * spacing[self.rows]
        return np.stack([u, v if self.downward else self.size_mm[1] - v], axis=-1)

    def in_voxels(self, grid: VoxelGrid) -> tuple[Float64s, Float64s, Float64s]:
        """Return the corner, and the steps to the right and down (1 mm each), as indices of a grid."""
        turn = grid.inverse[:3, :3]
        return grid.to_index(self.corner_mm), turn @ self.right, turn @ self.down

    def slice_at(self, point_mm: ArrayLike) -> int:
        """Return the slice whose plane lies closest to a point, within the grid."""
        at = float(self.grid.to_index(point_mm)[..., self.normal])
        return int(np.clip(np.floor(at + 0.5), 0, self.count - 1))

    def cut(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the slice of an array in patient order as (rows, columns), as the picture shows it."""
        at: list[slice | int] = [slice(None)] * 3
        at[self.normal] = self.index
        return self.flatten(values[tuple(at)])

    def flatten(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn an array over the two in-plane axes, in grid order, the way the picture shows it."""
        return values.T if self.downward else values.T[::-1]

    def letters(self) -> tuple[str, str, str, str]:
        """Patient sides at the left, right, top and bottom of the picture."""
        right, down = self.right, self.down
        return side_letters(-right), side_letters(right), side_letters(-down), side_letters(down)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The part of a plane that a picture shows."""

    # width, height: pixels
    width: int
    height: int
    # left_mm, top_mm: position on the plane of the picture's top left corner
    left_mm: float
    top_mm: float
    mm_per_pixel: float

    @classmethod
    def whole(cls, plane: Plane, *, width: int, height: int) -> Frame:
        """Return the frame that shows all of a plane, as large as fits."""
        return cls.around(plane, (0.0, 0.0, *plane.size_mm), width=width, height=height)

    @classmethod
    def around(
        cls, plane: Plane, box: tuple[float, float, float, float], *, width: int, height: int
    ) -> Frame:
        """Return the frame that shows a box ``(left, top, right, bottom)`` of a plane, mm."""
        left, top, right, bottom = box
        scale = max((right - left) / width, (bottom - top) / height)
        return cls(
            width=width,
            height=height,
            left_mm=(left + right - scale * width) / 2,
            top_mm=(top + bottom - scale * height) / 2,
            mm_per_pixel=scale,
        )

    def to_pixels(self, uv: Float64s) -> Float64s:
        """Positions in the picture (..., 2) of positions on the plane."""
        at: Float64s = (uv - (self.left_mm, self.top_mm)) / self.mm_per_pixel
        return at


def side_letters(direction: Float64s) -> str:
    """Name a direction (LPS): R, L, A, P, H or F, with a second letter where it is oblique.

    >>> side_letters(np.array([-1.0, 0, 0])), side_letters(np.array([0.8, 0.6, 0]))
    ('R', 'LP')
    """
    order = np.argsort(-np.abs(direction), kind="stable")
    letters = _LETTERS[order[0]][int(direction[order[0]] > 0)]
    if abs(direction[order[1]]) > _SECOND_LETTER_COSINE:
        letters += _LETTERS[order[1]][int(direction[order[1]] > 0)]
    return letters
