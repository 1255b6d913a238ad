"""What the page asks with GET about pictures: slices, views, outlines, values; bad numbers refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from volstrat.pictures.planes import PLANES, Frame, Plane
from volstrat.pictures.png import png_bytes
from volstrat.pictures.projections import Projected
from volstrat.pictures.rotation import VIEWS
from volstrat.pictures.slices import Layer, Look, render_slice
from volstrat.review.image_desk import ImageDesk
from volstrat.review.places import lesion_at, nearest_other, values_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from volstrat.pictures.planes import PlaneName
    from volstrat.review.plan_desk import PlanDesk
    from volstrat.review.session import ReviewSession

_MOST_PIXELS = 4096
_NARROWEST_HU = 1e-3
_PROJECTED: tuple[PlaneName, ...] = ("coronal", "sagittal")


def json_answer(value: object, *, status: int = 200) -> Response:
    """Answer with JSON."""
    from starlette.responses import Response

    data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Response(data, status_code=status, media_type="application/json")


def _drawn(pixels: Any) -> Response:  # noqa: ANN401 - an array of uint8
    """Answer with a PNG."""
    from starlette.responses import Response

    return Response(png_bytes(pixels, fast=True), media_type="image/png")


def _numbers(request: Request, names: str) -> list[float] | None:
    """Read finite numbers from the query; None where one is missing or is none."""
    try:
        values = [float(request.query_params[name]) for name in names.split()]
    except (KeyError, ValueError):
        return None
    return values if all(map(math.isfinite, values)) else None


def _frame(request: Request) -> Frame | None:
    found = _numbers(request, "w h left top scale")
    if found is None:
        return None
    width, height, left, top, scale = found
    if not (1 <= width <= _MOST_PIXELS and 1 <= height <= _MOST_PIXELS and 1e-4 <= scale <= 1e4):
        return None
    return Frame(width=int(width), height=int(height), left_mm=left, top_mm=top, mm_per_pixel=scale)


def _look(session: ReviewSession, request: Request) -> Look | None:
    found = _numbers(request, "centre width opacity suv")
    layer = next((x for x in get_args(Layer) if x == request.query_params.get("layer", "fused")), None)
    if found is None or layer is None:
        return None
    centre, width, opacity, suv = found
    if width < _NARROWEST_HU or suv <= 0:
        return None
    return Look(
        window=(centre, width),
        suv_max=suv,
        pet_opacity=min(max(opacity, 0.0), 1.0),
        layer=layer,
        show_lesions=False,  # the page draws outlines itself: a mark changes no picture
        show_avid=False,
    )


def _refused() -> Response:
    return json_answer({"error": "There is no such picture."}, status=404)


def _picture(session: ReviewSession, images: ImageDesk, request: Request) -> Response:
    """Answer with a slice, waiting until the CT holds it."""
    scene, look, frame = session.showing.scene, _look(session, request), _frame(request)
    name, at = request.query_params.get("plane"), _numbers(request, "index")
    plane = next((p for p in PLANES if p == name), None)
    if scene is None or look is None or frame is None or plane is None or at is None:
        return _refused()
    here = Plane(name=plane, grid=scene.grid, index=0)
    here = replace(here, index=min(max(int(at[0]), 0), here.count - 1))
    if session.showing.ct is not None:
        session.showing.ct.wait_for(here)
    shown = images.scene(*_which(request))
    return _refused() if shown is None else _drawn(render_slice(shown, here, frame, look))


def _images(images: ImageDesk, request: Request) -> Response:
    """Answer with what can be shown in place, and read what is asked for."""
    return json_answer(images.as_json(*_which(request)))


def _which(request: Request) -> tuple[int, int]:
    """Return which CT and which PET are shown; 0 is the case's own."""
    found = _numbers(request, "ct pet")
    return (0, 0) if found is None else (int(found[0]), int(found[1]))


def _outlines(session: ReviewSession, desk: PlanDesk, request: Request) -> Response:
    """Answer with what a slice shows of each lesion and region: outlines in mm on the plane."""
    scene, at = session.showing.scene, _numbers(request, "index")
    name = next((p for p in PLANES if p == request.query_params.get("plane")), None)
    if scene is None or name is None or at is None:
        return _refused()
    plane = Plane(name=name, grid=scene.grid, index=0)
    plane = replace(plane, index=min(max(int(at[0]), 0), plane.count - 1))
    shapes = [*desk.outlines(scene, plane), *((s.name, loops) for s, loops in scene.sections.on(plane))]
    return json_answer({"shapes": [[who, _rounded(loops)] for who, loops in shapes]})


