"""Every error that a caller can act on, drawn once.

    FsqEdgeError                exit  what the caller does
    ├── UsageError                64  corrects the call
    ├── DataError                 65  corrects the data: shape, unit, NaN everywhere, unknown class
    │   └── BundleError           65  fetches the bundle again: damaged, foreign, tampered with
    ├── MissingInputError         66  gives the right path
    ├── UnavailableError          69  installs a package, plugs in a device, frees it
    │   └── BackendError          69  chooses another backend or repairs the device
    └── InternalError             70  reports a defect

Deep code raises built-in errors; the boundary that knows the file, window or field turns them into one of these
(``raise ... from error``). The command line prints ``message`` and ``hint`` as two lines and exits with ``exit_code``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

EXIT_USAGE = 64
EXIT_DATA = 65
EXIT_NO_INPUT = 66
EXIT_UNAVAILABLE = 69
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


class FsqEdgeError(Exception):
    """Base of all deliberate errors.

    Args:
        message: one line: what is wrong, where, expected against got.
        hint: one line: what the caller can do about it; empty takes the class's ``usual_hint``.
    """

    exit_code: ClassVar[int] = EXIT_INTERNAL
    usual_hint: ClassVar[str] = "please report this"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint


class UsageError(FsqEdgeError):
    """The call itself is wrong: an unknown option, values that exclude each other."""

    exit_code = EXIT_USAGE
    usual_hint = "the verb's --help shows what it takes"


class DataError(FsqEdgeError):
    """The data cannot be used: wrong shape or channel count, NaN everywhere, an unknown class, an invalid file."""

    exit_code = EXIT_DATA
    usual_hint = "correct the input, or give another"


class BundleError(DataError):
    """A bundle is damaged, incomplete, foreign, or was tampered with."""

    usual_hint = "fetch or build the bundle again"


class MissingInputError(FsqEdgeError):
    """A named file or folder does not exist or cannot be read."""

    exit_code = EXIT_NO_INPUT
    usual_hint = "check the path and its permissions"


class UnavailableError(FsqEdgeError):
    """Something outside is not there: a device, a package of an extra, a broker."""

    exit_code = EXIT_UNAVAILABLE
    usual_hint = "free, install or plug in what the message names; fsq-edge doctor examines this machine"


class BackendError(UnavailableError):
    """An inference backend failed or cannot be opened.

    Args:
        message: one line.
        hint: one line.
        status: the vendor's status code, where there is one.
    """

    usual_hint = "fsq-edge doctor says what is wrong; --backend onnx runs on the CPU"

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class InternalError(FsqEdgeError):
    """A defect of this project; the message asks for a report."""

    exit_code = EXIT_INTERNAL
    usual_hint = "please report this with the command that was run"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean NAME?`` with the known name that is nearest to a wrong one; empty where none is near."""
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""
