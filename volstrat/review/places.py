"""Places in a case: what lies at a point, where a lesion is shown, what stands next to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from volstrat.pictures.cross_sections import depths
from volstrat.pictures.planes import Plane
from volstrat.pictures.scene import AVID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from volstrat.geometry.runs import VoxelRuns
    from volstrat.pictures.drawn_volumes import Volume
    from volstrat.pictures.planes import PlaneName
    from volstrat.pictures.scene import Scene, Shape
    from volstrat.rule.lesions import Lesions

    Point = tuple[float, float, float]


def lesion_at(scene: Scene, point_mm: Point, *, on: PlaneName | None = None) -> str:
    """Return the lesion or region that holds a point (LPS mm); "" where none does.

    ``on`` is the plane that shows the point: what is drawn there within its slice is found too.
    """
    plane = None
    if on is not None:
        plane = Plane(name=on, grid=scene.grid, index=0)
        plane = replace(plane, index=plane.slice_at(point_mm))
    at = np.array(point_mm)
    reach = max(scene.grid.spacing_mm)
    shapes = [
        s
        for s in scene.shapes
        if s.name != AVID and (s.box_mm[0] - reach <= at).all() and (at <= s.box_mm[1] + reach).all()
    ]
    exact = (shape.name for shape in shapes if _holds(shape, point_mm, None))
    drawn = (shape.name for shape in shapes if plane is not None and _holds(shape, point_mm, plane))
    return next(exact, "") or next(drawn, "")


def _holds(shape: Shape, point_mm: tuple[float, float, float], plane: Plane | None) -> bool:
    """Tell whether a shape holds a point, or what a plane's slice shows there."""
    points = np.array([point_mm])
    if plane is not None:
        index = plane.grid.to_index(points)
        index = np.repeat(index, len(inside := depths(shape.grid, plane)), axis=0)
        index[:, plane.normal] = plane.index + np.array(inside)
        points = plane.grid.to_mm(index)
    at = shape.grid.voxel_at(shape.grid.to_index(points))
    at = at[at[:, 0] >= 0]
    return bool(shape.voxels.contains(shape.grid.ravel(at)).any())


def values_at(scene: Scene, point_mm: Point) -> dict[str, float | None]:
    """Return ``hu`` and ``suv`` at a point (LPS mm): of the voxel whose centre is nearest, unsmoothed.

    None outside the field, or where there is no such image.
    """
    return {"hu": _value(scene.ct, point_mm), "suv": _value(scene.pet, point_mm)}


def _value(volume: Volume | None, point_mm: Point) -> float | None:
    if volume is None:
        return None
    grid = volume.view.grid
    at = grid.voxel_at(grid.to_index(np.array([point_mm])))[0]
    return None if at[0] < 0 else round(float(volume.values[tuple(at.tolist())]), 4)


def nearest_other(scene: Scene, name: str) -> tuple[str, float] | None:
    """Return the lesion or region next to one, and the shortest distance (mm) of their voxel centres."""
    from scipy.spatial import cKDTree

    own = next((shape for shape in scene.shapes if shape.name == name), None)
    if own is None or name == AVID:
        return None
    boxes = scene.sections.boxes
    apart = np.maximum(0.0, np.maximum(own.box_mm[0] - boxes[:, 1], boxes[:, 0] - own.box_mm[1]))
    gaps = np.sqrt((apart**2).sum(axis=1))
    tree = cKDTree(_centres(own), balanced_tree=False, compact_nodes=False)  # asked once
    best: tuple[float, str] | None = None
    for n in np.argsort(gaps, kind="stable").tolist():  # boxes bound the distance from below
        other = scene.shapes[n]
        if other.name in (AVID, name):
            continue
        if best is not None and gaps[n] >= best[0]:
            break
        distance = float(tree.query(_centres(other))[0].min())
        if best is None or distance < best[0]:
            best = (distance, other.name)
    return None if best is None else (best[1], round(best[0], 2))


def segments_of(lesions: Lesions, segments: Mapping[str, VoxelRuns]) -> dict[str, str]:
    """Return the liver segment (on the lesions' grid) that holds most of each lesion that lies in some."""
    if not segments:
        return {}
    runs = [lesions.of(n) for n in range(len(lesions.ids))]
    starts = np.concatenate([one.starts for one in runs])
    stops = np.concatenate([one.stops for one in runs])
    lesion = np.repeat(np.arange(len(runs)), [one.starts.size for one in runs])
    held = np.array(
        [
            np.bincount(lesion, weights=voxels.counts_in(starts, stops), minlength=len(runs))
            for voxels in segments.values()
        ]
    )
    names, most = list(segments), held.argmax(axis=0)
    return {lesions.ids[n]: names[most[n]] for n in np.flatnonzero(held.max(axis=0) > 0).tolist()}


def _centres(shape: Shape) -> np.ndarray[Any, np.dtype[np.float64]]:
    return shape.grid.to_mm(shape.grid.unravel(shape.voxels.indices()))


def body_box(volume: Volume) -> list[list[float]]:
    """Return the box (LPS mm) round what is denser than air, of a coarse look at a CT."""
    step = [max(1, n // 64) for n in volume.values.shape]
    some = volume.values[:: step[0], :: step[1], :: step[2]]
    at = np.argwhere(np.asarray(some, dtype=np.float32) > -500)
    if not at.size:
        at = np.array([[0, 0, 0], [n - 1 for n in some.shape]])
    low, high = at.min(axis=0) * step, at.max(axis=0) * step
    corners = volume.view.grid.to_mm(np.stack((low, high)).astype(np.float64))
    return [corners.min(axis=0).tolist(), corners.max(axis=0).tolist()]
