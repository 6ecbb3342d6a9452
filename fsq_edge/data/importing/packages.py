"""Packages that single formats need, imported when a file asks for them."""

from __future__ import annotations

import importlib
from typing import Any

from fsq_edge_runtime.errors import UnavailableError


def need_package(module: str, what: str) -> Any:
    """Import a module of the extra ``data``.

    Args:
        module: import name.
        what: what needs it, for the message.

    Raises:
        UnavailableError: it is not installed; the hint is the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"{what} needs the package {(error.name or module)!r}, which is not installed",
            hint="pip install 'fsq-edge[data]'",
        ) from error
