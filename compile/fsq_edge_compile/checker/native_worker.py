"""The child side of ``native``: runs onnx's C++ and onnxruntime on bytes, so that a crash ends only this process.

Run as a script, by path; it imports nothing of this project, and each task what it needs. Request: one byte for the
task, eight bytes of length, the payload. Answer: one byte (0 done, 1 refused), eight bytes of length, a result or a
message. Payload and result are a serialised model, but for ``RUN``: see :func:`run`.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

HEADER = struct.Struct("<BQ")
CHECK, INFER, INFER_VALUES, INLINE, CONVERT, RUN = range(6)


def main() -> None:
    """Answer requests until standard input closes."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever native code prints must not mix with the answers.
    os.dup2(2, 1)
    while header := requests.read(HEADER.size):
        task, length = HEADER.unpack(header)
        try:
            status, body = 0, _TASKS[task](requests.read(length))
        except Exception as error:  # noqa: BLE001 - any refusal is an answer; the parent decides what it means
            status, body = 1, (str(error) or type(error).__name__).encode("utf-8", "replace")[:4000]
        answers.write(HEADER.pack(status, len(body)))
        answers.write(body)
        answers.flush()


def check(model: bytes) -> bytes:
    """Refuse a model that is not valid."""
    import onnx

    onnx.checker.check_model(model)
    return b""


def infer(model: bytes, *, values: bool) -> bytes:
    """Infer shapes, with ``values`` also by what shape tensors hold."""
    from onnx import shape_inference

    return bytes(shape_inference.infer_shapes(model, strict_mode=False, data_prop=values).SerializeToString())


def inline(model: bytes) -> bytes:
    """Replace calls of the model's own functions by their bodies."""
    import onnx.inliner

    return bytes(onnx.inliner.inline_local_functions(onnx.load_model_from_string(model)).SerializeToString())


def convert(payload: bytes) -> bytes:
    """Convert the model behind eight bytes to the operator set that they name."""
    import onnx.version_converter

    version = struct.unpack("<Q", payload[:8])[0]
    model = onnx.version_converter.convert_version(onnx.load_model_from_string(payload[8:]), version)
    return bytes(model.SerializeToString())


def run(payload: bytes) -> bytes:
    """Run a model on sets of inputs, with onnxruntime's optimisations off, so that it computes what the file says.

    Args:
        payload: an .npz with the ``model``, the ``wanted`` outputs (all when empty), the number of ``sets`` and input
            ``i`` of set ``s`` under ``s.i``, its name at place ``i`` of ``names``.

    Returns:
        An .npz with output ``j`` of set ``s`` under ``s.j``, its name at place ``j`` of ``names``.
    """
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with np.load(io.BytesIO(payload), allow_pickle=False) as given:
        names = [str(name) for name in given["names"]]
        model = given["model"].tobytes()
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        inputs = {value.name for value in session.get_inputs()}
        outputs = [str(name) for name in given["wanted"]] or [value.name for value in session.get_outputs()]
        results: dict[str, Any] = {"names": np.asarray(outputs, dtype=np.str_)}
        for count in range(int(given["sets"])):
            feed = {name: given[f"{count}.{index}"] for index, name in enumerate(names) if name in inputs}
            for index, value in enumerate(session.run(outputs, feed)):
                results[f"{count}.{index}"] = np.asarray(value)
    if any(value.dtype == object for value in results.values()):
        raise ValueError("an output is no tensor of numbers")
    answer = io.BytesIO()
    np.savez(answer, **results)
    return answer.getvalue()


_TASKS: dict[int, Callable[[bytes], bytes]] = {
    CHECK: check,
    INFER: partial(infer, values=False),
    INFER_VALUES: partial(infer, values=True),
    INLINE: inline,
    CONVERT: convert,
    RUN: run,
}


if __name__ == "__main__":
    main()
