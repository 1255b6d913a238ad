"""What a plane shows of a shape: cut from a block of its voxels, or asked for point by point."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dense import voxel_runs
from volstrat.geometry.grid import VoxelGrid
from volstrat.pictures import cross_sections
from volstrat.pictures.cross_sections import Sections
from volstrat.pictures.planes import PLANES, PatientView, Plane
from volstrat.pictures.scene import Shape

SHAPE = (9, 8, 7)


def affine_of(spacing: tuple[float, float, float], axes: tuple[int, int, int], signs: str) -> np.ndarray:
    """Return an affine whose stored axes run along the given patient axes, off-centre."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, stored] = spacing[stored] * (1 if sign == "+" else -1)
    affine[:3, 3] = (-12.5, 7.25, 101.0)
    return affine


@pytest.mark.parametrize("signs", ["+++", "-+-", "--+"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("image_spacing", [(1.25, 0.8, 2.5), (0.5, 0.4, 0.9), (3.0, 2.0, 7.0)])
def test_both_ways_show_the_same(
    image_spacing: tuple[float, float, float],
    axes: tuple[int, int, int],
    signs: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A random shape, 1.25 x 0.8 x 2.5 mm, on images of the same voxels, thinner and thicker ones, turned."""
    grid = VoxelGrid(shape=SHAPE, affine=affine_of((1.25, 0.8, 2.5), axes, signs))
    dense = np.random.default_rng(7).random(SHAPE) < 0.3
    shape = Shape.of("L1", grid, voxel_runs(dense))
    same = image_spacing == (1.25, 0.8, 2.5)
    turned = affine_of(image_spacing, (0, 1, 2), "+-+")
    middle = grid.to_mm((np.array(SHAPE) - 1) / 2)
    turned[:3, 3] = middle - turned[:3, :3] @ (14.6, 15.3, 15.1)  # off its lattice
    stored = VoxelGrid(shape=(30, 30, 30), affine=grid.affine if same else turned)
    image = PatientView.of(stored).grid
    shown = 0
    for name in PLANES:
        for index in range(30):
            plane = Plane(name=name, grid=image, index=index)
            cut = Sections([shape]).on(plane)
            with monkeypatch.context() as patched:
                patched.setattr(cross_sections, "_LARGEST_BLOCK", 0)
                asked = Sections([shape]).on(plane)
            assert [s.name for s, _ in cut] == [s.name for s, _ in asked]
            for (_, some), (_, others) in zip(cut, asked, strict=True):
                assert len(some) == len(others)
                assert all(np.allclose(a, b, atol=1e-9) for a, b in zip(some, others, strict=True))
                shown += len(some)
    assert shown > 10


def test_a_scene_without_shapes_shows_none() -> None:
    """The CT alone, before the masks are read."""
    grid = VoxelGrid(shape=SHAPE, affine=affine_of((1.0, 1.0, 1.0), (0, 1, 2), "+++"))
    assert Sections([]).on(Plane(name="axial", grid=grid, index=0)) == []
