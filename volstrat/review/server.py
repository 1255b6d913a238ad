"""The page's server: pictures as PNG, the state as JSON, marks as POST; on the loopback address only."""

from __future__ import annotations

import errno
import json
import math
import socket
import threading
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from volstrat.errors import MarkConflictError, UsageError, VolstratError
from volstrat.pictures.planes import PLANES, Frame, Plane
from volstrat.pictures.png import png_bytes
from volstrat.pictures.projections import Projected
from volstrat.pictures.rotation import VIEWS
from volstrat.pictures.slices import Layer, Look, outlines_on, render_slice
from volstrat.review.guard import HOST, Guard
from volstrat.review.mark import Mark
from volstrat.review.mark_table import token_of
from volstrat.review.places import lesion_at, nearest_other, values_at
from volstrat.review.plan_desk import PlanDesk
from volstrat.review.state import States, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from volstrat.pictures.planes import PlaneName
    from volstrat.review.session import ReviewSession

_STATIC = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
    **{
        f"/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8")
        for name in ("panes", "pictures", "store", "table", "marks", "plans")
    },
}
_MOST_PIXELS = 4096
_NARROWEST_HU = 1e-3
_LARGEST_BODY = 4 << 20  # marks of thousands of lesions at once
_MARK_TYPES = {key: get_args(hint) or (hint,) for key, hint in get_type_hints(Mark).items()}
_PROJECTED: tuple[PlaneName, ...] = ("coronal", "sagittal")
_PLAN_ACTIONS = ("show", "try", "save", "choose")
_NOTES = ("complete", "reopened", "note", "key_image")


def review_app(session: ReviewSession, *, port: int, say: Callable[[str], None]) -> tuple[ASGIApp, Guard]:
    """Return the page's application, guarded, and its guard, which knows the link.

    Parameters
    ----------
    say : callable
        Called with a new link when an old one is opened again.
    """
    guard = Guard(_app(session), port=port, say=say)
    return guard, guard


def serve(
    session: ReviewSession,
    *,
    port: int,
    opened: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Load the case and serve its page until interrupted.

    Parameters
    ----------
    port : int
        0 takes a free one.
    opened : callable
        Called with the link once the server listens.
    say : callable
        Called with a new link when an old one is opened again.

    Raises
    ------
    UsageError
        If the port is taken.
    """
    try:
        import uvicorn
    except ImportError as error:
        msg = "The review page needs uvicorn and Starlette, which are not installed."
        raise UsageError(
            msg, hint='Install volstrat with its extra: pip install "volstrat[review]".'
        ) from error

    listener = _listen(port)
    own = listener.getsockname()[1]
    app, guard = review_app(session, port=own, say=say)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none"
    )
    threading.Thread(target=session.load, daemon=True).start()
    opened(guard.link())
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn passes on what ended it
        pass
    finally:
        listener.close()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            msg = f"Port {port} is taken by another program."
            raise UsageError(msg, hint="Name another with --port, or leave it out.") from error
        msg = f"Port {port} cannot be used ({error.strerror})."
        raise UsageError(msg, hint="Name another with --port, or leave it out.") from error
    return listener


def _app(session: ReviewSession) -> Starlette:
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response
    from starlette.routing import Route

    static = files("volstrat.review").joinpath("static")
    states = States(session)

    def asset(request: Request) -> Response:
        name, kind = _STATIC[request.url.path]
        return Response(static.joinpath(name).read_bytes(), media_type=kind)

    def state(request: Request) -> Response:
        session.refresh()
        known = request.query_params.get("known", "")
        if known == mark_of(session):
            return Response(status_code=204)
        return _json(states.since(known))

    desk = PlanDesk(session)

    def outlines(request: Request) -> Response:
        return _outlines(session, request, desk)

    def plans(_: Request) -> Response:
        return _json(desk.told())

    async def plan(request: Request) -> Response:
        body = await _body(request)
        if body is None or body.get("action") not in _PLAN_ACTIONS:
            return _json({"error": "The plan cannot be read."}, status=400)
        return await run_in_threadpool(_plan, desk, body)

    def shadows(request: Request) -> Response:
        return _shadows(session, request, desk)

    def values(request: Request) -> Response:
        return _values(session, request)

    def nearest(request: Request) -> Response:
        scene = session.scene
        found = None if scene is None else nearest_other(scene, request.query_params.get("lesion", ""))
        return _json({"nearest": None if found is None else {"lesion": found[0], "mm": found[1]}})

    def view(request: Request) -> Response:
        return _view(session, request)

    async def note(request: Request) -> Response:
        words = _texts(await _body(request))
        if words.get("kind") not in _NOTES:
            return _json({"error": "The note cannot be read."}, status=400)
        return await run_in_threadpool(_note, session, states, words)

    def picture(request: Request) -> Response:
        return _picture(session, request)

    def projection(request: Request) -> Response:
        return _projection(session, request)

    def at(request: Request) -> Response:
        return _at(session, request)

    def hottest(request: Request) -> Response:
        return _hottest(session, request)

    async def accept(request: Request) -> Response:
        words = _texts(await _body(request))
        if not words.get("code"):
            return _json({"error": "The finding cannot be read."}, status=400)
        return await run_in_threadpool(_accept, session, states, words)

    async def mark(request: Request) -> Response:
        body = await _body(request)
        marks = None if body is None else _marks(body)
        if not marks:
            return _json({"error": "The mark cannot be read."}, status=400)
        return await run_in_threadpool(_mark, session, states, marks, request.query_params.get("known", ""))

    def reload(_: Request) -> Response:
        threading.Thread(target=session.load, daemon=True).start()
        return _json({"ok": True})

    return Starlette(
        routes=[
            *(Route(path, asset) for path in _STATIC),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Route("/state", state),
            Route("/slice.png", picture),
            Route("/projection.png", projection),
            Route("/view.png", view),
            Route("/outlines", outlines),
            Route("/shadows", shadows),
            Route("/values", values),
            Route("/nearest", nearest),
            Route("/at", at),
            Route("/hottest", hottest),
            Route("/mark", mark, methods=["POST"]),
            Route("/note", note, methods=["POST"]),
            Route("/accept", accept, methods=["POST"]),
            Route("/plans", plans),
            Route("/plan", plan, methods=["POST"]),
            Route("/reload", reload, methods=["POST"]),
        ]
    )


def _json(value: object, *, status: int = 200) -> Response:
    from starlette.responses import Response

    data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Response(data, status_code=status, media_type="application/json")


def _png(pixels: Any) -> Response:  # noqa: ANN401 - an array of uint8
    from starlette.responses import Response

    return Response(png_bytes(pixels, fast=True), media_type="image/png")


async def _body(request: Request) -> Mapping[str, Any] | None:
    """Read a JSON object of moderate size; None where it is none."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _LARGEST_BODY:
            return None
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):  # no JSON, or nested deeper than anything the page sends
        return None
    return body if isinstance(body, dict) else None


