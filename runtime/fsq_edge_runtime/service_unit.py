"""The systemd unit of a running stream: hardened, restarted, watched, reloaded."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fsq_edge_runtime.addresses import redacted
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.mqtt_link import MqttAddress

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}")
VERIFY_S: Final = 60.0
STATE: Final = "/var/lib"
_SERIAL: Final = {"ttyACM": "char-ttyACM", "ttyUSB": "char-ttyUSB", "ttyAMA": "char-ttyAMA", "ttyS": "char-ttyS"}
_HOME: Final = ("/home/", "/root/")


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """One service.

    Attributes:
        name: of the unit, without ``.service``.
        program: words that start ``fsq-edge``.
        bundle: absolute path; a link is followed at each start and reload.
        sources: addresses, as for ``run --source``.
        sinks: addresses, as for ``run --sink``; relative files lie in the service's own folder, ``/var/lib/NAME``.
        more: further words of ``run``.
        user: an existing user; empty makes one for as long as the service runs.

    Raises:
        UsageError: a name or address that a unit must not hold.
    """

    name: str
    program: tuple[str, ...]
    bundle: Path
    sources: tuple[str, ...]
    sinks: tuple[str, ...]
    more: tuple[str, ...] = ()
    user: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise UsageError(f"{self.name!r} is no name for a service", hint="letters, digits, - and _")
        if self.user and not NAME.fullmatch(self.user):
            raise UsageError(f"{self.user!r} is no name of a user")
        for text in (*self.sources, *self.sinks):
            _check_address(text)
        for text in self.sinks:
            _check_sink(text)
        outside = [folder for folder in self._folders() if not self.user]
        if outside:
            raise UsageError(
                f"the service writes to {outside[0]}, and its own user may only write to {STATE}/{self.name}",
                hint=f"--user NAME, a user that may write there; or a path without a slash at its front, which lies in "
                f"{STATE}/{self.name}",
            )

    @property
    def file_name(self) -> str:
        """Name of the unit's file."""
        return f"{self.name}.service"

    def words(self) -> list[str]:
        """Return the command that the service runs."""
        command = [*self.program, "run", str(self.bundle), "--reload", "--quiet"]
        for text in self.sources:
            command += ["--source", text]
        for text in self.sinks:
            command += ["--sink", text]
        return [*command, *self.more]

    def text(self) -> str:
        """Return the unit's file."""
        owner = [f"User={self.user}"] if self.user else ["DynamicUser=yes"]
        lines = [
            "[Unit]",
            f"Description=fsq-edge: {escaped_text(self.bundle.name)}",
            "After=network-online.target",
            "Wants=network-online.target",
            "",
            "[Service]",
            "Type=notify",
            f"ExecStart={' '.join(quoted(word) for word in self.words())}",
            "# reads the bundle again, without losing a window",
            "ExecReload=/bin/kill -HUP $MAINPID",
            "Restart=always",
            "RestartSec=2",
            "WatchdogSec=10",
            "TimeoutStopSec=5",
            f"# passwords and tokens, as NAME=value: FSQ_EDGE_MQTT_PASSWORD, FSQ_EDGE_INFLUX_TOKEN, ...\n"
            f"EnvironmentFile=-/etc/fsq-edge/{self.name}.env",
            *owner,
            f"StateDirectory={self.name}",
            f"WorkingDirectory={STATE}/{self.name}",
            *(f"ReadWritePaths={quoted(folder)}" for folder in self._folders()),
            *self._devices(),
            *self._hardening(),
            "",
            "[Install]",
            "WantedBy=multi-user.target",
        ]
        return "\n".join(lines) + "\n"

    def _folders(self) -> list[str]:
        """Return the folders outside its own that the service writes to."""
        own, found = f"{STATE}/{self.name}", []
        for text in self.sinks:
            kind, _, place = text.partition(":")
            place = place.partition("?")[0]
            if kind in ("jsonl", "csv", "parquet", "influx") and place.startswith("/"):
                folder = place if kind == "parquet" else str(Path(place).parent)
                if folder != own and not folder.startswith(f"{own}/"):
                    found.append(folder)
        return list(dict.fromkeys(found))

    def _devices(self) -> list[str]:
        """Return what it may open of the machine's devices: serial ports that are sources, and Hailo's."""
        lines = ["DevicePolicy=closed", "DeviceAllow=/dev/hailo0 rw", "DeviceAllow=/dev/h1x-0 rw"]
        ports = [text.partition(":")[2].partition("?")[0] for text in self.sources if text.startswith("serial:")]
        kinds: list[str] = []
        for port in ports:
            known = [rule for start, rule in _SERIAL.items() if Path(port).name.startswith(start)]
            kinds += known[:1] or list(_SERIAL.values())  # a link, such as those in /dev/serial/by-id
        lines += [f"DeviceAllow={kind} rw" for kind in dict.fromkeys(kinds)]
        return [*lines, *(["SupplementaryGroups=dialout"] if ports else [])]

    def _hardening(self) -> list[str]:
        at_home = any(path.startswith(_HOME) for path in (*self.program, str(self.bundle)))
        return [
            "CapabilityBoundingSet=",
            "LockPersonality=yes",
            "NoNewPrivileges=yes",
            "PrivateMounts=yes",
            "PrivateTmp=yes",
            "ProtectClock=yes",
            "ProtectControlGroups=yes",
            f"ProtectHome={'read-only' if at_home else 'yes'}",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelTunables=yes",
            "ProtectProc=invisible",
            "ProtectSystem=strict",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
            "RestrictSUIDSGID=yes",
            "SystemCallArchitectures=native",
            "SystemCallErrorNumber=EPERM",
            "SystemCallFilter=@system-service",
            "UMask=0027",
        ]


