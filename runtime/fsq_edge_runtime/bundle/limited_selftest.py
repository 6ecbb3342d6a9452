"""The self-test of a bundle in a child process: a graph nobody vouches for may take neither the memory nor the time.

The child is a fresh interpreter that runs this module as a program: the bundle's file at standard input, the outcome as
JSON at standard output. Nothing is pickled, and what happens to the child happens to nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fsq_edge_runtime import errors
from fsq_edge_runtime.bundle.archive import decode_archive, encode_archive
from fsq_edge_runtime.bundle.selftest import SelfTestResult, run_selftest
from fsq_edge_runtime.errors import BundleError, FsqEdgeError

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

# Address space is not what a process uses: native libraries reserve much more, so the data segment is limited.
_START = """
import resource, runpy, sys
memory, seconds, module = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.argv[:] = sys.argv[3:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class ChildError(Exception):
    """The child was stopped at a limit, or did not survive its work; the message says which."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may take.

    Attributes:
        memory_bytes: of its data, libraries' reserves not counted.
        processor_s: seconds of processor time.
        wall_s: seconds, whatever it waits for.
    """

    memory_bytes: int
    processor_s: int
    wall_s: float


# Of the processor: sixteen windows of the largest network that graph_size lets through, or of a slow board's.
PROCESSOR = Limits(memory_bytes=768 << 20, processor_s=8, wall_s=60.0)
# A device's buffers are mapped beside these limits; loading its firmware takes time, but little of the processor.
DEVICE = Limits(memory_bytes=1 << 30, processor_s=10, wall_s=120.0)


def run_limited_selftest(bundle: Bundle, backend: str = "auto") -> SelfTestResult:
    """Run :func:`run_selftest` in a child process with limits; arguments, result and errors as there.

    Raises:
        BundleError: it took too much memory or time, or its process ended.
    """
    on_device = backend == "hailo" or (backend == "auto" and bundle.hef_architectures)
    try:
        answer = run_limited(__name__, (backend,), encode_archive(bundle.files), DEVICE if on_device else PROCESSOR)
        value: dict[str, Any] = json.loads(answer)
    except (ChildError, ValueError) as error:
        raise BundleError(f"the bundle was not installed: its self-test was stopped, {error}") from error
    if "error" in value:
        kind: type[FsqEdgeError] = getattr(errors, value["error"])
        raise kind(value["message"], hint=value["hint"])
    return SelfTestResult(**value)


def run_limited(module: str, words: tuple[str, ...], data: bytes, limits: Limits) -> bytes:
    """Run a module as a program in a child and return what it writes to standard output.

    Args:
        module: its full name; it reads ``data`` from standard input.
        words: its arguments.
        data: what it works on.
        limits: what it may take.

    Raises:
        ChildError: a limit was reached, or it ended with another code than 0.
    """
    # -P: what lies in the working directory must not be imported in place of a package.
    command = [sys.executable, "-P", "-c", _START, str(limits.memory_bytes), str(limits.processor_s), module, *words]
    try:
        child = subprocess.run(
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=limits.wall_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ChildError(f"it took more than {limits.wall_s:g} s") from error
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ChildError(f"it took more than {limits.processor_s} s of processor time")
    if child.returncode:
        raise ChildError(f"its process ended with code {child.returncode}, perhaps for want of memory")
    return child.stdout


def main() -> None:
    """Answer for the bundle at standard input."""
    from fsq_edge_runtime.bundle.bundle import Bundle

    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not mix with the answer
    try:
        bundle = Bundle.from_files(decode_archive(sys.stdin.buffer.read()))
        value = dataclasses.asdict(run_selftest(bundle, sys.argv[1]))
    except MemoryError:
        value = {"error": "BundleError", "message": "its self-test takes too much memory", "hint": ""}
    except FsqEdgeError as error:
        # A backend's own kinds of error go over as the public one that they are.
        public = next(kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
        value = {"error": public, "message": error.message, "hint": error.hint}
    answers.write(json.dumps(value))
    answers.flush()


if __name__ == "__main__":
    main()
