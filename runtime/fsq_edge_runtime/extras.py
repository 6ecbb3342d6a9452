"""Packages that come with an extra: imported where they are needed, and named with the install line where missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from fsq_edge_runtime.errors import UnavailableError


def need(module: str, extra: str) -> ModuleType:
    """Import a module that an extra brings.

    Args:
        module: import name.
        extra: the extra of ``fsq-edge`` that installs it.

    Raises:
        UnavailableError: it is not installed; the hint names the install line.

    Example:
        >>> need("json", "train").__name__
        'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = error.name or module
        raise UnavailableError(
            f"this verb needs the package {name!r}, which is not installed",
            hint=f"pip install 'fsq-edge[{extra}]'",
        ) from error
