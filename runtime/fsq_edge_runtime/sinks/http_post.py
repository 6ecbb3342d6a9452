"""POST to one HTTP address, over a connection that is kept while it lasts."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fsq_edge_runtime.addresses import check_host
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.sinks.delivery import BusyError, RefusedError
from fsq_edge_runtime.tls import tls_context

TIMEOUT_S = 5.0
ANSWER_BYTES = 4096
USUAL_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """``http[s]://[USER@]HOST[:PORT][/PATH][?QUERY]`` without a password.

    Attributes:
        host: name or address.
        port: 80, or 443 with TLS, by default.
        path: begins with a slash.
        query: without the question mark; may be empty.
        user: or None.
        tls: encrypted.
    """

    host: str
    port: int
    path: str = field(repr=False)
    query: str = field(repr=False)
    user: str | None
    tls: bool

    @classmethod
    def parse(cls, text: str, shown: str, hint: str) -> HttpAddress:
        """Read an address; messages name it as ``shown``.

        Raises:
            UsageError: not such an address; a password in it.
        """
        try:
            url = urlsplit(text)
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError as error:  # its message quotes the address
            raise UsageError(f"{shown!r} is not an HTTP address", hint=hint) from error
        if url.scheme not in ("http", "https") or not url.hostname or not (url.path + url.query).isascii():
            raise UsageError(f"{shown!r} is not an HTTP address", hint=hint)
        if not text.isprintable() or " " in text:  # urlsplit leaves line ends out without a word
            raise UsageError(f"{shown!r} is not an HTTP address", hint=hint)
        if url.password is not None:
            raise UsageError(f"{shown!r}: an address must not hold a password", hint=hint)
        host = check_host(url.hostname, shown)
        return cls(host, port, url.path or "/", url.query, url.username, url.scheme == "https")

    @property
    def place(self) -> str:
        """Host and port, for messages: path and query may be secrets."""
        return f"{self.host}:{self.port}"


class HttpPost:
    """Sends bodies to one address. For one thread.

    Args:
        address: where to; redirections are not followed, and proxies of the environment are not used.
        target: path and query of the request.
        headers: of every request.
        ca: certificate authority's file; None trusts the system's.

    Raises:
        MissingInputError: the certificate authority's file cannot be read.
        DataError: it is none.
    """

    def __init__(self, address: HttpAddress, target: str, headers: Mapping[str, str], ca: str | None = None) -> None:
        self._address, self._target, self._headers = address, target, dict(headers)
        self._context = tls_context(ca) if address.tls else None
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a body and wait for the answer.

        Raises:
            OSError: no answer, or one that says to try again.
            BusyError: the receiver asks for a pause.
            RefusedError: it will never take this.
        """
        try:
            connection = self._connection = self._connection or self._connect()
            connection.request("POST", self._target, body, {**self._headers, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read(ANSWER_BYTES)
            if answer.will_close or not answer.isclosed():
                self.close()
        except OSError:  # before the next: a connection that the other side closed is both
            self.close()
            raise
        except http.client.HTTPException as error:
            self.close()
            raise ConnectionError(f"{self._address.place} does not speak HTTP ({type(error).__name__})") from error
        self._judge(answer.status, answer.getheader("Retry-After"), text)

    def close(self) -> None:
        """Let the connection go; the next send makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _judge(self, status: int, retry_after: str | None, text: bytes) -> None:
        if 200 <= status < 300:
            return
        if status in (429, 503):
            known = retry_after is not None and retry_after.isascii() and retry_after.isdecimal()
            raise BusyError(float(retry_after or 0) if known else USUAL_PAUSE_S)
        said = f"{self._address.place} answers {status}"
        if status >= 500 or status in (401, 403, 404, 408):  # a receiver that is being set up answers so, too
            raise ConnectionError(said)
        shown = text.decode("utf-8", "replace").strip().splitlines() or [""]
        raise RefusedError(f"{said}: {shown[0][:200]!r}" if shown[0] else said)

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address.host, self._address.port
        if self._context is not None:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
