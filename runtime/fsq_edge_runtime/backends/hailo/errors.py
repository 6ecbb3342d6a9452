"""HailoRT's exceptions of both generations, reduced to a status code and an error of ours.

Source: observed with the 4.23 and 5.2 bindings. Typed exceptions carry the code only in their cause; some calls of 4.x
let the raw status exception escape, which is not a subclass of the public base class.
"""

from __future__ import annotations

import re
import traceback

from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.status import describe

_CODE_IN_TEXT = re.compile(r"error:?\s+(\d{1,10})\b|HAILO_[A-Z0-9_]+\s*\((\d{1,10})\)|status=(\d{1,10})\b")
# Where neither cause nor text has the number: the class name stands for one code.
_CODE_OF_CLASS = {
    "HailoRTInvalidArgumentException": 2,
    "HailoRTTimeout": 4,
    "HailoRTInvalidOperationException": 6,
    "InvalidProtocolVersionException": 15,
    "HailoRTFirmwareControlFailedException": 18,
    "HailoRTInvalidFrameException": 25,
    "HailoRTInvalidHEFException": 26,
    "HailoRTPCIeDriverException": 36,
    "HailoRTDriverOperationFailedException": 36,
    "HailoRTUnsupportedOpcodeException": 48,
    "HailoRTNotFoundException": 61,
    "HailoCommunicationClosedException": 62,
    "HailoRTStreamAborted": 63,
    "HailoRTStreamAbortedByUser": 63,
    "HailoRTNetworkGroupNotActivatedException": 69,
    "HailoRTHEFNotCompatibleWithDevice": 93,
}


def status_of(error: BaseException) -> int | None:
    """Return the HailoRT status code behind an exception, or None when it is not one of HailoRT's.

    Args:
        error: what a call of ``hailo_platform`` raised, or ``completion_info.exception``.
    """
    for raised in (error.__cause__, error):
        if raised is not None and type(raised).__name__ == "HailoRTStatusException" and raised.args:
            try:
                return int(raised.args[0])
            except (TypeError, ValueError):
                continue
    found = _CODE_IN_TEXT.search(str(error)) if "Hailo" in type(error).__name__ else None
    if found:
        return int(next(group for group in found.groups() if group))
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_CODE_OF_CLASS[name] for name in names if name in _CODE_OF_CLASS), None)


def forget_frames(error: BaseException) -> None:
    """Empty the finished frames behind an exception and its causes.

    Their variables hold objects of the binding, which must not live on as long as somebody keeps the exception: a
    network that outlives its device keeps that from being opened again.
    """
    waiting, seen = [error], set()
    while waiting:
        raised = waiting.pop()
        seen.add(id(raised))
        traceback.clear_frames(raised.__traceback__)
        waiting += [behind for behind in (raised.__cause__, raised.__context__) if behind and id(behind) not in seen]


def backend_error(action: str, error: BaseException) -> BackendError:
    """Return our error for an exception of the binding: what was tried, the code, its cause and its fix.

    Args:
        action: what failed, such as "opening the Hailo device".
        error: what was raised; its frames are emptied.
    """
    forget_frames(error)
    code = status_of(error)
    if code is not None:
        return from_status(action, code)
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return BackendError(f"{action} failed: {type(error).__name__}: {text}", hint="run: fsq-edge doctor")


def from_status(action: str, code: int) -> BackendError:
    """Return our error for a status code."""
    status = describe(code)
    return BackendError(f"{action} failed: HailoRT status {status}", hint=status.fix, status=code)
