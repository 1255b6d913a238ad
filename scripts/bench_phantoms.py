"""The whole-body phantom of the benchmarks: 60 lesions in 512 x 512 x 700 voxels, the same every time.

Ellipsoids of 8 to 60 mm fill one voxel in a thousand; four in five are resectable, three of them in part;
two in three are FDG-avid, on a PET grid of 4 mm, with three regions that only PET shows. A second reading
draws each a little otherwise, leaves out two and adds one.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Shape = tuple[int, int, int]
    Point = tuple[float, float, float]

CT_SHAPE = (512, 512, 700)
CT_SPACING_MM = (0.9765625, 0.9765625, 1.5)
PET_SHAPE = (200, 200, 350)
PET_SPACING_MM = (4.07283, 4.07283, 3.0)
LESIONS = 60
_VOXELS = 183_500
_GAP_MM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """An ellipsoid: centre and half axes in mm from the centre of the CT field."""

    centre_mm: Point
    half_mm: Point
    resectable: float
    avid: bool


def lesions(seed: int, *, shape: Shape = CT_SHAPE, count: int = LESIONS, voxels: int = _VOXELS) -> list[Body]:
    """Return lesions that do not touch, scaled to fill about so many voxels of the CT's spacing."""
    rng = np.random.default_rng(seed)
    radius = np.clip(rng.lognormal(0.0, 0.45, count), 0.4, 3.0)
    aspect = rng.uniform(0.8, 1.25, (count, 3))
    volume = 4 / 3 * np.pi * (radius[:, None] * aspect).prod(axis=1)
    half = radius[:, None] * aspect * (voxels * np.prod(CT_SPACING_MM) / volume.sum()) ** (1 / 3)
    room = np.array(shape) * CT_SPACING_MM / 2 - 40
    placed = np.empty((0, 3))
    largest = half.max(axis=1)
    while len(placed) < count:
        centre = rng.uniform(-room, room)
        apart = largest[len(placed)] + largest[: len(placed)] + _GAP_MM
        if (np.linalg.norm(placed - centre, axis=1) > apart).all():
            placed = np.vstack((placed, centre))
    share = [0.5 if n % 20 == 7 else float(n % 5 != 4) for n in range(count)]
    return [
        Body(centre_mm=_point(c), half_mm=_point(h), resectable=share[n], avid=n % 3 != 2)
        for n, (c, h) in enumerate(zip(placed, half, strict=True))
    ]


def second_reading(bodies: list[Body], seed: int) -> list[Body]:
    """Return the lesions as another reader might draw them: two missed, one more, all a little off."""
    rng = np.random.default_rng(seed)
    moved = [
        replace(
            body,
            centre_mm=_point(np.array(body.centre_mm) + rng.normal(0, 0.7, 3)),
            half_mm=_point(np.array(body.half_mm) * rng.uniform(0.93, 1.09, 3)),
        )
        for body in bodies[2:]
    ]
    extra = Body(centre_mm=(0.0, -228.0, 505.0), half_mm=(6.0, 6.0, 6.0), resectable=1.0, avid=False)
    return [*moved, extra]


def _point(values: NDArray[np.float64]) -> Point:
    return float(values[0]), float(values[1]), float(values[2])


def draw(
    bodies: list[Body],
    shape: Shape,
    spacing_mm: Point,
    *,
    grown_mm: float = 0.0,
    share: bool = False,
    numbered: bool = False,
) -> Bytes:
    """Return a mask indexed [i, j, k] whose field is centred where the bodies' coordinates begin.

    Parameters
    ----------
    grown_mm : float
        Added to each half axis.
    share : bool
        Draw the resectable part only, from the low end along ``i``.
    numbered : bool
        Give each body its own label, from 1.
    """
    dense = np.zeros(shape, dtype=np.uint8, order="F")
    for number, body in enumerate(bodies, start=1):
        axes, box = [], []
        for c, h, step, n in zip(body.centre_mm, body.half_mm, spacing_mm, shape, strict=True):
            at, reach = c / step + (n - 1) / 2, (h + grown_mm) / step
            low, high = max(int(at - reach), 0), min(int(at + reach) + 2, n)
            axes.append((np.arange(low, high) - at) / reach)
            box.append(slice(low, high))
        i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
        held = i**2 + j**2 + k**2 <= 1
        if share:
            held &= i <= 2 * body.resectable - 1
        dense[tuple(box)][held] = number if numbered else 1
    return dense


def pet_mask(bodies: list[Body]) -> Bytes:
    """Return the FDG-avid mask on the PET grid: avid lesions with 2 mm of spill, and three regions more."""
    avid = [body for body in bodies if body.avid]
    alone = [
        Body(centre_mm=(x, 210.0, z), half_mm=(9.0, 9.0, 12.0), resectable=0.0, avid=True)
        for x, z in ((-150.0, 515.0), (0.0, 515.0), (150.0, 515.0))
    ]
    return draw([*avid, *alone], PET_SHAPE, PET_SPACING_MM, grown_mm=2.0)


def write_nifti(path: Path, dense: Bytes, spacing_mm: Point) -> None:
    """Write a mask as .nii.gz at gzip's usual level, its field centred on the scanner's origin."""
    origin = [-(n - 1) / 2 * step for n, step in zip(dense.shape, spacing_mm, strict=True)]
    header = struct.pack(
        "<i 36x 8h 14x h h 2x 8f 3f 3x b 24x 80s 24x 2h 24x 12f 16x 4s 4x",
        348,
        *(3, *dense.shape, 1, 1, 1, 1),
        *(2, 8),
        *(1.0, *spacing_mm, 0.0, 0.0, 0.0, 0.0),
        *(352.0, 1.0, 0.0),
        2,
        b"phantom, no patient",
        *(0, 1),
        *(spacing_mm[0], 0.0, 0.0, origin[0]),
        *(0.0, spacing_mm[1], 0.0, origin[1]),
        *(0.0, 0.0, spacing_mm[2], origin[2]),
        b"n+1\0",
    )
    path.write_bytes(gzip.compress(header + dense.tobytes(order="F"), 6, mtime=0))


def write_case(folder: Path, bodies: list[Body], *, pet: list[Body] | None) -> None:
    """Write tumour, resectable and (of ``pet``'s bodies) FDG-avid masks into a case folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_nifti(folder / "tumour.nii.gz", draw(bodies, CT_SHAPE, CT_SPACING_MM), CT_SPACING_MM)
    resectable = draw(bodies, CT_SHAPE, CT_SPACING_MM, share=True)
    write_nifti(folder / "resectable.nii.gz", resectable, CT_SPACING_MM)
    if pet is not None:
        write_nifti(folder / "fdg_avid.nii.gz", pet_mask(pet), PET_SPACING_MM)
