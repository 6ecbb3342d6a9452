"""The self-test of a bundle in a child process: a graph nobody vouches for may take neither the memory nor the time.

Run as a program, this module is the child: the bundle's file at standard input, the outcome as JSON at standard output.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from fsq_edge_runtime import errors
from fsq_edge_runtime.bundle.archive import decode_archive, encode_archive
from fsq_edge_runtime.bundle.selftest import SelfTestResult, run_selftest
from fsq_edge_runtime.errors import BundleError, FsqEdgeError
from fsq_edge_runtime.limited_child import ChildError, Limits, run_limited

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

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
