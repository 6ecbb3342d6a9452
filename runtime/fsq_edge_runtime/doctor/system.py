"""The one seam through which ``doctor`` sees a machine, so that recorded trees can stand in for real ones.

A recorded tree is a folder that mirrors the root of a machine (``sys/``, ``proc/``, ``etc/`` as plain text files and
symbolic links) with a ``system.json`` for all that a text file cannot hold: device nodes, links, command outputs,
installed packages and the interpreter.
"""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import platform
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.faults import first_fault

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


class _NodeRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    mode: str = "0666"
    uid: int = 0
    gid: int = 0
    open_errno: int = 0


class _CommandRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""


class _InterpreterRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    version: str = "3.11.2"
    executable: str = "/usr/bin/python3"
    in_venv: bool = False
    system_packages: bool = True


class SystemRecord(BaseModel):
    """``system.json`` of a recorded tree.

    Attributes:
        links: symbolic links by absolute path.
        nodes: device files by absolute path; ``mode`` in octal digits, ``open_errno`` 13 for permission denied.
        commands: outputs by the whole command line, words joined by one space.
        packages: Python distributions and their versions.
        package_files: text of files in packages, by ``module/name``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int = 1
    machine: str = "aarch64"
    interpreter: _InterpreterRecord = _InterpreterRecord()
    links: dict[str, str] = {}
    nodes: dict[str, _NodeRecord] = {}
    commands: dict[str, _CommandRecord] = {}
    packages: dict[str, str] = {}
    package_files: dict[str, str] = {}


@dataclass(frozen=True)
class RecordedSystem:
    """A machine read from a recorded tree; nothing of the machine it runs on is looked at.

    Args:
        root: the tree's folder, with ``system.json`` in it.

    Raises:
        MissingInputError: the folder or its ``system.json`` is not there.
        DataError: ``system.json`` is not valid.
    """

    root: Path
    record: SystemRecord = field(init=False)

    def __post_init__(self) -> None:
        path = self.root / "system.json"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise MissingInputError(f"no recorded system at {path}", hint="give the folder of the tree") from error
        try:
            object.__setattr__(self, "record", SystemRecord.model_validate_json(text))
        except ValidationError as error:
            field, words, hint = first_fault(error, SystemRecord)
            raise DataError(f"{path}: {field or 'file'}: {words}", hint=hint) from error

    def read(self, path: str) -> str | None:
        """Return the mirrored file."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")[:READ_LIMIT]
        except OSError:
            return None

    def entries(self, path: str) -> list[str]:
        """Return the names in the mirrored folder and of recorded links and nodes in it."""
        folder = self.root / path.lstrip("/")
        names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        prefix = path.rstrip("/") + "/"
        recorded = (*self.record.links, *self.record.nodes)
        names |= {item[len(prefix) :].split("/")[0] for item in recorded if item.startswith(prefix)}
        return sorted(names)

    def link(self, path: str) -> str | None:
        """Return the recorded link."""
        return self.record.links.get(path)

    def node(self, path: str) -> Node | None:
        """Return the recorded device file."""
        found = self.record.nodes.get(path)
        return Node(int(found.mode, 8), found.uid, found.gid, found.open_errno) if found else None

    def run(self, *words: str) -> Command | None:
        """Return the recorded output."""
        found = self.record.commands.get(" ".join(words))
        return Command(found.exit_code, found.stdout, found.stderr) if found else None

    def package(self, distribution: str) -> str | None:
        """Return the recorded version."""
        return self.record.packages.get(distribution)

    def package_file(self, module: str, name: str) -> str | None:
        """Return the recorded text."""
        return self.record.package_files.get(f"{module}/{name}")

    def interpreter(self) -> Interpreter:
        """Return the recorded interpreter."""
        return Interpreter(**self.record.interpreter.model_dump())

    def machine(self) -> str:
        """Return the recorded architecture."""
        return self.record.machine
