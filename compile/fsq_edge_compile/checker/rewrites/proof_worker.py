"""The child side of ``proving``: runs models in onnxruntime, so that memory and time of a foreign graph are bounded.

Run as a script, by path; it imports nothing of this project. Request and answer have the form of ``native_worker``. The
payload is an .npz: the model under ``model``, the wanted outputs under ``wanted`` (all of them when empty), and input
``i`` of set ``s`` under ``s.i`` with its name at place ``i`` of ``names``. The answer holds output ``j`` of set ``s``
under ``s.j`` and the names under ``names``.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import sys
from typing import Any

HEADER = struct.Struct("<BQ")


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
        _, length = HEADER.unpack(header)
        try:
            status, body = 0, _run(requests.read(length))
        except Exception as error:  # noqa: BLE001 - any refusal is an answer; the parent decides what it means
            status, body = 1, (str(error) or type(error).__name__).encode("utf-8", "replace")[:4000]
        answers.write(HEADER.pack(status, len(body)))
        answers.write(body)
        answers.flush()


def _run(payload: bytes) -> bytes:
    import numpy as np

    with np.load(io.BytesIO(payload), allow_pickle=False) as given:
        names = [str(name) for name in given["names"]]
        wanted = [str(name) for name in given["wanted"]]
        session = _session(given["model"].tobytes())
        inputs = {value.name for value in session.get_inputs()}
        outputs = wanted or [value.name for value in session.get_outputs()]
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


def _session(model: bytes) -> Any:
    """Open a model with onnxruntime's optimisations off, so that it computes what the file says."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
