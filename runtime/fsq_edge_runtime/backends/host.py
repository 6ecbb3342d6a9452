"""The host graph: the part of a network behind the device graph that a Hailo chip does not take.

It runs in onnxruntime on the CPU, whichever backend ran the device graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends.graph_size import check_size
from fsq_edge_runtime.backends.onnx import open_plainly
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.files import first_line

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle


class HostGraph:
    """Turns the device graph's output into the values that the head reads. Any thread may call it.

    Args:
        model: the ONNX file's bytes: input ``t`` (1, D) float32, output ``scores`` (1, K) float32.

    Attributes:
        taken_ns: how long the latest call took, nanoseconds.

    Raises:
        DataError: the graph cannot be loaded, or asks for more than a device has for a window.
    """

    def __init__(self, model: bytes) -> None:
        check_size(model, "the host graph")
        self._session: Any = open_plainly(model, "the host graph")
        self.taken_ns = 0

    def scores(self, t: Float32Array) -> Float32Array:
        """Return scores (K,) of one window's t (D,), a copy.

        Raises:
            BackendError: onnxruntime failed.
        """
        begun = time.monotonic_ns()
        found = self._run(t[None])
        self.taken_ns = time.monotonic_ns() - begun
        return found

    def scores_of_all(self, t: Float32Array) -> Float32Array:
        """Return scores (N, K) of t (N, D), N at least 1, window by window as :meth:`scores` would."""
        begun = time.monotonic_ns()
        found = np.stack([self._run(row[None]) for row in t])
        self.taken_ns = time.monotonic_ns() - begun
        return found

    def _run(self, t: Float32Array) -> Float32Array:
        try:
            scores: Float32Array = self._session.run(["scores"], {"t": t})[0][0]
        except Exception as error:
            raise BackendError(f"onnxruntime failed in the host graph: {first_line(error)}") from error
        return scores


def open_host(bundle: Bundle) -> HostGraph | None:
    """Return the host graph of a bundle; None where the device graph gives the scores itself."""
    return HostGraph(bundle.read("host")) if bundle.has("host") else None


def scores_behind(bundle: Bundle) -> Callable[[Float32Array], Float32Array]:
    """Return what turns the device graph's t (N, D) into what the head reads: t itself without a host graph."""
    host = open_host(bundle)
    return (lambda t: t) if host is None else host.scores_of_all


def codes_behind(bundle: Bundle) -> Callable[[Float32Array], Int64Array]:
    """Return what turns the device graph's t (N, D) into the head's codes or classes (N,), for comparisons.

    Features behind ``t`` are left out.
    """
    host, index, width = open_host(bundle), bundle.tail.index, bundle.device_width
    if host is None:
        return (lambda rows: index(rows[:, :width])) if bundle.features else index
    return lambda t: index(host.scores_of_all(t))
