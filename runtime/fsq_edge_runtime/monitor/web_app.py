"""What the page asks for: its files, the state, stretches of the past, and news as server-sent events."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any, Final

from fsq_edge_runtime.extras import need
from fsq_edge_runtime.monitor.feed import Feed

TICK_S: Final = 0.2  # news five times a second: as often as an eye reads a number
MAX_VIEWERS: Final = 16
VIEWER_QUEUE: Final = 25  # ticks; a viewer that is slower loses the oldest and asks for the state again
MAX_LENGTH_S: Final = 3600.0
_KINDS: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Viewer:
    """One open page: the ticks that it has not taken yet.

    Args:
        watched: number of the stream whose signals it shows, or None.
    """

    def __init__(self, watched: int | None) -> None:
        self.watched = watched
        self.ticks: deque[str] = deque(maxlen=VIEWER_QUEUE)
        self.changed = asyncio.Event()


class MonitorApp:
    """The routes of the page as an ASGI application, and the loop that tells its viewers what is new.

    Args:
        feed: what is shown; it counts the viewers.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._viewers: set[Viewer] = set()
        self._tick = 0
        self._responses: Any = need("starlette.responses", "monitor", "the live page")
        applications: Any = need("starlette.applications", "monitor", "the live page")
        routing: Any = need("starlette.routing", "monitor", "the live page")
        routes = [routing.Route(f"/{place}", self._page_file(name)) for place, name in page_files().items()]
        routes += [
            routing.Route("/state", self._state),
            routing.Route("/view", self._view),
            routing.Route("/events", self._events),
        ]
        self.asgi: Any = applications.Starlette(routes=routes)

    def tick(self) -> None:
        """Collate once and hand the news to every viewer."""
        news = self._feed.collate()
        self._tick += 1
        if not self._viewers:
            return
        news["tick"] = self._tick
        shared = json.dumps(news, separators=(",", ":"))
        details: dict[int | None, str] = {None: "null"}
        for viewer in self._viewers:
            if viewer.watched not in details:
                past = self._feed.find(viewer.watched) if viewer.watched is not None else None
                details[viewer.watched] = json.dumps(past.news(), separators=(",", ":")) if past else "null"
            viewer.ticks.append(f'data: {{"news":{shared},"detail":{details[viewer.watched]}}}\n\n')
            viewer.changed.set()

    async def _state(self, request: Any) -> Any:
        return self._responses.JSONResponse({**self._feed.state(), "tick": self._tick, "full": self._full})

    async def _view(self, request: Any) -> Any:
        query = request.query_params
        number, begin = _number(query.get("stream")), _number(query.get("from"))
        length, points = _number(query.get("seconds")), _number(query.get("points"))
        past = self._feed.find(int(number)) if number is not None else None
        if past is None:
            return self._responses.JSONResponse({"error": "no such stream"}, 404)
        if length is None or not 0 < length <= MAX_LENGTH_S or points is None or not 1 <= points <= 4000:
            return self._responses.JSONResponse({"error": "seconds: up to 3600, points: up to 4000"}, 400)
        return self._responses.JSONResponse({**past.view(begin, length, int(points)), "tick": self._tick})

    async def _events(self, request: Any) -> Any:
        if self._full:
            return self._responses.PlainTextResponse(f"{MAX_VIEWERS} pages are open already", 503)
        number = _number(request.query_params.get("stream"))
        viewer = Viewer(None if number is None else int(number))
        self._viewers.add(viewer)
        self._feed.viewers += 1
        return self._responses.StreamingResponse(self._stream(viewer), media_type="text/event-stream")

    @property
    def _full(self) -> bool:
        return len(self._viewers) >= MAX_VIEWERS

    async def _stream(self, viewer: Viewer) -> AsyncIterator[str]:
        try:
            yield "retry: 500\n\n"
            while not (self._feed.ended and not viewer.ticks):
                await viewer.changed.wait()
                viewer.changed.clear()
                while viewer.ticks:
                    yield viewer.ticks.popleft()
        finally:
            self._viewers.discard(viewer)

    def _page_file(self, name: str) -> Any:
        content = files(__package__).joinpath("page", name).read_bytes()
        kind = _KINDS[name.rpartition(".")[2]] + "; charset=utf-8"

        async def answer(request: Any) -> Any:
            return self._responses.Response(content, media_type=kind)

        return answer


def page_files() -> dict[str, str]:
    """Return the page's files by their address; ``index.html`` is at the root."""
    names = sorted(entry.name for entry in files(__package__).joinpath("page").iterdir() if entry.is_file())
    return {"" if name == "index.html" else name: name for name in names}


def _number(text: str | None) -> float | None:
    """Return a finite number, or None."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
