"""Who may talk to the page: this computer's browser that was given the link, and nobody else.

The server listens on the loopback address alone. Every request must name that address as its host (a
name that was rebound to it does not), come from the page itself or from no page, and carry the cookie
that the one-time link was exchanged for.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class Guard:
    """Checks each request before the page sees it; says a new link when a used one is opened again."""

    def __init__(self, app: ASGIApp, *, port: int, say: Callable[[str], None]) -> None:
        self._app = app
        self._port = port
        self._say = say
        self._session = secrets.token_urlsafe(32)
        self._token = secrets.token_urlsafe(32)
        self._used: set[str] = set()
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}
        self._cookie = f"volstrat_{port}"  # cookies do not tell ports apart

    def link(self) -> str:
        """Return the link that opens the page once."""
        return f"http://{HOST}:{self._port}/?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if scope["path"] == "/" and scope["method"] == "GET" and token:
            await self._exchange(token[0], send)
            return
        if not self._is_known(headers):
            await _answer(send, 403, "This page opens with the link that volstrat printed in its terminal.")
            return
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        if headers.get("host", "").lower() not in self._hosts:
            return 421, "This server answers to its own address only."
        origin = headers.get("origin")
        safe = scope["method"] in ("GET", "HEAD")
        foreign = not safe if origin is None else origin.lower() not in self._origins
        if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "Another page may not ask this one."
        return None

    async def _exchange(self, token: str, send: Send) -> None:
        """Take the one-time token, set the cookie, and lead to the address without the token."""
        if token in self._used:
            self._say(self.link())
            await _answer(send, 403, "This link was used already. The terminal shows a new one.")
            return
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            await _answer(send, 403, "This link is not the one that volstrat printed in its terminal.")
            return
        self._used.add(self._token)
        self._token = secrets.token_urlsafe(32)
        cookie = f"{self._cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/"
        await _answer(send, 303, "", {"location": "/", "set-cookie": cookie})

    def _is_known(self, headers: dict[str, str]) -> bool:
        cookies = dict(
            part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";") if part.strip()
        )
        return secrets.compare_digest(cookies.get(self._cookie, "").encode(), self._session.encode())


def _with_headers(send: Send) -> Send:
    """Send what the page answers with the headers that keep it to itself."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {k.lower() for k, _ in message["headers"]}
            extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in present]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sent


async def _answer(send: Send, status: int, text: str, headers: dict[str, str] | None = None) -> None:
    all_headers = {**_HEADERS, "content-type": "text/plain; charset=utf-8", **(headers or {})}
    start: Message = {
        "type": "http.response.start",
        "status": status,
        "headers": [(k.encode(), v.encode()) for k, v in all_headers.items()],
    }
    await send(start)
    await send({"type": "http.response.body", "body": text.encode()})
