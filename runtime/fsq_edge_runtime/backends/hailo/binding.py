"""The vendor's Python module ``hailo_platform``: importing it so that it does no harm, and saying why it cannot be.

Its modules and objects carry no types; this package, and nothing outside it, is the boundary.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

from fsq_edge_runtime.errors import BackendError

Binding = Any
MODULE = "hailo_platform"
MAX_STATUS = 9999  # the newest library knows fewer than a hundred
# HailoRT 5.x waits 10 s (45 s when it uploads and configures) for a device that has gone silent, and several of its
# calls hold Python's interpreter lock meanwhile. It takes whole seconds; 1 is the least that lets a device answer. It
# bounds configuring, too: a network that takes longer to upload cannot be configured under it. So the device process,
# where nobody waits for the lock, leaves the vendor's value. HailoRT 4.x asks a Hailo-8 through its kernel driver; the
# limits of that are not changed by it (read in the sources).
REQUEST_TIMEOUT_VARIABLE = "HAILO_REQUEST_TIMEOUT_SECONDS"
IN_PROCESS_REQUEST_TIMEOUT_S = 1


_set_here: set[str] = set()  # variables of the environment that are ours, not the user's


def inherited_environment() -> dict[str, str]:
    """Return the environment for a device process: without the time limit that was set for this process only."""
    return {name: value for name, value in os.environ.items() if name not in _set_here}


def load_binding(request_timeout_s: int | None = IN_PROCESS_REQUEST_TIMEOUT_S) -> Binding:
    """Import ``hailo_platform`` with its log files and console chatter turned off.

    Args:
        request_timeout_s: the longest that the library waits for a silent device, where the environment does not say;
            None leaves the vendor's value. It counts in the first import of a process only.

    Raises:
        BackendError: it is not installed, or does not match its library.
    """
    # Read at import: without them it writes ./hailort.log and ~/.hailo/.
    os.environ.setdefault("HAILORT_LOGGER_PATH", "NONE")
    os.environ.setdefault("HAILORT_CONSOLE_LOGGER_LEVEL", "critical")
    if request_timeout_s is not None and REQUEST_TIMEOUT_VARIABLE not in os.environ:
        os.environ[REQUEST_TIMEOUT_VARIABLE] = str(request_timeout_s)
        _set_here.add(REQUEST_TIMEOUT_VARIABLE)
    try:
        module = importlib.import_module(MODULE)
    except ModuleNotFoundError as error:
        if error.name != MODULE:
            raise BackendError(
                f"HailoRT's Python binding is installed, but it lacks the module {error.name}",
                hint="install it for the Python it was built for, with its requirements; fsq-edge doctor says more",
            ) from error
        raise not_installed() from error
    except Exception as error:
        raise BackendError(
            f"HailoRT's Python binding cannot be imported: {error}",
            hint="binding and library must be of one release: fsq-edge doctor",
        ) from error
    guard_status_texts(module)
    return module


def not_installed() -> BackendError:
    """Return the error for a Python without the binding."""
    return BackendError(
        f"HailoRT's Python binding ({MODULE}) is not installed for this Python",
        hint="sudo apt install python3-hailort (8/8L) or python3-h10-hailort (10H), and use a virtual environment "
        "made with --system-site-packages; fsq-edge doctor says more",
    )


def is_installed() -> bool:
    """Return whether an import would find the binding; nothing of it is loaded."""
    if sys.modules.get(MODULE) is not None:
        return True
    try:
        return importlib.util.find_spec(MODULE) is not None
    except (ImportError, ValueError):
        return False


def fake_in_place() -> bool:
    """Return whether a fake stands in the binding's place; it exists in this process only."""
    return bool(getattr(sys.modules.get(MODULE), "fake", False))


def guard_status_texts(module: Binding) -> None:
    """Let the binding's callback survive a status code that its library does not know.

    The binding asks the library for the text of every failed inference's status, inside the callback, and raises for an
    unknown number; an exception that leaves a callback aborts the process. A number beyond 31 bits is negative to the
    library, which then reads before the beginning of its table and crashes: it is never asked for one.

    Source: observed with the 5.2 binding (statuses 98, 200 and 4000000000) and with the 4.23 binding (the crash).
    """
    inner = getattr(getattr(module, "pyhailort", None), "pyhailort", None)
    ask = getattr(inner, "get_status_message", None)
    if ask is None or getattr(ask, "guarded", False):
        return

    def text_of(status_code: Any) -> str:
        try:
            return str(ask(status_code)) if 0 <= int(status_code) <= MAX_STATUS else "UNKNOWN"
        except Exception:  # noqa: BLE001 - whatever it raises would abort the process
            return "UNKNOWN"

    text_of.guarded = True  # type: ignore[attr-defined]  # so that a second import does not wrap it again
    inner.get_status_message = text_of  # type: ignore[union-attr]  # a vendor's module, checked just above
