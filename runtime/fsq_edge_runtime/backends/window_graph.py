"""The preprocessing and the device graph in one onnxruntime session: a raw window in, ``t`` out.

Proven when it is opened: on the bundle's self-test windows it must give ``t`` as the reference does (numpy frames
through the batch-1 device graph), up to a few units in the last place. Where a code could depend on those, the caller
asks the reference: the margin that a session keeps from a rounding boundary is several times the difference that the
proof lets pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.onnx import OnnxBackend, bound_run, open_plainly
from fsq_edge_runtime.errors import BackendError, DataError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.onnx_fusion import CENTER, WINDOW, centers, fuse_preprocess
from fsq_edge_runtime.preprocess import Preprocessor, quiet_product
from fsq_edge_runtime.tail import BOUNDARY_MARGIN, FsqTail

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

PROOF_WINDOWS: Final = 16
# A fused graph costs a second load of the network; of one of this size it saves 3 % of a window (5 of 160 us).
MOST_BYTES: Final = 2 << 20
PROOF_SHARE: Final = 0.25  # of the margin from a rounding boundary: the largest difference that is let pass


class WindowGraph:
    """Runs fused graphs on the CPU: one thread, no spinning, buffers bound once.

    Args:
        model: of :func:`fuse_preprocess`, for one window.
        preprocessor: whose frames the graph makes for itself.
        dimensions: D, the values of ``t``.

    Attributes:
        windows: (K, C, T) float32, C-contiguous, raw units: where a window is put K times.
        measure: to be called before :meth:`infer`: writes the means of its channels for the graph, and
            :attr:`squares`, silent on values that overflow.
        squares: (C,) float32, each channel's sum of squares.
        center: (1, C', 1, 1) float32, what the graph subtracts.

    Raises:
        DataError: onnxruntime cannot load the graph.
    """

    def __init__(self, model: bytes, preprocessor: Preprocessor, dimensions: int) -> None:
        config = preprocessor.config
        copies, channels = config.graph_channels // len(config.channels), len(config.channels)
        # Means and squares come out of one product of rows and columns: in front of the copies lies what averages.
        block: Float32Array = np.full(
            (copies, channels, config.window_samples), 1.0 / config.window_samples, dtype=np.float32
        )
        block = np.concatenate([block[1:], np.zeros_like(block)])
        self.windows: Float32Array = block[copies - 1 :]
        frame: Float32Array = self.windows.reshape(1, *config.frame_shape)
        given = centers(config).ravel()
        moments = np.concatenate([given, np.zeros(channels, dtype=np.float32)])
        self.center: Float32Array = moments[: len(given)].reshape(1, -1, 1, 1)
        self.squares: Float32Array = moments[len(given) :]
        rows, columns = (one.reshape(-1, config.window_samples) for one in (self.windows, block[:copies]))
        self.measure = quiet_product(rows, columns, moments[channels:])
        self._row: Float32Array = np.zeros(dimensions, dtype=np.float32)
        session = open_plainly(model, "the fused graph")
        binding = session.io_binding()
        for name, array in ((WINDOW, frame), (CENTER, self.center)):
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        binding.bind_output("t", "cpu", 0, np.float32, (1, dimensions), self._row.ctypes.data)
        self._run: Any = bound_run(session, binding)

    def infer(self) -> Float32Array:
        """Return ``t`` (D,), a view that the next call overwrites, for the measured sound window in :attr:`windows`.

        Raises:
            BackendError: onnxruntime failed.
        """
        try:
            self._run()
        except Exception as error:
            raise BackendError(f"onnxruntime failed: {first_line(error)}") from error
        return self._row

    def infer_batch(self, windows: Float32Array) -> Float32Array:
        """Return ``t`` (N, D), a copy, for sound windows (N, C, T) float32, raw units.

        Raises:
            BackendError: onnxruntime failed.
        """
        found = np.empty((len(windows), len(self._row)), dtype=np.float32)
        for row, window in enumerate(windows):
            self.windows[...] = window
            self.measure()
            found[row] = self.infer()
        return found


def open_window_graph(bundle: Bundle, reference: OnnxBackend) -> tuple[WindowGraph | None, str]:
    """Return the fused graph of a bundle once it is proven, and why there is none.

    Args:
        bundle: the verified bundle.
        reference: its batch-1 device graph, opened.

    Returns:
        ``(graph, "")``, or ``(None, reason)``: heads without codes show the last bits of ``t``, large networks gain
        nothing, and graphs that cannot be fused or that differ by more than a quarter of the margin are not used.
    """
    tail = bundle.tail
    if not isinstance(tail, FsqTail) or bundle.has("host"):
        return None, "the head has no codes, so the last bits of t count"
    encoder, preprocessor = bundle.read("encoder"), Preprocessor(bundle.preprocess)
    if len(encoder) > MOST_BYTES:
        return None, f"of {len(encoder)} bytes: beside so large a network preprocessing is nothing"
    try:
        model = fuse_preprocess(encoder, bundle.preprocess)
        graph = WindowGraph(model, preprocessor, tail.width)
    except DataError as error:
        return None, error.message
    worst = _largest_difference(graph, reference, preprocessor, bundle.selftest.windows[:PROOF_WINDOWS], tail)
    if not worst <= PROOF_SHARE * BOUNDARY_MARGIN:  # NaN is not
        return None, f"the fused graph differs from the reference by {worst:.2g} of a quantisation step"
    return graph, ""


def _largest_difference(
    graph: WindowGraph, reference: OnnxBackend, preprocessor: Preprocessor, windows: Float32Array, tail: FsqTail
) -> float:
    """Return the largest difference of b, in quantisation steps, on windows (N, C, T) that have no missing values."""
    whole = np.ascontiguousarray(windows[np.isfinite(windows).all(axis=(1, 2))])
    if not len(whole):
        return float("nan")
    bounded, worst = tail.codebook.bounded, 0.0
    for row, frame in enumerate(preprocessor.frames(whole)):
        wanted, found = bounded(reference.infer(frame[None])), bounded(graph.infer_batch(whole[row : row + 1]))
        worst = np.maximum(worst, np.abs(found - wanted).max())  # a NaN stays
    return float(worst)
