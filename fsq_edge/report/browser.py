"""A page as a PNG picture, drawn by the Chromium that is installed.

A page is more than its charts: tables, verdict and the drawn graph of a check are HTML, which nothing else here can
draw. Chromium is spoken to through two pipes (its ``--remote-debugging-pipe``), so no port is opened and no further
package is needed. Source: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from fsq_edge_runtime.errors import UnavailableError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VARIABLE: Final = "FSQ_EDGE_CHROMIUM"
TIMEOUT_S: Final = 60.0
MOST_PIXELS: Final = 16_384  # of height: what Chromium draws in one piece
MOST_ANSWER_BYTES: Final = 256 << 20
_ARGUMENTS: Final = (
    "--headless=new", "--remote-debugging-pipe", "--hide-scrollbars", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def page_png(page: Path, *, width: int = 1280, dark: bool = False) -> bytes:
    """Return a page as a PNG picture, from its top to its end or ``MOST_PIXELS``.

    Args:
        page: an HTML file.
        width: of the window, in pixels.
        dark: draw it as on a dark screen.

    Raises:
        UnavailableError: there is no Chromium, or it does not answer.
    """
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    with (
        TemporaryDirectory(prefix="fsq-edge-", ignore_cleanup_errors=True) as profile,
        _chromium(find_chromium(), profile) as chromium,
    ):
        target = chromium.call("Target.createTarget", url="about:blank")["targetId"]
        chromium.session = chromium.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        chromium.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        chromium.call("Emulation.setEmulatedMedia", features=features)
        chromium.call("Page.enable")
        chromium.call("Page.navigate", url=page.resolve().as_uri())
        chromium.wait("Page.loadEventFired")
        height = min(chromium.call("Page.getLayoutMetrics")["cssContentSize"]["height"], MOST_PIXELS)
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        drawn = chromium.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
    return base64.b64decode(drawn["data"])


def find_chromium() -> str:
    """Return the path of the browser: ``FSQ_EDGE_CHROMIUM``, else the first of ``NAMES`` on the path.

    Raises:
        UnavailableError: there is none.
    """
    found = next((path for name in (os.environ.get(VARIABLE, ""), *NAMES) if name and (path := shutil.which(name))), "")
    if not found:
        raise UnavailableError(
            "a picture of a page needs Chromium, which is not installed",
            hint=f"apt install chromium, or {VARIABLE}=/path/to/chrome",
        )
    return found


@contextmanager
def _chromium(browser: str, profile: str) -> Iterator[_Chromium]:
    """Start the browser with a profile of its own, and end it with all of its processes."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    given = [fcntl(end, F_DUPFD_CLOEXEC, 10) for end in (to_read, from_write)]  # clear of 3 and 4, where they go
    for end in (to_read, from_write):
        os.close(end)
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()  # as root Chromium starts in no other way
    null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_DUP2, 1, 2)
    ends = (os.POSIX_SPAWN_DUP2, given[0], 3), (os.POSIX_SPAWN_DUP2, given[1], 4)
    words = [browser, *_ARGUMENTS, *root, f"--user-data-dir={profile}", "about:blank"]
    try:
        process = os.posix_spawn(browser, words, os.environ, file_actions=[*null, *ends], setpgroup=0)
    except OSError as error:
        raise UnavailableError(f"{browser} does not start: {error.strerror}") from error
    finally:
        for end in given:
            os.close(end)
    try:
        yield _Chromium(from_read, to_write)
    finally:
        os.close(to_write)
        os.close(from_read)
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)


class _Chromium:
    """A started browser; calls go to ``session`` once it is set."""

    def __init__(self, reading: int, writing: int) -> None:
        self.session = ""
        self._reading, self._writing = reading, writing
        self._number, self._rest = 0, b""
        self._until = time.monotonic() + TIMEOUT_S
        self._events: set[str] = set()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what a method of the protocol answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        text = json.dumps({**message, "sessionId": self.session} if self.session else message)
        try:
            os.write(self._writing, text.encode() + b"\0")
        except BrokenPipeError as error:
            raise UnavailableError("Chromium ended before it drew the page") from error
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise UnavailableError(f"Chromium refuses {method}: {answer['error'].get('message', 'no reason given')}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, event: str) -> None:
        """Return when an event of this name has come."""
        while event not in self._events:
            self._next()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, self._until - time.monotonic()))
            read = os.read(self._reading, 1 << 20) if ready else b""
            if not read or len(self._rest) > MOST_ANSWER_BYTES:
                raise UnavailableError(f"Chromium does not answer within {TIMEOUT_S:g} s, or has ended")
            self._rest += read
        text, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        self._events.add(message.get("method", ""))
        return message
