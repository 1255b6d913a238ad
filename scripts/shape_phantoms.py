"""Shapes whose volume after a boundary shift is known exactly, put down on a grid at any place and turn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from volstrat.geometry.grid import VoxelGrid
from volstrat.geometry.runs import LabelRuns

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Spacing = tuple[float, float, float]
    Shape = Callable[[NDArray[np.float64]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    """A convex body round the origin: what it holds, how far it reaches, and its Steiner numbers.

    ``volume + surface s + bend s^2 + 4/3 pi s^3`` is the volume with the boundary moved out by s;
    moved in, `shrunk_mm3` says.
    """

    holds: Shape
    reach_mm: float
    volume_mm3: float
    surface_mm2: float
    bend_mm: float
    shrunk_mm3: Callable[[float], float] | None = None

    def shifted_mm3(self, shift_mm: float) -> float:
        """Volume with the boundary moved outward, or inward where the shift is negative."""
        if shift_mm < 0 and self.shrunk_mm3 is not None:
            return self.shrunk_mm3(shift_mm)
        s = shift_mm
        return self.volume_mm3 + self.surface_mm2 * s + self.bend_mm * s**2 + 4 / 3 * math.pi * s**3


def ball(diameter_mm: float) -> Solid:
    """Return a sphere; V, 4 pi r^2, 4 pi r."""
    r = diameter_mm / 2
    return Solid(
        holds=lambda x: (x**2).sum(axis=0) <= r**2,
        reach_mm=r,
        volume_mm3=4 / 3 * math.pi * r**3,
        surface_mm2=4 * math.pi * r**2,
        bend_mm=4 * math.pi * r,
        shrunk_mm3=lambda s: 4 / 3 * math.pi * max(r + s, 0.0) ** 3,
    )


def ellipsoid(axes_mm: Spacing, turn: NDArray[np.float64]) -> Solid:
    """Return an ellipsoid with these full axes, turned; S and M by integrating over directions.

    With support function h(u) = sqrt(sum a_i^2 u_i^2): M is the integral of h, S that of
    (abc)^2 / h^4. Its shrunk form is taken from Steiner's formula too, right as long as the shift is
    small against the least radius of curvature.
    """
    a = np.array(axes_mm) / 2
    polar = (np.arange(400) + 0.5) / 400 * math.pi
    round_ = (np.arange(400) + 0.5) / 400 * 2 * math.pi
    theta, phi = np.meshgrid(polar, round_, indexing="ij")
    u = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    weight = np.sin(theta) * (math.pi / 400) * (2 * math.pi / 400)
    h = np.sqrt(((a[:, None, None] * u) ** 2).sum(axis=0))
    return Solid(
        holds=lambda x: ((turn.T @ x / a[:, None]) ** 2).sum(axis=0) <= 1,
        reach_mm=float(a.max()),
        volume_mm3=float(4 / 3 * math.pi * a.prod()),
        surface_mm2=float((weight * a.prod() ** 2 / h**4).sum()),
        bend_mm=float((weight * h).sum()),
    )


def cuboid(edges_mm: Spacing, turn: NDArray[np.float64]) -> Solid:
    """Return a cuboid, turned; abc, 2(ab + bc + ca), pi(a + b + c)."""
    a, b, c = edges_mm
    half = np.array(edges_mm) / 2
    return Solid(
        holds=lambda x: np.abs(turn.T @ x / half[:, None]).max(axis=0) <= 1,
        reach_mm=float(np.sqrt((half**2).sum())),
        volume_mm3=a * b * c,
        surface_mm2=2 * (a * b + b * c + c * a),
        bend_mm=math.pi * (a + b + c),
        shrunk_mm3=lambda s: max(a + 2 * s, 0.0) * max(b + 2 * s, 0.0) * max(c + 2 * s, 0.0),
    )


def any_turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a random rotation (or rotation and reflection), (3, 3)."""
    turn: NDArray[np.float64] = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    return turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A solid, where its centre lies (mm from the grid's first voxel centre), and its label."""

    solid: Solid
    centre_mm: Spacing
    label: int = 1


def regular_grid(shape: tuple[int, int, int], spacing_mm: Spacing) -> VoxelGrid:
    """Return a grid along the patient's axes from the origin."""
    return VoxelGrid(shape=shape, affine=np.diag([*spacing_mm, 1.0]))


def draw(grid: VoxelGrid, bodies: list[Placed]) -> LabelRuns:
    """Voxels whose centre lies in a body; where bodies overlap the earlier one keeps the voxel."""
    spacing = np.array(grid.spacing_mm)
    linear, labels = [], []
    for body in bodies:
        centre = np.array(body.centre_mm)
        low = np.maximum(np.floor((centre - body.solid.reach_mm) / spacing), 0).astype(int)
        high = np.minimum(np.ceil((centre + body.solid.reach_mm) / spacing) + 1, grid.shape).astype(int)
        k, j, i = np.meshgrid(*(np.arange(low[a], high[a]) for a in (2, 1, 0)), indexing="ij")
        index = np.stack([i.ravel(), j.ravel(), k.ravel()])
        held = body.solid.holds(index * spacing[:, None] - centre[:, None])
        linear.append(grid.ravel(index[:, held].T))
        labels.append(np.full(int(held.sum()), body.label))
    voxel, first = np.unique(np.concatenate(linear), return_index=True)
    if voxel.size == 0:
        return LabelRuns.empty()
    label = np.concatenate(labels)[first]
    breaks = np.flatnonzero((np.diff(voxel) != 1) | (np.diff(label) != 0))
    start, stop = np.concatenate(([0], breaks + 1)), np.concatenate((breaks, [voxel.size - 1]))
    return LabelRuns(voxel[start], voxel[stop] + 1, label[start])


def alone(solid: Solid, spacing_mm: Spacing, rng: np.random.Generator) -> tuple[VoxelGrid, LabelRuns]:
    """Put one solid at a random place of the lattice on a grid that just holds it."""
    shape = [math.ceil(2 * solid.reach_mm / step) + 4 for step in spacing_mm]
    grid = regular_grid((shape[0], shape[1], shape[2]), spacing_mm)
    centre = [(n / 2 + rng.random() - 1) * step for n, step in zip(shape, spacing_mm, strict=True)]
    return grid, draw(grid, [Placed(solid=solid, centre_mm=(centre[0], centre[1], centre[2]))])
