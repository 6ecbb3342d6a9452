"""The bare network: plain calls of onnxruntime on ready frames, nothing of ours around them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.onnx import open_onnx

BARE_IS: Final = "onnxruntime's InferenceSession.run on the same graph and a ready frame, one thread"
HOST_IS: Final = "onnxruntime's InferenceSession.run of device graph and host graph on a ready frame, one thread"
LOOP_IS: Final = (
    "onnxruntime's InferenceSession.run frame by frame, one thread: the bundle has no such graph with a batch"
)
BATCH_SIZES: Final = (8, 16, 32, 64, 256)
TRIALS: Final = 5


def bare_network(graph: bytes, frames: Float32Array, host: bytes | None = None) -> Callable[[], object]:
    """Return a call that runs a batch-1 graph over frames (N, C', H, W) one by one, and a host graph behind it."""
    run = open_onnx(graph).run
    if host is not None:
        first, second = run, open_onnx(host).run

        def run(outputs: None, feed: dict[str, Float32Array]) -> object:
            return second(outputs, {"t": first(outputs, feed)[0]})

    feeds = [{"input": np.ascontiguousarray(frame[None])} for frame in frames]
    if len(feeds) == 1:
        return lambda: run(None, feeds[0])
    return lambda: [run(None, feed) for feed in feeds]


def bare_batches(graph: bytes, frames: Float32Array) -> tuple[Callable[[], object], str]:
    """Return a call that runs a graph with a free batch over frames (N, C', H, W), and what it is.

    The batch size is the fastest of ``BATCH_SIZES`` on this machine.
    """
    run = open_onnx(graph).run

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
