"""The one seam through which ``doctor`` sees a machine, so that recorded trees can stand in for real ones."""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import platform
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

READ_LIMIT = 256 * 1024
COMMAND_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Command:
    """What a command printed: exit code, standard output and standard error."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A device file: permission bits (octal, such as 0o666), owner, group, and the errno of opening it (0 = opened)."""

    mode: int
    uid: int
    gid: int
    open_errno: int


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that runs: version, whether it is in a virtual environment, and whether that sees system packages."""

    version: str
    executable: str
    in_venv: bool
    system_packages: bool


class System(Protocol):
    """Everything that ``doctor`` may ask of a machine. No method raises for what is absent or forbidden."""

    def read(self, path: str) -> str | None:
        """Return a text file, or None when it is absent or may not be read."""

    def entries(self, path: str) -> list[str]:
        """Return the sorted names in a folder, [] when it is absent or may not be read."""

    def link(self, path: str) -> str | None:
        """Return where a symbolic link points, or None."""

    def node(self, path: str) -> Node | None:
        """Return a device file's permissions and whether this user can open it, or None when it is absent."""

    def run(self, *words: str) -> Command | None:
        """Return what a command printed, or None when it is not installed or did not end in time."""

    def package(self, distribution: str) -> str | None:
        """Return the version of an installed Python distribution, or None."""

    def package_file(self, module: str, name: str) -> str | None:
        """Return the text of a file in an importable package's folder without importing it, or None."""

    def interpreter(self) -> Interpreter:
        """Return the Python that runs."""

    def machine(self) -> str:
        """Return the processor architecture, such as aarch64."""


class LiveSystem:
    """The machine itself. Reads only; the commands it runs change nothing."""

    def read(self, path: str) -> str | None:
        """Return at most 256 KiB of a text file, NULs as spaces (device trees end strings with NUL)."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(READ_LIMIT)
        except OSError:
            return None
        return data.decode("utf-8", "replace").replace("\0", " ")

    def entries(self, path: str) -> list[str]:
        """Return the sorted names in a folder."""
        try:
            return sorted(os.listdir(path))  # noqa: PTH208 - names are wanted, not paths
        except OSError:
            return []

    def link(self, path: str) -> str | None:
        """Return where a symbolic link points."""
        try:
            return str(Path(path).readlink())
        except OSError:
            return None

    def node(self, path: str) -> Node | None:
        """Return a device file's permissions; it is opened and closed once to learn whether this user may."""
        try:
            info = os.stat(path)  # noqa: PTH116 - one call, all fields
        except OSError:
            return None
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            failure = 0
        except OSError as error:
            failure = error.errno or errno.EIO
        return Node(stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, failure)

    def run(self, *words: str) -> Command | None:
        """Run a command without a shell, with HailoRT's log files and console chatter turned off."""
        quiet = {"HAILORT_LOGGER_PATH": "NONE", "HAILORT_CONSOLE_LOGGER_LEVEL": "critical", "LC_ALL": "C"}
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                timeout=COMMAND_SECONDS,
                env={**os.environ, **quiet},
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        out, err = (text[:READ_LIMIT].decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        return Command(done.returncode, out, err)

    def package(self, distribution: str) -> str | None:
        """Return the version from the distribution's metadata."""
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def package_file(self, module: str, name: str) -> str | None:
        """Return a file beside the package's ``__init__.py``."""
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
        if spec is None or not spec.submodule_search_locations:
            return None
        return self.read(str(Path(next(iter(spec.submodule_search_locations))) / name))

    def interpreter(self) -> Interpreter:
        """Return the running Python; ``pyvenv.cfg`` tells whether system packages are seen."""
        in_venv = sys.prefix != sys.base_prefix
        config = (self.read(str(Path(sys.prefix) / "pyvenv.cfg")) or "") if in_venv else ""
        pairs = dict(line.partition("=")[::2] for line in config.splitlines())
        flags = {key.strip(): value.strip().lower() for key, value in pairs.items()}
        seen = not in_venv or flags.get("include-system-site-packages") == "true"
        return Interpreter(platform.python_version(), sys.executable, in_venv, seen)

    def machine(self) -> str:
        """Return the processor architecture."""
        return platform.machine()
