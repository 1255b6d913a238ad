"""The pictures of a report: projections of the case, and a slice through each lesion."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from volstrat.errors import VolstratError
from volstrat.pictures.cross_sections import box_corners
from volstrat.pictures.planes import PLANES, Frame, Plane
from volstrat.pictures.png import png_bytes
from volstrat.pictures.projections import Projections
from volstrat.pictures.scene import AVID
from volstrat.pictures.slices import Look, render_slice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from volstrat.case.record_types import CaseRecord
    from volstrat.pictures.drawn_volumes import Volume
    from volstrat.pictures.planes import PlaneName
    from volstrat.pictures.projections import Projected
    from volstrat.pictures.scene import Scene, Shape
    from volstrat.pictures.shown_images import Kind, ShownImages
    from volstrat.pictures.slices import Layer

_LEAST_FIELD_MM = 160.0
_LARGE, _SMALL = 420, 300
_MANY = 40
_PROJECTION = (440, 600)
_PLANE_NAMES: dict[str, PlaneName] = {name: name for name in PLANES}
_LAYERS: dict[str, Layer] = {"fused": "fused", "ct": "ct", "pet": "pet"}
_NO_VIEW = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, VolstratError,
)  # fmt: skip
_LEAST_SUV_MAX, _MOST_SUV_MAX = 8.0, 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a report."""

    name: str  # lesion or region; "" for projections
    alt: str  # what it shows, for who cannot see it
    uri: str  # PNG as a data URI


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """All pictures of a report, and what a person should know of them."""

    projections: tuple[Picture, ...]
    slices: tuple[Picture, ...]
    notices: tuple[str, ...]
    views: tuple[Picture, ...] = ()
    has_plan: bool = False


def draw_pictures(
    scene: Scene, record: CaseRecord, *, views: Iterable[str] = (), shown: ShownImages | None = None
) -> Pictures:
    """Draw the pictures of a case, and the views that a reader kept (see `saved_views`)."""
    look = first_look(scene, record)
    slices = [
        Picture(
            name=x, alt=f"Axial slice through {x}, {look.markings.get(x, 'unknown')}", uri=data_uri(pixels)
        )
        for x, pixels in slice_pixels(scene, look)
    ]
    return Pictures(
        projections=tuple(_projections(scene, look)),
        slices=tuple(slices),
        notices=scene.notices,
        views=saved_views(scene, record, views, shown),
        has_plan=bool(scene.planned),
    )


def words_by_name(record: CaseRecord) -> dict[str, str]:
    """Return the marking of each lesion and region, ``dismissed`` for what is called physiological."""
    words: dict[str, str] = {x["lesion_id"]: x["resectability"] for x in record["lesions"]}
    for region in record["pet_only_regions"]:
        called_off = region["fdg_avidity"] == "not_avid"
        words[region["lesion_id"]] = "dismissed" if called_off else region["resectability"]
    return words


def first_look(scene: Scene, record: CaseRecord) -> Look:
    """Return how a case is drawn at first: abdomen window, and a PET scale that shows its lesions."""
    hottest = [x["suv_max"] for x in (*record["lesions"], *record["pet_only_regions"])]
    known = [x for x in hottest if x is not None]
    top = float(np.clip(np.ceil(max(known, default=10.0)), _LEAST_SUV_MAX, _MOST_SUV_MAX))
    if scene.pet is not None and scene.pet.unit != "SUV":
        top = scale_top(scene.pet)
    return Look(suv_max=top, markings=words_by_name(record))


def scale_top(pet: Volume) -> float:
    """Return the top of a PET's scale, from its own values: all but the hottest thousandth lie below."""
    top = max(float(np.percentile(pet.values.astype(np.float32), 99.9)), 1e-6)
    if pet.unit == "SUV":
        return float(np.clip(np.ceil(top), _LEAST_SUV_MAX, _MOST_SUV_MAX))
    return float(f"{top:.2g}")


def _projections(scene: Scene, look: Look) -> list[Picture]:
    projections = Projections(scene)
    names: Sequence[PlaneName] = ("coronal", "sagittal")
    kinds: Sequence[Projected] = ("lesions",) if scene.pet is None else ("pet", "lesions")
    shown = {"pet": "maximum intensity projection of the PET", "lesions": "projection of all lesions"}
    return [
        Picture(
            name="",
            alt=f"{name} {shown[of]}".capitalize(),
            uri=data_uri(
                projections.render(name, of=of, width=_PROJECTION[0], height=_PROJECTION[1], look=look)
            ),
        )
        for of in kinds
        for name in names
    ]


