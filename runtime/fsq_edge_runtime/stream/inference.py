"""The network of a session, whatever runs it: windows in, ``t`` and marks out, equal for one window and for a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends.base import Backend, HasWindowGraph, Missed, RunsWindow
from fsq_edge_runtime.backends.host import open_host
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.feature_statistics import STEPS
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.stream.head import NEAR, StreamHead, head_of

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

MAX_BATCH = 64  # windows that are collected
NETWORK_BATCH = 32  # of one run of the network: the best of 8 to 256 on a quiet Xeon (results/streaming.json)
FEW = 16  # windows up to which one call for each is faster than calls for all, as many as those are
LOST = -1  # in place of a code: no inference
STEP_MARGIN = 2e-4  # in steps; a batch of another size may round a feature otherwise by 1e-6, which is 64e-6 steps


class Inference:
    """Device graph, host graph and head of one bundle on one backend.

    Args:
        bundle: heads, preprocessing.
        backend: runs the device graph.
        temperature: divides the logits; None takes each head's own.
        features: F, where the backend's answers have the features behind ``t``; 0 where they have not.

    Attributes:
        backend: as given.
        failure: what the backend failed of for good, until it is raised.
        features: as given.
        graph: runs raw windows; None where the frames are made by numpy alone.
        host: what runs behind the device graph on the CPU; None where nothing does.
        preprocess: makes the frames.
    """

    def __init__(self, bundle: Bundle, backend: Backend, temperature: float | None, *, features: int = 0) -> None:
        self.backend, self.features = backend, features
        self.preprocess = Preprocessor(bundle.preprocess)
        self.graph = backend.window_graph if isinstance(backend, HasWindowGraph) else None
        self.host = open_host(bundle)
        self.failure: BackendError | None = None
        self._bundle, self._temperature = bundle, temperature
        self._heads: dict[str, StreamHead] = {}

    @property
    def head(self) -> StreamHead:
        """The head for the backend now in use: a quantised graph may have one of its own."""
        name = self.backend.name
        head = self._heads.get(name)
        if head is None:
            tail = self._bundle.tail_for(name)
            head = self._heads[name] = head_of(tail, self._temperature or tail.temperature)
        return head

    def infer_exactly(self, windows: Float32Array, frames: Float32Array | None) -> tuple[Float32Array, Int64Array]:
        """Return ``t`` (N, D) and codes (N,) as the batch-1 graph gives them on the frames of numpy.

        Args:
            windows: (N, C, T) raw units, finite; not looked at where frames are given.
            frames: theirs; None where all are sound and the graph that prepares windows itself is to run, one by one.

        Raises:
            Missed: some window was lost.
        """
        head, graph = self.head, self.graph
        width = head.tail.width
        n = len(windows) if frames is None else len(frames)
        if not n:
            return np.empty((0, width + self.features), dtype=np.float32), np.empty(0, dtype=np.int64)
        if frames is None and graph is not None:
            return self._infer_few(graph, windows)
        frames = self.preprocess.frames(windows) if frames is None else frames
        t = self._infer_batches(frames)
        codes, near = head.codes(t[:, :width])
        if self.features:
            near = np.union1d(near, _near_a_step(t[:, width:]))
        for row in near.tolist():
            t[row] = self.backend.infer(frames[row : row + 1])
            codes[row] = head.code(t[row])
        return t, codes

    def _infer_few(self, graph: RunsWindow, windows: Float32Array) -> tuple[Float32Array, Int64Array]:
        """Return ``t`` (N, D) and codes (N,) of a few sound windows, one after the other."""
        head, t = self.head, graph.infer_batch(windows)
        codes = np.empty(len(windows), dtype=np.int64)
        for row in range(len(windows)):
            codes[row] = head.sure_code(t[row])
            if codes[row] == NEAR:
                t[row] = self.backend.infer(self.preprocess.frames(windows[row : row + 1]))
                codes[row] = head.code(t[row])
        return t, codes

    def _infer_batches(self, frames: Float32Array) -> Float32Array:
        """Return ``t`` (N, D) of frames (N, C', H, W), not yet exact."""
        parts = []
        for at in range(0, len(frames), NETWORK_BATCH):
            t = self.backend.infer_batch(frames[at : at + NETWORK_BATCH])
            parts.append(t if self.host is None else self.host.scores_of_all(t))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def infer_rows(
        self, windows: Float32Array, frames: Float32Array | None
    ) -> tuple[Float32Array, Int64Array, dict[int, str]]:
        """Return ``t`` (N, D), marks (N,) and, by row, the reason of each that was lost; arguments as above."""
        try:
            return *self.infer_exactly(windows, frames), {}
        except BackendError as error:
            self.reason(error)
        # By row, so that only what is truly lost is given up.
        frames = self.preprocess.frames(windows) if frames is None else frames
        t = np.full((len(frames), self.head.tail.width + self.features), np.nan, dtype=np.float32)
        codes, reasons = np.full(len(frames), LOST, dtype=np.int64), {}
        for row in range(len(frames)):
            if self.failure is not None:
                reasons[row] = "backend"
                continue
            try:
                found = self.backend.infer(frames[row : row + 1])
                t[row] = found if self.host is None else self.host.scores(found)
                codes[row] = self.head.code(t[row])
            except BackendError as error:
                reasons[row] = self.reason(error)
        return t, codes, reasons

    def reason(self, error: BackendError) -> str:
        """Return why the window is missed; what ends the session is kept until its record is out."""
        if isinstance(error, Missed):
            return error.reason
        self.failure = error
        return "backend"

    def raise_failure(self) -> None:
        """Raise what the backend failed of for good, once; to be called when the records are out."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure


def _near_a_step(features: Float32Array) -> Int64Array:
    """Return the rows of features (N, F) of which one lies so near the middle of two steps that a batch may differ."""
    steps = features * np.float32(STEPS)
    return np.flatnonzero((np.abs(np.abs(steps - np.rint(steps)) - 0.5) < STEP_MARGIN).any(axis=1))
