"""The page's server: pictures as PNG, the state as JSON, marks as POST; on the loopback address only."""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from volstrat.errors import MarkConflictError, UsageError, VolstratError
from volstrat.review.guard import HOST, Guard
from volstrat.review.mark import Mark
from volstrat.review.mark_table import token_of
from volstrat.review.picture_answers import json_answer, picture_answers
from volstrat.review.plan_desk import PlanDesk
from volstrat.review.state import States, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from volstrat.review.session import ReviewSession

_PAGE = "page.html"
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript"}
_SWITCH_S = 0.001
"""An answer waits no longer for what is worked out beside it."""
_LARGEST_BODY = 4 << 20  # marks of thousands of lesions at once
_MARK_TYPES = {key: get_args(hint) or (hint,) for key, hint in get_type_hints(Mark).items()}
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
        raise UsageError(msg, hint='In the checkout, install the extra: pip install ".[review]".') from error

    listener = _listen(port)
    own = listener.getsockname()[1]
    app, guard = review_app(session, port=own, say=say)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none"
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

    static = {item.name: item for item in files("volstrat.review").joinpath("static").iterdir()}
    states = States(session)

    def asset(request: Request) -> Response:
        name = request.url.path.removeprefix("/") or _PAGE
        return Response(static[name].read_bytes(), media_type=_TYPES[name.rpartition(".")[2]])

    def state(request: Request) -> Response:
        session.refresh()
        known = request.query_params.get("known", "")
        if known == mark_of(session):
            return Response(status_code=204)
        return json_answer(states.since(known))

    desk = PlanDesk(session)

    def plans(_: Request) -> Response:
        return json_answer(desk.as_json())

    async def plan(request: Request) -> Response:
        body = await _body(request)
        if body is None or body.get("action") not in _PLAN_ACTIONS:
            return json_answer({"error": "The plan cannot be read."}, status=400)
        return await run_in_threadpool(_plan, desk, body)

    async def note(request: Request) -> Response:
        words = _texts(await _body(request))
        if words.get("kind") not in _NOTES:
            return json_answer({"error": "The note cannot be read."}, status=400)
        return await run_in_threadpool(_note, session, states, words)

    async def accept(request: Request) -> Response:
        words = _texts(await _body(request))
        if not words.get("code"):
            return json_answer({"error": "The finding cannot be read."}, status=400)
        return await run_in_threadpool(_accept, session, states, words)

    async def mark(request: Request) -> Response:
        body = await _body(request)
        marks = None if body is None else _marks(body)
        if not marks:
            return json_answer({"error": "The mark cannot be read."}, status=400)
        return await run_in_threadpool(_mark, session, states, marks, request.query_params.get("known", ""))

    def reload(_: Request) -> Response:
        threading.Thread(target=session.load, daemon=True).start()
        return json_answer({"ok": True})

    return Starlette(
        routes=[
            Route("/", asset),
            *(Route(f"/{name}", asset) for name in static if name != _PAGE),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Route("/state", state),
            *(Route(path, answer) for path, answer in picture_answers(session, desk).items()),
            Route("/mark", mark, methods=["POST"]),
            Route("/note", note, methods=["POST"]),
            Route("/accept", accept, methods=["POST"]),
            Route("/plans", plans),
            Route("/plan", plan, methods=["POST"]),
            Route("/reload", reload, methods=["POST"]),
        ]
    )


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
        return json_answer(answer, status=409)
    except VolstratError as error:
        return json_answer({"error": str(error), "state": states.since(known)}, status=422)
    return json_answer({"state": states.since(known)})


def _note(session: ReviewSession, states: States, words: Mapping[str, str]) -> Response:
    try:
        session.note(words["kind"], words.get("text", ""), words.get("by", ""))
    except VolstratError as error:
        return json_answer({"error": str(error)}, status=422)
    return json_answer({"state": states.since(words.get("known", ""))})


def _texts(body: Mapping[str, Any] | None) -> dict[str, str]:
    return {} if body is None else {k: v for k, v in body.items() if isinstance(v, str)}


def _accept(session: ReviewSession, states: States, words: Mapping[str, str]) -> Response:
    """Close an open review finding, by whom and why."""
    try:
        session.accept(
            words["code"], words.get("where", ""), by=words.get("by", ""), reason=words.get("reason", "")
        )
    except VolstratError as error:
        return json_answer({"error": str(error)}, status=422)
    return json_answer({"state": states.since(words.get("known", ""))})


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
        return json_answer({"error": str(error), **desk.as_json()}, status=422)
    return json_answer(desk.as_json())
