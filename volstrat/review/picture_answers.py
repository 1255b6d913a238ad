"""What the page asks with GET about pictures: slices, views, outlines, values; bad numbers refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import numpy as np

from volstrat.pictures.planes import PLANES, Frame, Plane
from volstrat.pictures.png import png_bytes
from volstrat.pictures.projections import VIEWS, Projected
from volstrat.pictures.slices import Layer, Look, render_slice
from volstrat.review.places import lesion_at, nearest_other, values_at
from volstrat.review.showing import ImageDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from volstrat.geometry.array_types import Float64s
    from volstrat.pictures.planes import PlaneName
    from volstrat.pictures.scene import Scene
    from volstrat.review.places import Point
    from volstrat.review.plan_desk import PlanDesk
    from volstrat.review.session import ReviewSession

_MOST_PIXELS = 4096
_NARROWEST_HU = 1e-3
_PROJECTED: tuple[PlaneName, ...] = ("coronal", "sagittal")
Known = TypeVar("Known")


def json_answer(value: object, *, status: int = 200) -> Response:
    """Answer with JSON."""
    from starlette.responses import Response

    data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Response(data, status_code=status, media_type="application/json")


class _NoPictureError(Exception):
    """There is nothing to show, or what is asked for is none."""


def _known(value: Known | None) -> Known:
    if value is None:
        raise _NoPictureError
    return value


class _Asked:
    """What a request asks for; `_NoPictureError` where it is left out or makes no sense."""

    def __init__(self, request: Request) -> None:
        self.query = request.query_params

    def numbers(self, names: str) -> list[float]:
        try:
            values = [float(self.query[name]) for name in names.split()]
        except (KeyError, ValueError):
            raise _NoPictureError from None
        return _known(values if all(map(math.isfinite, values)) else None)

    def point(self) -> Point:
        x, y, z = self.numbers("x y z")
        return x, y, z

    def on(self, planes: Sequence[PlaneName] = PLANES) -> PlaneName | None:
        return next((name for name in planes if name == self.query.get("plane")), None)

    def plane(self, scene: Scene) -> Plane:
        plane = Plane(name=_known(self.on()), grid=scene.grid, index=0)
        return replace(plane, index=min(max(int(self.numbers("index")[0]), 0), plane.count - 1))

    def images(self) -> tuple[int, int]:
        """Return which CT and which PET are shown; 0 is the case's own."""
        try:
            ct, pet = self.numbers("ct pet")
        except _NoPictureError:
            return 0, 0
        return int(ct), int(pet)

    def frame(self) -> Frame:
        width, height, left, top, scale = self.numbers("w h left top scale")
        if not (1 <= width <= _MOST_PIXELS and 1 <= height <= _MOST_PIXELS and 1e-4 <= scale <= 1e4):
            raise _NoPictureError
        return Frame(width=int(width), height=int(height), left_mm=left, top_mm=top, mm_per_pixel=scale)

    def look(self) -> Look:
        centre, width, opacity, suv = self.numbers("centre width opacity suv")
        if width < _NARROWEST_HU or suv <= 0:
            raise _NoPictureError
        layer = self.query.get("layer", "fused")
        return Look(
            window=(centre, width),
            suv_max=suv,
            pet_opacity=min(max(opacity, 0.0), 1.0),
            layer=_known(next((one for one in get_args(Layer) if one == layer), None)),
            show_lesions=False,  # the page draws outlines itself: a mark changes no picture
        )


def picture_answers(session: ReviewSession, desk: PlanDesk) -> dict[str, Callable[[Request], Response]]:
    """Return what answers each path."""
    pictures = _Pictures(session, desk)
    return {
        "/slice.png": _answering(pictures.slice, _png),
        "/projection.png": _answering(pictures.projection, _png),
        "/view.png": _answering(pictures.view, _png),
        "/images": _answering(pictures.images),
        "/outlines": _answering(pictures.outlines),
        "/shadows": _answering(pictures.shadows),
        "/values": _answering(pictures.values),
        "/nearest": _answering(pictures.nearest),
        "/at": _answering(pictures.at),
        "/hottest": _answering(pictures.hottest),
    }


