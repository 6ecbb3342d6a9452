"""Packages that only an extra of ``fsq-edge`` installs, imported where they are needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from fsq_edge_runtime.errors import UnavailableError


def need(module: str, extra: str, what: str = "this verb") -> ModuleType:
    """Import a module that an extra brings.

    Args:
        module: import name.
        extra: the extra of ``fsq-edge`` that installs it.
        what: what needs it, for the message.

    Raises:
        UnavailableError: it is not installed; the hint names the install line.

    Example:
        >>> need("no_such_module", "train", "a run")
        Traceback (most recent call last):
        fsq_edge_runtime.errors.UnavailableError: a run needs the package 'no_such_module', which is not installed
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"{what} needs the package {error.name or module!r}, which is not installed",
            hint=f"pip install 'fsq-edge[{extra}]'",
        ) from error
