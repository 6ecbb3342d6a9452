"""A real Home Assistant without its pages, on loopback, set up through its own HTTP interface."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.factories.live import eventually, free_port

VARIABLE = "FSQ_EDGE_HASS"
PASSWORD = "hunter2 and more"  # noqa: S105 - of a house that lives as long as the test
START_S = 180.0  # it loads a thousand modules
CLIENT = "http://127.0.0.1/"


class House:
    """Home Assistant with its MQTT integration.

    Args:
        folder: of its configuration.
    """

    def __init__(self, folder: Path) -> None:
        program = os.environ.get(VARIABLE, "")
        if not program:
            pytest.skip(f"no Home Assistant: {VARIABLE} names no program 'hass' (make homeassistant)")
        self._program, self._folder, self.port = program, folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        folder.mkdir(parents=True)
        (folder / "configuration.yaml").write_text(
            f"http:\n  server_host: 127.0.0.1\n  server_port: {self.port}\napi:\nauth:\nconfig:\nonboarding:\n"
        )

    def start(self) -> None:
        """Start it and wait until it answers; the first time, make its owner."""
        with (self._folder / "hass.out").open("ab") as out:
            command = [self._program, "-c", str(self._folder), "--skip-pip"]
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        eventually(lambda: self._open("/api/onboarding") is not None, "Home Assistant answers", START_S)
        if not self._token:
            owner = {"client_id": CLIENT, "name": "me", "username": "me", "password": PASSWORD, "language": "en"}
            code = self.ask("/api/onboarding/users", owner)["auth_code"]
            given = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT}
            found = self._open("/auth/token", urllib.parse.urlencode(given).encode())
            assert found is not None
            self._token, self._refresh = found["access_token"], found["refresh_token"]

    def add_broker(self, port: int) -> None:
        """Set up the MQTT integration as a person does."""
        flow = self.ask("/api/config/config_entries/flow", {"handler": "mqtt"})
        made = self.ask(f"/api/config/config_entries/flow/{flow['flow_id']}", {"broker": "127.0.0.1", "port": port})
        assert made["type"] == "create_entry", made

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def states(self) -> dict[str, Any]:
        """Return state and attributes of every entity."""
        return {one["entity_id"]: one for one in self.ask("/api/states")}

    def value(self, entity: str) -> str | None:
        """Return an entity's state; None where there is no such entity."""
        found = self.states().get(entity)
        return None if found is None else str(found["state"])

    def ask(self, path: str, body: object = None) -> Any:
        """Return what a call of its interface answers."""
        answer = self._open(path, None if body is None else json.dumps(body).encode())
        assert answer is not None, path
        return answer

    def log(self) -> str:
        return (self._folder / "home-assistant.log").read_text()

    def _open(self, path: str, body: bytes | None = None) -> Any:
        kind = "application/json" if body is None or body.startswith(b"{") else "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} answers {error.code}: {error.read()[:300]!r}") from error
        except OSError:
            return None