def _shadows(session: ReviewSession, desk: PlanDesk, request: Request) -> Response:
    """Answer with the outlines of all lesions seen along an axis, in mm on the projection."""
    projections = session.showing.projections
    name = next((p for p in _PROJECTED if p == request.query_params.get("plane")), None)
    if projections is None or name is None or session.showing.scene is None:
        return _refused()
    shapes = [*desk.shadows(session.showing.scene, name), *projections.shadows(name)]
    return json_answer({"shapes": [[who, _rounded(loops)] for who, loops in shapes]})


def _rounded(loops: Sequence[Any]) -> list[list[float]]:
    return [np.round(loop.ravel(), 2).tolist() for loop in loops]


def _values(session: ReviewSession, images: ImageDesk, request: Request) -> Response:
    """Answer with HU, SUV and lesion at a point."""
    scene, found = session.showing.scene, _numbers(request, "x y z")
    shown = images.scene(*_which(request))
    if scene is None or shown is None or found is None:
        return _refused()
    point = (found[0], found[1], found[2])
    on = next((p for p in PLANES if p == request.query_params.get("plane")), None)
    return json_answer({**values_at(shown, point), "lesion": lesion_at(scene, point, on=on)})


def _view(session: ReviewSession, images: ImageDesk, request: Request) -> Response:
    """Answer with the PET seen from one of the angles round the patient."""
    rotation, look = images.rotation(_which(request)[1]), _look(session, request)
    frame, found = _frame(request), _numbers(request, "view")
    if rotation is None or look is None or frame is None or found is None:
        return _refused()
    return _drawn(rotation.render(int(found[0]) % VIEWS, frame, look))


def _projection(session: ReviewSession, request: Request) -> Response:
    """Answer with a projection of CT, PET or lesions along an axis."""
    projections, look, size = session.showing.projections, _look(session, request), _numbers(request, "w h")
    plane = next((p for p in _PROJECTED if p == request.query_params.get("plane")), None)
    of = next((o for o in get_args(Projected) if o == request.query_params.get("of")), None)
    if projections is None or look is None or size is None or plane is None or of is None:
        return _refused()
    width, height = (int(min(max(n, 1), _MOST_PIXELS)) for n in size)
    return _drawn(projections.render(plane, of=of, width=width, height=height, look=look))


def _lesion_here(session: ReviewSession, request: Request) -> Response:
    """Answer with the lesion at a point, if any."""
    found = _numbers(request, "x y z")
    if found is None:
        return _refused()
    on = next((p for p in PLANES if p == request.query_params.get("plane")), None)
    scene = session.showing.scene
    return json_answer(
        {"lesion": "" if scene is None else lesion_at(scene, (found[0], found[1], found[2]), on=on)}
    )


def _hottest(session: ReviewSession, images: ImageDesk, request: Request) -> Response:
    """Answer with the point that a click on a projection, or on a view from round the patient, means."""
    projections, found = session.showing.projections, _numbers(request, "u v")
    view, rotation = _numbers(request, "view"), images.rotation(_which(request)[1])
    if view is not None and found is not None and rotation is not None:
        there = rotation.hottest(int(view[0]) % VIEWS, (found[0], found[1]))
        return json_answer({"point_mm": None if there is None else there.tolist()})
    plane = next((p for p in _PROJECTED if p == request.query_params.get("plane")), None)
    if projections is None or found is None or plane is None:
        return _refused()
    point = projections.hottest(plane, (found[0], found[1]))
    return json_answer({"point_mm": None if point is None else point.tolist()})


def _nearest(session: ReviewSession, request: Request) -> Response:
    """Answer with the lesion closest to one, and how far it is."""
    scene = session.showing.scene
    found = None if scene is None else nearest_other(scene, request.query_params.get("lesion", ""))
    return json_answer({"nearest": None if found is None else {"lesion": found[0], "mm": found[1]}})


def picture_answers(session: ReviewSession, desk: PlanDesk) -> dict[str, Callable[[Request], Response]]:
    """Return what answers each path."""
    images = ImageDesk(session)
    return {
        "/images": partial(_images, images),
        "/slice.png": partial(_picture, session, images),
        "/projection.png": partial(_projection, session),
        "/view.png": partial(_view, session, images),
        "/outlines": partial(_outlines, session, desk),
        "/shadows": partial(_shadows, session, desk),
        "/values": partial(_values, session, images),
        "/nearest": partial(_nearest, session),
        "/at": partial(_lesion_here, session),
        "/hottest": partial(_hottest, session, images),
    }
