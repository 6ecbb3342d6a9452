"""The exceptions of the binding, per generation, and the marks of what would have killed or hung the process.

Source: names, texts and hierarchy as observed with the 4.23 and 5.2 bindings and read in their MIT-licensed sources.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fsq_edge_runtime.status import STATUS, describe

# code -> (class, text); every other code is a plain HailoRTException with the code in its text.
_TYPED = {
    2: ("HailoRTInvalidArgumentException", "Invalid argument. See hailort.log for more information"),
    4: ("HailoRTTimeout", "Received a timeout - hailort has failed because a timeout had occurred"),
    6: ("HailoRTInvalidOperationException", "Invalid operation. See hailort.log for more information"),
    15: ("InvalidProtocolVersionException", "an invalid protocol version was received from device"),
    18: ("HailoRTFirmwareControlFailedException", "libhailort control operation failed"),
    25: ("HailoRTInvalidFrameException", "An invalid frame was received"),
    26: ("HailoRTInvalidHEFException", "Invalid HEF. See hailort.log for more information"),
    36: ("HailoRTPCIeDriverException", "Failure in hailort driver ioctl. run 'dmesg | grep hailo'"),
    48: ("HailoRTUnsupportedOpcodeException", "an unsupported opcode was sent to device"),
    61: ("HailoRTNotFoundException", "Item not found. See hailort.log for more information"),
    62: ("HailoCommunicationClosedException", "Communication closed failure. Check server-client connection"),
    63: ("HailoRTStreamAborted", "Stream was aborted"),
    69: ("HailoRTNetworkGroupNotActivatedException", "Network group is not activated"),
    93: ("HailoRTHEFNotCompatibleWithDevice", "HEF file is not compatible with device"),
}


class FakeFatalError(BaseException):
    """The real binding would have killed the process (SIGABRT, SIGSEGV) here.

    A BaseException, so that no ``except Exception`` of the code under test can hide it.
    """


class FakeDeadlockError(BaseException):
    """The real binding would have hung for ever here, holding the interpreter's lock."""


class FakeErrors:
    """The exception classes of one release.

    Args:
        release: (major, minor) of the binding.
    """

    def __init__(self, release: tuple[int, int]) -> None:
        self.base: type[Exception] = type("HailoRTException", (Exception,), {})
        # In 4.x the raw status exception is not one of the public ones and escapes from several calls.
        raw_base = (self.base,) if release[0] >= 5 else (Exception,)
        self.raw: type[Exception] = type("HailoRTStatusException", raw_base, {})
        typed = {code: entry for code, entry in _TYPED.items() if code != 93 or release >= (4, 21)}
        self._typed = {code: (type(name, (self.base,), {}), text) for code, (name, text) in typed.items()}
        self._wrong_arch = 93 if release >= (4, 21) else 26
        self._namespace = self._names()

    def make(self, code: int, *, inside_callback: bool = False) -> Exception:
        """Return the exception of a status code as the public layer raises it, its raw cause attached.

        Args:
            code: HailoRT's number.
            inside_callback: the binding makes it in its callback's wrapper and attaches no cause there.

        Raises:
            Exception: the library does not know the number; inside a callback that aborts the process.
        """
        kind, text = self._typed.get(code, (self.base, ""))
        plain = f"libhailort failed with error: {code} ({self._namespace.get_status_message(code)})"
        error: Exception = kind(text or plain)
        if inside_callback:
            return error
        error.__cause__ = self.make_raw(code)
        return error

    def make_raw(self, code: int) -> Exception:
        """Return the raw exception that some calls of 4.x let escape: its only argument is the code as text."""
        return self.raw(str(code))

    @property
    def wrong_architecture(self) -> int:
        """Status of a HEF for another device: 26 up to 4.20, 93 from 4.21."""
        return self._wrong_arch

    def namespace(self) -> SimpleNamespace:
        """Return the names of ``hailo_platform.pyhailort.pyhailort``; what a program puts in their place is used."""
        return self._namespace

    def _names(self) -> SimpleNamespace:
        names: dict[str, Any] = {kind.__name__: kind for kind, _ in self._typed.values()}
        names["HailoRTException"] = self.base
        names["HailoRTDriverOperationFailedException"] = names["HailoRTPCIeDriverException"]
        names["HailoStatusInvalidValueException"] = type("HailoStatusInvalidValueException", (Exception,), {})
        namespace = SimpleNamespace(**names)

        def get_status_message(status_code: int) -> str:
            if status_code > 0x7FFFFFFF:
                raise FakeFatalError(f"HailoRT crashes on the status {status_code}: SIGSEGV")
            if status_code not in STATUS:
                raise namespace.HailoStatusInvalidValueException(f"Value {status_code} is not a valid status")
            return describe(status_code).name

        namespace.get_status_message = get_status_message
        return namespace
