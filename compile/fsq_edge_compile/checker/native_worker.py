"""The child side of ``native``: runs onnx's C++ on bytes from standard input, so that a crash ends only this process.

Run as a script, by path; it imports nothing of this project. Request: one byte for the task, eight bytes of length,
the model. Answer: one byte (0 done, 1 refused), eight bytes of length, a model or a message.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from collections.abc import Callable
from typing import BinaryIO

HEADER = struct.Struct("<BQ")
CHECK, INFER, INFER_VALUES, INLINE, CONVERT = range(5)


def main() -> None:
    """Answer requests until standard input closes."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever native code prints must not mix with the answers.
    os.dup2(2, 1)
    tasks = _tasks()
    while header := requests.read(HEADER.size):
        task, length = HEADER.unpack(header)
        _answer(answers, tasks[task], requests.read(length))


def _tasks() -> dict[int, Callable[[bytes], bytes]]:
    import onnx
    import onnx.inliner
    import onnx.version_converter
    from onnx import shape_inference

    def check(payload: bytes) -> bytes:
        onnx.checker.check_model(payload)
        return b""

    def infer(payload: bytes, values: bool) -> bytes:
        inferred = shape_inference.infer_shapes(payload, strict_mode=False, data_prop=values)
        return bytes(inferred.SerializeToString())

    def inline(payload: bytes) -> bytes:
        return bytes(onnx.inliner.inline_local_functions(onnx.load_model_from_string(payload)).SerializeToString())

    def convert(payload: bytes) -> bytes:
        version = struct.unpack("<Q", payload[:8])[0]
        model = onnx.version_converter.convert_version(onnx.load_model_from_string(payload[8:]), version)
        return bytes(model.SerializeToString())

    return {
        CHECK: check,
        INFER: lambda payload: infer(payload, values=False),
        INFER_VALUES: lambda payload: infer(payload, values=True),
        INLINE: inline,
        CONVERT: convert,
    }


def _answer(answers: BinaryIO, task: Callable[[bytes], bytes], payload: bytes) -> None:
    try:
        status, body = 0, task(payload)
    except Exception as error:  # noqa: BLE001 - any refusal is an answer; the parent decides what it means
        status, body = 1, (str(error) or type(error).__name__).encode("utf-8", "replace")[:4000]
    answers.write(HEADER.pack(status, len(body)))
    answers.write(body)
    answers.flush()


if __name__ == "__main__":
    main()