def _png(pixels: Any) -> Response:  # noqa: ANN401 - an array of uint8
    from starlette.responses import Response

    return Response(png_bytes(pixels, fast=True), media_type="image/png")


def _answering(
    find: Callable[[_Asked], object], written: Callable[[Any], Response] = json_answer
) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        try:
            return written(find(_Asked(request)))
        except _NoPictureError:
            return json_answer({"error": "There is no such picture."}, status=404)

    return answer


class _Pictures:
    """What the page is shown and told of a session's pictures."""

    def __init__(self, session: ReviewSession, desk: PlanDesk) -> None:
        self._showing, self._desk, self._images = session.showing, desk, ImageDesk(session)

    def slice(self, asked: _Asked) -> object:
        """Draw a slice, waiting until the CT holds it."""
        plane = asked.plane(_known(self._showing.scene))
        if self._showing.ct is not None:
            self._showing.ct.wait_for(plane)
        scene = _known(self._images.scene(*asked.images()))
        return render_slice(scene, plane, asked.frame(), asked.look())

    def projection(self, asked: _Asked) -> object:
        """Draw a projection of CT, PET or lesions along an axis."""
        projections, name, look = _known(self._showing.projections), asked.on(_PROJECTED), asked.look()
        of = next((one for one in get_args(Projected) if one == asked.query.get("of")), None)
        width, height = (int(min(max(n, 1), _MOST_PIXELS)) for n in asked.numbers("w h"))
        return projections.render(_known(name), of=_known(of), width=width, height=height, look=look)

    def view(self, asked: _Asked) -> object:
        """Draw the PET seen from one of the angles round the patient."""
        rotation = _known(self._images.rotation(asked.images()[1]))
        return rotation.render(int(asked.numbers("view")[0]) % VIEWS, asked.frame(), asked.look())

    def images(self, asked: _Asked) -> object:
        return self._images.as_json(*asked.images())

    def outlines(self, asked: _Asked) -> object:
        """Tell what a slice shows of each lesion and region: outlines in mm on the plane."""
        scene = _known(self._showing.scene)
        plane = asked.plane(scene)
        shapes = [(shape.name, loops) for shape, loops in scene.sections.on(plane)]
        return _rounded([*self._desk.outlines(scene, plane), *shapes])

    def shadows(self, asked: _Asked) -> object:
        """Tell the outlines of all lesions seen along an axis, in mm on the projection."""
        projections = _known(self._showing.projections)
        name: PlaneName = _known(asked.on(_PROJECTED))
        planned = self._desk.shadows(_known(self._showing.scene), name)
        return _rounded([*planned, *projections.shadows(name)])

    def values(self, asked: _Asked) -> object:
        scene, shown = _known(self._showing.scene), _known(self._images.scene(*asked.images()))
        point = asked.point()
        return {**values_at(shown, point), "lesion": lesion_at(scene, point, on=asked.on())}

    def at(self, asked: _Asked) -> object:
        scene, point = self._showing.scene, asked.point()
        return {"lesion": "" if scene is None else lesion_at(scene, point, on=asked.on())}

    def nearest(self, asked: _Asked) -> object:
        scene = self._showing.scene
        found = None if scene is None else nearest_other(scene, asked.query.get("lesion", ""))
        return {"nearest": None if found is None else {"lesion": found[0], "mm": found[1]}}

    def hottest(self, asked: _Asked) -> object:
        """Tell the point that a click on a projection, or on a view from round the patient, means."""
        u, v = asked.numbers("u v")
        rotation = self._images.rotation(asked.images()[1])
        if "view" in asked.query and rotation is not None:
            point = rotation.hottest(int(asked.numbers("view")[0]) % VIEWS, (u, v))
        else:
            point = _known(self._showing.projections).hottest(_known(asked.on(_PROJECTED)), (u, v))
        return {"point_mm": None if point is None else point.tolist()}


def _rounded(shapes: Sequence[tuple[str, Sequence[Float64s]]]) -> object:
    return {"shapes": [[who, [np.round(x.ravel(), 2).tolist() for x in loops]] for who, loops in shapes]}
