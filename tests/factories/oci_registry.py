"""A real OCI registry (Debian's docker-registry) on the loopback, open or with a login, and a wire that can stall."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = "docker-registry"
USER, PASSWORD = "collar", "s3cret-of-the-fleet"
# bcrypt of PASSWORD, cost 4.
HTPASSWD = "collar:$2y$04$abcdefghijklmnopqrstuuBJCZf3HAlH2o.sFKOFG6jHUV0Y3eNDG\n"


def needs_registry() -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(PROGRAM) is None, reason="docker-registry (Debian package) is not installed")


def free_port() -> int:
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class OciRegistry:
    """Serves ``folder`` until the block ends."""

    def __init__(self, folder: Path, htpasswd: str = "") -> None:
        folder.mkdir()
        self.port, self.folder = free_port(), folder
        self.host = f"127.0.0.1:{self.port}"
        auth = ""
        if htpasswd:
            (folder / "htpasswd").write_text(htpasswd)
            auth = f"auth: {{htpasswd: {{realm: basic-realm, path: {folder / 'htpasswd'}}}}}\n"
        (folder / "config.yml").write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
            f"http: {{addr: '{self.host}'}}\n{auth}"
        )

    def __enter__(self) -> OciRegistry:
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [PROGRAM, "serve", str(self.folder / "config.yml")], stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5).close()
                return self
            except urllib.error.HTTPError:
                return self  # it wants a login: it is there
            except OSError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def log_in(self, folder: Path) -> None:
        """Write what ``docker login`` writes, into ``folder``."""
        folder.mkdir(exist_ok=True)
        secret = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": secret}}}))


class StallingWire:
    """A port that passes bytes on to another, until ``limit`` bytes went the chosen way; then nothing more."""

    def __init__(self, port: int, limit: int, *, up: bool) -> None:
        self._target, self._left, self._up = port, limit, up
        self.stalled = threading.Event()
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._open: list[socket.socket] = [self._server]
        self._threads: list[threading.Thread] = []
        self._start(self._serve)

    def __enter__(self) -> StallingWire:
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for one in self._open:
            one.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self._open.append(near)
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open.append(far)
                self._start(self._pass, near, far, self._up)
                self._start(self._pass, far, near, not self._up)

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if counted:
                    self._left -= len(data)
                    if self._left < 0:
                        self.stalled.set()
                        self._over.wait()
                        return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