def _marks(body: Mapping[str, Any]) -> list[Mark] | None:
    """Read one mark, or several under ``marks``; None where one is none."""
    several = body.get("marks")
    found = []
    for one in several if isinstance(several, list) else [body]:
        if not isinstance(one, dict) or not {"lesion_id", "reading"} <= one.keys():
            return None
        if not all(key in _MARK_TYPES and type(word) in _MARK_TYPES[key] for key, word in one.items()):
            return None
        found.append(Mark(**one))
    return found


def _mark(session: ReviewSession, states: States, marks: Sequence[Mark], known: str) -> Response:
    """Save marks; what stands in the way is told with the state as it is."""
    try:
        session.mark(*marks)
    except MarkConflictError as error:
        now = session.refresh()
        theirs = None if now is None else now.rows.get(marks[0].lesion_id)
        answer = {
            "error": str(error),
            "conflict": {"token": token_of(theirs)},
            "state": states.since(known),
        }
        return _json(answer, status=409)
    except VolstratError as error:
        return _json({"error": str(error), "state": states.since(known)}, status=422)
    return _json({"state": states.since(known)})


def _note(session: ReviewSession, states: States, words: Mapping[str, str]) -> Response:
    try:
        session.note(words["kind"], words.get("text", ""), words.get("by", ""))
    except VolstratError as error:
        return _json({"error": str(error)}, status=422)
    return _json({"state": states.since(words.get("known", ""))})


def _texts(body: Mapping[str, Any] | None) -> dict[str, str]:
    return {} if body is None else {k: v for k, v in body.items() if isinstance(v, str)}


def _accept(session: ReviewSession, states: States, words: Mapping[str, str]) -> Response:
    """Close an open review finding, by whom and why."""
    try:
        session.accept(
            words["code"], words.get("where", ""), by=words.get("by", ""), reason=words.get("reason", "")
        )
    except VolstratError as error:
        return _json({"error": str(error)}, status=422)
    return _json({"state": states.since(words.get("known", ""))})


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
    return _json({"error": "There is no such picture."}, status=404)


def _picture(session: ReviewSession, request: Request) -> Response:
    scene, look, frame = session.scene, _look(session, request), _frame(request)
    name, at = request.query_params.get("plane"), _numbers(request, "index")
    plane = next((p for p in PLANES if p == name), None)
    if scene is None or look is None or frame is None or plane is None or at is None:
        return _refused()
    here = Plane(name=plane, grid=scene.grid, index=0)
    here = replace(here, index=min(max(int(at[0]), 0), here.count - 1))
    if session.ct is not None:
        session.ct.wait_for(here)
    return _png(render_slice(scene, here, frame, look))