def slice_pixels(scene: Scene, look: Look) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield the name of each lesion and region, and a slice through it, (height, width, 3)."""
    shapes = [s for s in scene.shapes if s.name != AVID]
    size = _LARGE if len(shapes) <= _MANY else _SMALL
    for shape in shapes:
        plane = key_plane(scene, shape)
        frame = close_up(plane, shape, width=size, height=size)
        yield shape.name, render_slice(scene, plane, frame, replace(look, selected=shape.name))


def saved_views(
    scene: Scene, record: CaseRecord, views: Iterable[str], shown: ShownImages | None = None
) -> tuple[Picture, ...]:
    """Draw the views that a reader kept for the report, as the page told them (JSON); others are left out.

    ``shown`` has other phases and PETs, where a view was of one.
    """
    look, found = first_look(scene, record), []
    for text in views:
        try:
            found.append(_saved_view(scene, json.loads(text), look, shown))
        except _NO_VIEW:
            continue
    return tuple(found)


def _saved_view(scene: Scene, view: Mapping[str, Any], look: Look, shown: ShownImages | None) -> Picture:
    seen = _seen(scene, view, shown)
    plane = Plane(name=_PLANE_NAMES[view["plane"]], grid=scene.grid, index=0)
    plane = replace(plane, index=int(np.clip(int(view["index"]), 0, plane.count - 1)))
    told = [view[key] for key in ("left", "top", "wide", "high", "suv", "opacity")] + view["window"][:2]
    left, top, wide, high, suv, opacity, centre, width = (float(number) for number in told)
    if not (
        wide > 0 and high > 0 and np.isfinite((left, top, wide, high, suv, opacity, centre, width)).all()
    ):
        raise ValueError
    frame = Frame.around(
        plane, (left, top, left + wide, top + high), width=_LARGE, height=round(_LARGE * 0.72)
    )
    own = replace(
        look,
        window=(centre, max(1.0, width)),
        suv_max=max(0.01, suv),
        pet_opacity=float(np.clip(opacity, 0, 1)),
        layer=_LAYERS[view["layer"]],
        selected=str(view.get("lesion", "")),
    )
    alt = f"{plane.name.capitalize()} slice {plane.index + 1} of {plane.count}, kept by a reader"
    return Picture(name=own.selected, alt=alt, uri=data_uri(render_slice(seen, plane, frame, own)))


def _seen(scene: Scene, view: Mapping[str, Any], shown: ShownImages | None) -> Scene:
    """Return the scene with the images that a view was of.

    One that is no longer there is a KeyError: another in its place would be another picture.
    """
    named: dict[Kind, str] = {kind: view[kind] for kind in ("ct", "pet") if view.get(kind)}
    if not named:
        return scene
    if shown is None:
        raise KeyError(*named.values())
    at = {kind: shown.names(kind).index(name) for kind, name in named.items()}
    return shown.in_place(scene, ct=at.get("ct", 0), pet=at.get("pet", 0))


def key_plane(scene: Scene, shape: Shape, name: PlaneName = "axial") -> Plane:
    """Return the plane on which a shape is largest."""
    plane = Plane(name=name, grid=scene.grid, index=0)
    points = shape.grid.to_mm(shape.grid.unravel(shape.voxels.indices()))
    at = np.floor(scene.grid.to_index(points)[:, plane.normal] + 0.5).astype(np.int64)
    at = at[(at >= 0) & (at < plane.count)]
    if not at.size:
        return replace(plane, index=plane.slice_at(points.mean(axis=0)))
    return replace(plane, index=int(np.argmax(np.bincount(at))))


def close_up(plane: Plane, shape: Shape, *, width: int, height: int) -> Frame:
    """Return a frame round a shape, wide enough to tell where in the body it lies."""
    around = plane.to_plane(box_corners(shape.box_mm))
    low, high = around.min(axis=0), around.max(axis=0)
    side = max(_LEAST_FIELD_MM, 2.5 * float((high - low).max()))
    left, top = (_placed(a, b, side, whole) for a, b, whole in zip(low, high, plane.size_mm, strict=True))
    right, bottom = (
        start + min(side, whole) for start, whole in zip((left, top), plane.size_mm, strict=True)
    )
    return Frame.around(plane, (left, top, right, bottom), width=width, height=height)


def _placed(low: float, high: float, side: float, whole: float) -> float:
    """Return where a stretch begins that holds the middle of another and stays within the whole."""
    if side >= whole:
        return 0.0
    inside = (low + high) / 2
    if not 0 <= inside <= whole:
        return float(inside - side / 2)
    return float(np.clip(inside - side / 2, 0.0, whole - side))


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Return a picture as a data URI that is the same on every machine."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(pixels)).decode()
