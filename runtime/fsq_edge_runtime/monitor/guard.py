"""Who may read the page: this machine under its own name, or whoever brings the token; nobody may write."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs

from fsq_edge_runtime.addresses import is_loopback

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The page's own files and nothing else; no other page may frame it.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
)


class Guard:
    """Lets a request pass or answers it itself.

    Args:
        app: what answers the requests that pass.
        local: whether only this machine can reach the server: then a foreign host name is refused, so that no web page
            elsewhere can read the stream through the browser.
        token: what a reader must bring: once as ``/?token=...``, which sets a cookie, or as a bearer; None asks for
            nothing.
        cookie: its name.
    """

    def __init__(self, app: App, *, local: bool, token: str | None, cookie: str) -> None:
        self._app, self._local, self._token, self._cookie = app, local, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        if scope["method"] not in ("GET", "HEAD"):
            await _refuse(send, 405, "the page takes no writes")
        elif self._local and not is_loopback(headers.get(b"host", b"").decode("latin-1")):
            await _refuse(send, 403, "a foreign host name")
        elif self._token is not None and not self._known(headers):
            await self._welcome(scope, send)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _known(self, headers: dict[bytes, bytes]) -> bool:
        bearer = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
        try:
            morsel = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(self._cookie)
        except CookieError:
            morsel = None
        return self._matches(bearer) or (morsel is not None and self._matches(morsel.value))

    async def _welcome(self, scope: Scope, send: Send) -> None:
        """Turn a token in the address into a cookie, so that it does not stay in the address bar."""
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8).get("token", [""])[0]
        if scope["path"] != "/" or not self._matches(given):
            await _refuse(send, 401, "open the address that the run printed: it has the token")
            return
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/".encode()
        await _answer(send, 303, b"", ((b"location", b"/"), (b"set-cookie", cookie)))

    def _matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or "").encode())


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int, reason: str) -> None:
    await _answer(send, status, f"{status}: {reason}\n".encode(), ((b"content-type", b"text/plain; charset=utf-8"),))


async def _answer(send: Send, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length, *_HEADERS]})
    await send({"type": "http.response.body", "body": body})
