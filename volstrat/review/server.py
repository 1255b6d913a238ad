"""The page's server: pictures as PNG, the state as JSON, marks as POST; on the loopback address only."""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from volstrat.errors import MarkConflictError, UsageError, VolstratError
from volstrat.review.guard import HOST, Guard
from volstrat.review.mark_table import Mark, token_of
from volstrat.review.picture_answers import json_answer, picture_answers
from volstrat.review.plan_desk import PlanDesk
from volstrat.review.state import States, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from volstrat.review.session import ReviewSession

_PAGE = "page.html"
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}
_SWITCH_S = 0.001
"""An answer waits no longer for what is worked out beside it."""
_LARGEST_BODY = 4 << 20  # marks of thousands of lesions at once
_MARK_TYPES = {key: get_args(hint) or (hint,) for key, hint in get_type_hints(Mark).items()}
Read = TypeVar("Read")
_NOTES = ("complete", "reopened", "note", "key_image")


def serve(
    session: ReviewSession,
    *,
    port: int,
    opened: Callable[[str], None],
    say: Callable[[str], None],
) -> None:
    """Load the case and serve its page until interrupted.

    ``opened`` is called with the link once the server listens on a ``port`` (0: a free one), ``say`` with a
    new link when an old one is opened again. A folder that is no case, and a port that is taken, are refused.
    """
    try:
        import uvicorn
    except ImportError as error:
        msg = "The review page needs uvicorn and Starlette, which are not installed."
        raise UsageError(msg, hint='In the checkout, install the extra: pip install ".[review]".') from error

    session.check_is_case()
    listener = _listen(port)
    guard = Guard(_app(session), port=listener.getsockname()[1], say=say)
    config = uvicorn.Config(
        guard, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none"
    )
    threading.Thread(target=session.load, daemon=True).start()
    opened(guard.link())
    sys.setswitchinterval(_SWITCH_S)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn passes on what ended it
        pass
    finally:
        listener.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        msg = f"Port {port} cannot be used ({error.strerror})."
        if error.errno == errno.EADDRINUSE:
            msg = f"Port {port} is taken by another program."
        raise UsageError(msg, hint="Name another with --port, or leave it out.") from error


def _app(session: ReviewSession) -> Starlette:
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    static = {item.name: item for item in files("volstrat.review").joinpath("static").iterdir()}
    states, desk = States(session), PlanDesk(session)

    def asset(request: Request) -> Response:
        name = request.url.path.removeprefix("/") or _PAGE
        return Response(static[name].read_bytes(), media_type=_TYPES[name.rpartition(".")[2]])

    def state(request: Request) -> Response:
        session.refresh()
        known = request.query_params.get("known", "")
        if known == mark_of(session, session.reviewed):
            return Response(status_code=204)
        return json_answer(states.since(known))

    def told(known: str) -> dict[str, Any]:
        return {"state": states.since(known)}

    def conflict(marks: Sequence[Mark]) -> dict[str, Any]:
        now = session.refresh()
        return {"token": token_of(None if now is None else now.rows.get(marks[0].lesion_id))}

    def reload(_: Request) -> Response:
        threading.Thread(target=session.load, daemon=True).start()
        return json_answer({"ok": True})

    return Starlette(
        routes=[
            Route("/", asset),
            *(Route(f"/{name}", asset) for name in static if name != _PAGE),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Route("/state", state),
            Route("/plans", lambda _: json_answer(desk.as_json())),
            *(Route(path, answer) for path, answer in picture_answers(session, desk).items()),
            _post("/mark", "mark", _marks, lambda marks: session.mark(*marks), told, conflict=conflict),
            _post("/note", "note", _note, lambda words: session.note(**words), told),
            _post("/accept", "finding", _finding, lambda words: session.accept(**words), told),
            _post("/plan", "plan", _plan, lambda do: do(desk), lambda _: desk.as_json()),
            Route("/reload", reload, methods=["POST"]),
        ]
    )


def _post(
    path: str,
    what: str,
    read: Callable[[Mapping[str, Any]], Read | None],
    act: Callable[[Read], object],
    told: Callable[[str], Mapping[str, Any]],
    *,
    conflict: Callable[[Read], Mapping[str, Any]] = lambda _: {},
) -> Route:
    """Return what answers a POST: it is read and done, and answered with how all is then (``told``)."""
    from starlette.concurrency import run_in_threadpool
    from starlette.routing import Route

    def done(asked: Read, known: str) -> Response:
        answer, status = dict[str, Any](), 200
        try:
            act(asked)
        except MarkConflictError as error:
            answer, status = {"error": str(error), "conflict": conflict(asked)}, 409
        except VolstratError as error:
            answer, status = {"error": str(error)}, 422
        return json_answer({**answer, **told(known)}, status=status)

    async def answer(request: Request) -> Response:
        body = await _body(request) or {}
        asked = read(body)
        if not asked:
            return json_answer({"error": f"The {what} cannot be read."}, status=400)
        known = body.get("known") or request.query_params.get("known", "")
        return await run_in_threadpool(done, asked, str(known))

    return Route(path, answer, methods=["POST"])


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


def _words(body: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Return texts of a body by name; "" for what is absent or none."""
    return {name: body[name] if isinstance(body.get(name), str) else "" for name in names}


def _note(body: Mapping[str, Any]) -> dict[str, str] | None:
    return _words(body, "kind", "text", "by") if body.get("kind") in _NOTES else None


def _finding(body: Mapping[str, Any]) -> dict[str, str] | None:
    words = _words(body, "code", "where", "by", "reason")
    return words if words["code"] else None


def _plan(body: Mapping[str, Any]) -> Callable[[PlanDesk], None] | None:
    """Read what is to be done with a plan; None where it is nothing that can be."""
    words = _words(body, "action", "plan", "like", "title", "by", "reason")
    asked = body.get("segments")
    segments = [s for s in asked if isinstance(s, str)] if isinstance(asked, list) else []
    does: dict[str, Callable[[PlanDesk], None]] = {
        "show": lambda desk: desk.show(words["plan"]),
        "try": lambda desk: desk.try_segments(segments, words["like"]),
        "save": lambda desk: desk.save(words["plan"], words["title"], words["by"]),
        "choose": lambda desk: desk.choose(words["plan"], words["by"], words["reason"]),
    }
    return does.get(words["action"])