def _plan(desk: PlanDesk, body: Mapping[str, Any]) -> Response:
    """Show, try, save or choose a plan, and answer with the comparison as it is then."""
    words = {key: value for key, value in body.items() if isinstance(value, str)}
    segments = [s for s in body.get("segments") or [] if isinstance(s, str)]
    try:
        if body["action"] == "show":
            desk.show(words.get("plan", ""))
        elif body["action"] == "try":
            desk.try_segments(segments, words.get("like", ""))
        elif body["action"] == "save":
            desk.save(words.get("plan", ""), words.get("title", ""), words.get("by", ""))
        else:
            desk.choose(words.get("plan", ""), words.get("by", ""), words.get("reason", ""))
    except VolstratError as error:
        return _json({"error": str(error), **desk.told()}, status=422)
    return _json(desk.told())


def _outlines(session: ReviewSession, request: Request, desk: PlanDesk) -> Response:
    """Answer with what a slice shows of each lesion and region: outlines in mm on the plane."""
    scene, at = session.scene, _numbers(request, "index")
    name = next((p for p in PLANES if p == request.query_params.get("plane")), None)
    if scene is None or name is None or at is None:
        return _refused()
    plane = Plane(name=name, grid=scene.grid, index=0)
    plane = replace(plane, index=min(max(int(at[0]), 0), plane.count - 1))
    shapes = [*desk.outlines(scene, plane), *outlines_on(scene, plane)]
    return _json({"shapes": [[who, _rounded(loops)] for who, loops in shapes]})


def _shadows(session: ReviewSession, request: Request, desk: PlanDesk) -> Response:
    """Answer with the outlines of all lesions seen along an axis, in mm on the projection."""
    projections = session.projections
    name = next((p for p in _PROJECTED if p == request.query_params.get("plane")), None)
    if projections is None or name is None or session.scene is None:
        return _refused()
    shapes = [*desk.shadows(session.scene, name), *projections.shadows(name)]
    return _json({"shapes": [[who, _rounded(loops)] for who, loops in shapes]})


def _rounded(loops: Sequence[Any]) -> list[list[float]]:
    return [[round(x, 2) for x in loop.ravel().tolist()] for loop in loops]


def _values(session: ReviewSession, request: Request) -> Response:
    scene, found = session.scene, _numbers(request, "x y z")
    if scene is None or found is None:
        return _refused()
    point = (found[0], found[1], found[2])
    on = next((p for p in PLANES if p == request.query_params.get("plane")), None)
    return _json({**values_at(scene, point), "lesion": lesion_at(scene, point, on=on)})


def _view(session: ReviewSession, request: Request) -> Response:
    rotation, look = session.rotation, _look(session, request)
    frame, found = _frame(request), _numbers(request, "view")
    if rotation is None or look is None or frame is None or found is None:
        return _refused()
    return _png(rotation.render(int(found[0]) % VIEWS, frame, look))


def _projection(session: ReviewSession, request: Request) -> Response:
    projections, look, size = session.projections, _look(session, request), _numbers(request, "w h")
    plane = next((p for p in _PROJECTED if p == request.query_params.get("plane")), None)
    of = next((o for o in get_args(Projected) if o == request.query_params.get("of")), None)
    if projections is None or look is None or size is None or plane is None or of is None:
        return _refused()
    width, height = (int(min(max(n, 1), _MOST_PIXELS)) for n in size)
    return _png(projections.render(plane, of=of, width=width, height=height, look=look))


def _at(session: ReviewSession, request: Request) -> Response:
    found = _numbers(request, "x y z")
    if found is None:
        return _refused()
    on = next((p for p in PLANES if p == request.query_params.get("plane")), None)
    scene = session.scene
    return _json({"lesion": "" if scene is None else lesion_at(scene, (found[0], found[1], found[2]), on=on)})


def _hottest(session: ReviewSession, request: Request) -> Response:
    """Answer with the point that a click on a projection, or on a view from round the patient, means."""
    projections, found = session.projections, _numbers(request, "u v")
    view = _numbers(request, "view")
    if view is not None and found is not None and session.rotation is not None:
        there = session.rotation.hottest(int(view[0]) % VIEWS, (found[0], found[1]))
        return _json({"point_mm": None if there is None else there.tolist()})
    plane = next((p for p in _PROJECTED if p == request.query_params.get("plane")), None)
    if projections is None or found is None or plane is None:
        return _refused()
    point = projections.hottest(plane, (found[0], found[1]))
    return _json({"point_mm": None if point is None else point.tolist()})
