"""Finds the blocks of a page: fenced and indented ones, and what each holds."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
Kind = Literal["shell", "python", "yaml", "other"]
PROGRAMS = frozenset({
    "fsq-edge", "python", "python3", "pip", "make", "torchrun", "openssl", "sudo", "apt", "apt-get", "docker",
    "podman", "git", "mkdir", "cd", "cp", "scp", "ssh", "curl", "tensorboard", "tail", "mosquitto_pub",
    "mosquitto_sub", "promtool", "systemctl", "hailortcli", "hailo", "source", "uname", "dmesg", "pytest", "jq",
    "sha256sum", "for", "nc", "export", "influx", "oras", "skopeo", "journalctl", "dkms", "modprobe", "lspci",
    "dask",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes:
        page: file name of its page.
        line: of its first line in the page.
        kind: what it holds.
        text: without its indentation.
    """

    page: str
    line: int
    kind: Kind
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, continued lines joined, comments and what they print left out."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        lines = [line.strip() for line in joined.splitlines()]
        return [line for line in lines if is_command(line)]


def is_command(line: str) -> bool:
    """Whether a line begins with a program that the pages use."""
    words = re.split(r"\s+", line.removeprefix("$ "))
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    return bool(words) and (words[0] in PROGRAMS or words[0].startswith(("./", ".venv/bin/", "/opt/")))


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        if fence := re.match(r"^(\s*)(```+)(\w*)", lines[at]):
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip().startswith(fence[2]))
            inner = [line[len(fence[1]) :] for line in lines[at + 1 : end]]
            yield _block(page, at + 2, inner, fence[3])
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()) and not _in_list(lines, at):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            while not lines[end - 1].strip():
                end -= 1
            yield _block(page, at + 1, [line[4:] for line in lines[at:end]], "")
            at = end
        else:
            at += 1


def _in_list(lines: list[str], at: int) -> bool:
    """Whether an indented line belongs to an item of a list above it."""
    above = next((line for line in reversed(lines[:at]) if line.strip() and not line.startswith("  ")), "")
    return bool(re.match(r"^(\d+\.|[-*]) ", above))


def _block(page: Path, line: int, inner: list[str], language: str) -> Block:
    text = "\n".join(inner) + "\n"
    kind: Kind = "other"
    if language in ("python", "py"):
        kind = "python"
    elif language in ("yaml", "yml"):
        kind = "yaml"
    elif language in ("bash", "sh", "console") or (
        not language and any(map(is_command, inner)) and not _is_python(text)
    ):
        kind = "shell"
    elif not language and _is_python(text):
        kind = "python"
    name = page.name if page.parent in (ROOT, ROOT / "docs") else str(page.relative_to(ROOT / "docs"))
    return Block(name, line, kind, text)


def _is_python(text: str) -> bool:
    """Whether a block without a language is Python: it can be parsed and does something."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    doing = (ast.Import, ast.ImportFrom, ast.Assign, ast.With, ast.For, ast.FunctionDef, ast.ClassDef)
    return any(isinstance(node, doing) for node in body)


def words_of(command: str) -> list[str]:
    """Return the words of a command without its comment."""
    return shlex.split(command, comments=True)
