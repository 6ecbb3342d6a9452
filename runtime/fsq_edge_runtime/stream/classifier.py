"""One due window to one record: its quality checked, prepared, inferred, decided. The hot path of a session.

:meth:`WindowClassifier.decide` and :class:`fsq_edge_runtime.stream.batch.WindowBatch` are two ways to one truth: codes
and labels are equal, which ``tests/property/test_stream_properties.py`` holds.
"""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.backends.base import Backend, TakesFrame
from fsq_edge_runtime.decision import UNKNOWN
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.preprocess import FrameWriter
from fsq_edge_runtime.stream.answers import Answers, doubted, place, with_host
from fsq_edge_runtime.stream.batch import WindowBatch
from fsq_edge_runtime.stream.head import NEAR, DecisionHead
from fsq_edge_runtime.stream.inference import LOST, MAX_BATCH, Inference
from fsq_edge_runtime.stream.quality import QualityCheck
from fsq_edge_runtime.stream.records import Decision, Predictions
from fsq_edge_runtime.stream.settings import StreamSettings
from fsq_edge_runtime.stream.state import StreamState

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

FOREVER_NS = 1 << 62


class WindowClassifier:
    """Turns windows into decisions.

    Args:
        bundle: labels, preprocessing, heads.
        backend: runs the device graph.
        settings: quality thresholds and deadline.
        temperature: divides the logits; None takes each head's own.
        features: F, where the backend's answers have the features behind ``t``; 0 where they have not.
        keep_features: put the features into every decision.

    Attributes:
        answers: makes the records; its ``events`` are those of the latest window.
        batch: decides windows together.
        check: judges windows.
        features: as given.
        patience_ns: the longest time from a window's last sample to its answer.
        in_columns: whether the answers of a :class:`fsq_edge_runtime.stream.cohort.Cohort` can be made at once.
        inference: runs the network; its ``failure`` is what the backend failed of for good.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        settings: StreamSettings,
        temperature: float | None,
        *,
        features: int = 0,
        keep_features: bool = False,
    ) -> None:
        config = self._config = bundle.preprocess
        self._backend, self.features = backend, features
        inference = self.inference = Inference(bundle, backend, temperature, features=features)
        self._graph, self._host, self._head = inference.graph, inference.host, inference.head
        frame = backend.frame if isinstance(backend, TakesFrame) else np.zeros((1, *config.frame_shape), np.float32)
        self._frame: Float32Array = frame
        self._writer = FrameWriter(inference.preprocess, frame[0])
        # A window is copied once, from its stream to where its frame is made, and checked there.
        self.check = QualityCheck(config, settings, self._writer.raw, graph=self._graph)
        self.patience_ns = settings.deadline_ns(config) or FOREVER_NS
        self.answers = Answers(bundle.classes, backend, host=self._host is not None, keep_features=keep_features)
        self.in_columns = isinstance(inference.head, DecisionHead) and self._host is None and not keep_features
        self.batch = WindowBatch(config, inference, self.check, self.answers, self.patience_ns)

    def decide(self, state: StreamState, start: int, begun: int, arrived: int) -> Decision:
        """Return the record of one window.

        Args:
            state: its stream.
            start: grid index of its first sample.
            begun: monotonic nanoseconds at which the engine took the window's last samples.
            arrived: at which those had arrived.
        """
        placed = monotonic_ns()
        ring, check = state.ring, self.check
        window = ring.window(start)
        flags: tuple[str, ...] = ()
        if ring.irregular_until > start or not check.sound(window):
            flags = check.examine(window, ring, start)
        due = doubted(place(state, start, self._config, flags))
        flags = due.flags
        if flags and check.abstains(flags):
            return self.answers.unanswered(due, None)
        limit = arrived + self.patience_ns
        if placed > limit:
            return self.answers.unanswered(due, "overrun")
        graph, host, head, mark = self._graph, self._host, self._head, NEAR
        prepared = monotonic_ns()
        try:
            if graph is not None and not flags:
                t = graph.infer()
                mark = head.sure_code(t)
            if mark == NEAR:
                self._prepare()
                prepared = prepared if graph is not None else monotonic_ns()
                t = self._backend.infer(self._frame)
                if host is not None:
                    t = host.scores(t)
                head = self.inference.head  # a fallback may have taken over
                mark = head.code(t[: head.tail.width] if self.features else t)
        except BackendError as error:
            return self.answers.unanswered(due, self.inference.reason(error))
        inferred = monotonic_ns()
        if inferred > limit:
            return self.answers.unanswered(due, "deadline")
        spent: tuple[int, ...] = (placed - begun, prepared - placed, inferred - prepared)
        if host is not None:
            spent = with_host(spent, host.taken_ns)
        return self.answers.answered(due, head, mark, t, spent, inferred, arrived)

    def _prepare(self) -> None:
        """Make the frame of the window that was checked last."""
        if self._graph is None:
            self._writer.finish()
        else:
            self._writer.write(self.check.window)

    def lose(self, state: StreamState, start: int) -> Decision:
        """Return the record of a window that nobody waits for any more: missed, without a look at its samples."""
        return self.answers.unanswered(place(state, start, self._config), "overrun")

    def predict(self, windows: npt.ArrayLike) -> Predictions:
        """Classify independent windows (N, C, T); see :meth:`fsq_edge_runtime.Session.predict`."""
        inference = self.inference
        filled, valid = inference.preprocess.fill_gaps(windows)
        head, n = inference.head, len(filled)
        t = np.full((n, head.tail.width + self.features), np.nan, dtype=np.float32)
        codes = np.full(n, LOST, dtype=np.int64)
        probabilities = np.full((n, head.tail.n_classes), np.nan, dtype=np.float32)
        labels = np.full(n, UNKNOWN, dtype=np.int64)
        rows = np.flatnonzero(valid)
        for at in range(0, len(rows), MAX_BATCH):
            some = rows[at : at + MAX_BATCH]
            frames = inference.preprocess.frames(filled[some])
            t[some], codes[some] = inference.infer_exactly(filled[some], frames)
        found = codes >= 0
        t = t[:, : head.tail.width]
        codes[found], labels[found], probabilities[found] = head.judge(codes[found], t[found])
        return Predictions(t, codes, labels, probabilities, found)
