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
from volstrat.pictures.key_slices import words_by_name
from volstrat.pictures.planes import PLANES, Frame, Plane
from volstrat.pictures.png import png_bytes
from volstrat.pictures.projections import Projected
from volstrat.pictures.slices import Look, render_slice
from volstrat.review.guard import HOST, Guard
from volstrat.review.mark_table import token_of
from volstrat.review.session import Mark, ReviewSession
from volstrat.review.state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from volstrat.pictures.planes import PlaneName

_STATIC = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
    "/panes.js": ("panes.js", "text/javascript; charset=utf-8"),
}
_MOST_PIXELS = 4096
_NARROWEST_HU = 1e-3
_LARGEST_BODY = 65536
_MARK_TYPES = get_type_hints(Mark)
_PROJECTED: tuple[PlaneName, ...] = ("coronal", "sagittal")


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

    def asset(request: Request) -> Response:
        name, kind = _STATIC[request.url.path]
        return Response(static.joinpath(name).read_bytes(), media_type=kind)

    def state(request: Request) -> Response:
        session.refresh()
        answer = state_of(session)
        if request.query_params.get("known") == answer["mark"]:
            return Response(status_code=204)
        return _json(answer)

    def picture(request: Request) -> Response:
        return _picture(session, request)

    def projection(request: Request) -> Response:
        return _projection(session, request)

    def at(request: Request) -> Response:
        return _at(session, request)

    def hottest(request: Request) -> Response:
        return _hottest(session, request)

    async def mark(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _json({"error": "The mark cannot be read."}, status=400)
        return await run_in_threadpool(_mark, session, body)

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
            Route("/at", at),
            Route("/hottest", hottest),
            Route("/mark", mark, methods=["POST"]),
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
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _mark(session: ReviewSession, body: Mapping[str, Any]) -> Response:
    """Save a mark; what stands in the way is told with the state as it is."""
    typed = all(key in _MARK_TYPES and type(word) is _MARK_TYPES[key] for key, word in body.items())
    if not typed or not {"lesion_id", "reading"} <= body.keys():
        return _json({"error": "The mark cannot be read."}, status=400)
    mark = Mark(**body)
    try:
        session.mark(mark)
    except MarkConflictError as error:
        now = session.refresh()
        theirs = None if now is None else now.table.rows.get(mark.lesion_id)
        answer = {"error": str(error), "conflict": {"token": token_of(theirs)}, "state": state_of(session)}
        return _json(answer, status=409)
    except VolstratError as error:
        return _json({"error": str(error), "state": state_of(session)}, status=422)
    return _json({"state": state_of(session)})


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
    reviewed = session.reviewed
    found = _numbers(request, "centre width opacity suv")
    if found is None or reviewed is None:
        return None
    centre, width, opacity, suv = found
    if width < _NARROWEST_HU or suv <= 0:
        return None
    record = (reviewed.result or reviewed.bare).record
    return Look(
        window=(centre, width),
        suv_max=suv,
        pet_opacity=min(max(opacity, 0.0), 1.0),
        markings=words_by_name(record),
        selected=request.query_params.get("selected", ""),
        show_lesions=request.query_params.get("lesions") != "0",
        show_avid=request.query_params.get("avid") != "0",
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
    return _png(render_slice(scene, here, frame, look))


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
    return _json({"lesion": session.lesion_at((found[0], found[1], found[2]), on=on)})


def _hottest(session: ReviewSession, request: Request) -> Response:
    """Answer with the point that a click on a projection means."""
    projections, found = session.projections, _numbers(request, "u v")
    plane = next((p for p in _PROJECTED if p == request.query_params.get("plane")), None)
    if projections is None or found is None or plane is None:
        return _refused()
    point = projections.hottest(plane, (found[0], found[1]))
    return _json({"point_mm": None if point is None else point.tolist()})