def verify_unit(unit: ServiceUnit) -> tuple[bool, list[str]] | None:
    """Ask ``systemd-analyze verify``; return whether it is content and what it said of this unit. None without it.

    Cost: a second or two.
    """
    program = shutil.which("systemd-analyze")
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="fsq-edge-") as folder:
        path = Path(folder) / unit.file_name
        path.write_text(unit.text(), encoding="utf-8")
        command = [program, "verify", "--man=no", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_S, check=False)
    said = [line.replace(f"{folder}/", "") for line in done.stderr.splitlines() if unit.name in line]
    return done.returncode == 0, said


def quoted(word: str) -> str:
    """Return a word as a unit's file must hold it, so that it reaches the program as it is.

    Source: systemd.service(5), "Command lines", and systemd.syntax(7), "Quoting": backslashes, quotes, ``%``, ``$``.

    Example:
        >>> quoted("a b"), quoted("100%"), quoted("plain")
        ('"a b"', '"100%%"', 'plain')
    """
    if re.fullmatch(r"[A-Za-z0-9_./:=@,+\-]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def escaped_text(text: str) -> str:
    """Return a text that a setting can hold: one line, ``%`` doubled, no backslash at its end."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain.replace("%", "%%").replace("\\", "/")


def _check_address(text: str) -> None:
    kind, _, place = text.partition(":")
    shown = redacted(text)
    if not text.isprintable():
        raise UsageError(f"{shown!r} has control characters")
    if kind in ("mqtt", "mqtts"):
        MqttAddress.parse(text)
    elif kind == "webhook" and not place.startswith("env:"):
        raise UsageError(
            f"{shown!r}: everybody may read a unit, so a webhook's address must not stand in it",
            hint="--sink webhook:env:HOOK, and HOOK=... in the service's environment file",
        )
    elif kind == "influx" and "@" in place.partition("?")[0] and ":" in place.partition("://")[2].partition("@")[0]:
        raise UsageError(f"{shown!r}: an address must not hold a password", hint="put it into the environment file")
    elif kind == "stdin":
        raise UsageError(f"{shown!r}: a service has no terminal", hint="--source udp:..., serial:... or mqtt:...")


def _check_sink(text: str) -> None:
    kind, _, place = text.partition(":")
    shown = redacted(text)
    if text in ("jsonl:-", "csv:-", "influx:-"):
        raise UsageError(f"{shown!r}: a service has no terminal", hint="--sink jsonl:day.jsonl?append")
    if kind == "csv" or (
        kind in ("jsonl", "influx") and "://" not in place and "append" not in place.partition("?")[2]
    ):
        raise UsageError(
            f"{shown!r} is emptied whenever the service starts",
            hint="--sink jsonl:day.jsonl?append, --sink influx:day.lp?append or --sink parquet:decisions",
        )


def find_program(python: str, names: Sequence[str] = ("fsq-edge",)) -> tuple[str, ...]:
    """Return the words that start ``fsq-edge`` with this Python: the script beside it, or ``-m fsq_edge``."""
    for name in names:
        script = Path(python).with_name(name)
        if script.is_file():
            return (str(script),)
    return (python, "-m", "fsq_edge")
