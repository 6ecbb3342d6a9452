"""What can be refused at once, before the libraries load that a verb needs for its work."""

from __future__ import annotations

from pathlib import Path

from fsq_edge_runtime.errors import MissingInputError


def require_run(folder: Path) -> None:
    """Refuse what is no run folder.

    Raises:
        MissingInputError: there is no such folder.
    """
    if not folder.is_dir():
        raise MissingInputError(f"{folder} is not a run folder", hint="fsq-edge train --out RUN makes one")


def require_file(path: Path, what: str, hint: str = "") -> None:
    """Refuse a file that is not there.

    Raises:
        MissingInputError: nothing has this name.
    """
    if not path.exists():
        raise MissingInputError(f"cannot read {what} {path}: No such file or directory", hint=hint)
