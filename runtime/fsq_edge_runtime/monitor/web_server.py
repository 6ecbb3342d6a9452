"""uvicorn on a thread of its own, with bounds: few connections, short requests, no word on standard error."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from fsq_edge_runtime.errors import UnavailableError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.ports import in_use_hint

MAX_CONNECTIONS: Final = 32  # sixteen viewers of the page, and as many short requests
REQUEST_S: Final = 5.0  # for the whole of a request, however slowly it comes
REQUEST_BYTES: Final = 16 * 1024
STALL_S: Final = 20.0  # without a byte taken: a phone that left would keep the place of another viewer
CLOSE_S: Final = 0.7


class PageServer:
    """Serves an ASGI application until it is closed.

    Args:
        host: address to listen on.
        port: 0 takes a free one (see :attr:`port`).
        app: makes what answers, from the port.
        tick: called every ``tick_s`` seconds on the server's thread, and once more at the end.
        tick_s: seconds.

    Attributes:
        port: the port in use.

    Raises:
        UnavailableError: uvicorn is not installed, or the address cannot be bound.
    """

    def __init__(
        self, host: str, port: int, app: Callable[[int], Any], tick: Callable[[], None], tick_s: float
    ) -> None:
        uvicorn: Any = need("uvicorn", "monitor", "the live page")
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app(self.port), http=bounded_protocol(), ws="none", loop="asyncio", lifespan="off", log_config=None,
            log_level="critical", access_log=False, server_header=False, date_header=False, proxy_headers=False,
            h11_max_incomplete_event_size=REQUEST_BYTES, timeout_graceful_shutdown=0,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._tick, self._tick_s = tick, tick_s
        self._closing = threading.Event()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._runner.get_loop()  # made here, so that a process without descriptors is refused here
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand out the last news and stop serving, within ``CLOSE_S``."""
        self._closing.set()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        with self._socket, self._runner:
            self._runner.run(self._serve())

    async def _serve(self) -> None:
        # A connection that is reset is the other side's affair.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._closing.is_set() and not serving.done():
            await asyncio.sleep(self._tick_s)
            self._tick()
        await asyncio.sleep(0.1)  # the viewers take the last news
        self._server.should_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.close()
        with contextlib.suppress(Exception):
            await serving


def bounded_protocol() -> type:
    """Return uvicorn's protocol with bounds on connections and on how long one may say or take nothing."""
    module: Any = need("uvicorn.protocols.http.h11_impl", "monitor", "the live page")

    class BoundedProtocol(module.H11Protocol):  # type: ignore[misc]  # uvicorn is imported where it is needed
        """One connection: it says its request in time and takes its answer, or is closed."""

        _patience: asyncio.TimerHandle | None = None
        _stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > MAX_CONNECTIONS:
                transport.close()
                return
            self._patience = self.loop.call_later(REQUEST_S, self._give_up)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux: the other side no longer confirms what it gets
                milliseconds = round(1000 * STALL_S)
                transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

        def connection_lost(self, exc: Exception | None) -> None:
            for timer in (self._patience, self._stalled):
                if timer is not None:
                    timer.cancel()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(STALL_S, self.transport.abort)

        def resume_writing(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
            super().resume_writing()

        def _give_up(self) -> None:
            if self.cycle is None:
                self.transport.abort()

    return BoundedProtocol


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.socket(family)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            made.listen(64)
            made.setblocking(False)
        except BaseException:
            made.close()
            raise
    except (OSError, ValueError, OverflowError) as error:  # ValueError: a host name that no resolver takes
        reason = getattr(error, "strerror", None) or str(error)
        hint = in_use_hint("tcp", port, error)
        raise UnavailableError(f"cannot serve http:{host}:{port}: {reason}", hint=hint) from error
    return made
