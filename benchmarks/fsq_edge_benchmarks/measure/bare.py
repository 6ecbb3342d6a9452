"""The bare network: plain calls of onnxruntime on ready frames, nothing of ours around them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array

BARE_IS: Final = "onnxruntime's InferenceSession.run on the same graph and a ready frame, one thread"
LOOP_IS: Final = (
    "onnxruntime's InferenceSession.run frame by frame, one thread: the bundle has no such graph with a batch"
)
BATCH_SIZES: Final = (8, 16, 32, 64, 256)
TRIALS: Final = 5


def onnx_session(graph: bytes) -> Any:
    """Return an ``InferenceSession`` as a careful user makes it: one thread, no spinning between calls."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Exact int8 products, as the backend takes them: the faster kernels of x86 without VNNI overflow.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def bare_network(graph: bytes, frames: Float32Array) -> Callable[[], object]:
    """Return a call that runs a batch-1 graph over frames (N, C', H, W) float32, one by one."""
    run = onnx_session(graph).run
    feeds = [{"input": np.ascontiguousarray(frame[None])} for frame in frames]
    if len(feeds) == 1:
        return lambda: run(None, feeds[0])
    return lambda: [run(None, feed) for feed in feeds]


def bare_batches(graph: bytes, frames: Float32Array) -> tuple[Callable[[], object], str]:
    """Return a call that runs a graph with a free batch over frames (N, C', H, W), and what it is.

    The batch size is the fastest of ``BATCH_SIZES`` on this machine.
    """
    run = onnx_session(graph).run

    def batches(size: int) -> Callable[[], object]:
        feeds = [{"input": np.ascontiguousarray(frames[at : at + size])} for at in range(0, len(frames), size)]
        return lambda: [run(None, feed) for feed in feeds]

    calls = {size: batches(size) for size in BATCH_SIZES if size <= len(frames)} or {len(frames): batches(len(frames))}
    best = min(calls, key=lambda size: _least_seconds(calls[size]))
    return calls[best], f"onnxruntime's InferenceSession.run on the same graph in batches of {best}, one thread"


def _least_seconds(call: Callable[[], object]) -> float:
    least = np.inf
    for _ in range(TRIALS):
        started = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - started)
    return least
