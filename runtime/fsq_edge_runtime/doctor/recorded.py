"""A machine recorded as a tree of files, which ``doctor --root`` examines on another machine.

A recorded tree is a folder that mirrors the root of a machine (``sys/``, ``proc/``, ``etc/`` as plain text files and
symbolic links) with a ``system.json`` for all that a text file cannot hold: device nodes, links, command outputs,
installed packages and the interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fsq_edge_runtime.doctor.system import READ_LIMIT, Command, Interpreter, Node
from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.faults import first_fault


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
