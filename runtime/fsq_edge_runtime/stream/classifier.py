"""One due window to one record: its quality checked, prepared, inferred, decided. The hot path of a session.

:meth:`WindowClassifier.decide` and :meth:`WindowClassifier.decide_batch` are two ways to one truth: codes and labels
are equal, which ``tests/property/test_stream_properties.py`` holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.backends.base import Backend, HasWindowGraph, Missed, TakesFrame
from fsq_edge_runtime.backends.host import open_host
from fsq_edge_runtime.decision import UNKNOWN, UNKNOWN_LABEL, DecisionChain
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.feature_statistics import STEPS, in_steps
from fsq_edge_runtime.label_tail import against_thresholds
from fsq_edge_runtime.preprocess import FrameWriter, Preprocessor
from fsq_edge_runtime.stream.head import NEAR, StreamHead, head_of
from fsq_edge_runtime.stream.quality import ROTATION_FLAG, QualityCheck
from fsq_edge_runtime.stream.records import Decision, Gap, Predictions, Record, StreamEvent
from fsq_edge_runtime.stream.settings import StreamSettings
from fsq_edge_runtime.stream.state import StreamState

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle


MAX_BATCH = 64  # beyond about 16 windows a larger batch gains nothing, it only takes memory
LOST = -1  # in place of a code: no inference
DOUBTED_WINDOWS = 20  # after one whose rotation shows another unit: a sensor does not change its unit
NO_STAGES: tuple[int, ...] = (0, 0, 0, 0, 0)
FOREVER_NS = 1 << 62
STEP_MARGIN = 2e-4  # in steps; a batch of another size may round a feature otherwise by 1e-6, which is 64e-6 steps


class Due(NamedTuple):
    """A window taken off its stream.

    Attributes:
        state: its stream.
        seq: number of the window in its stream.
        t_start: source time of its first grid sample, seconds.
        t_end: source time of its last grid sample, seconds.
        flags: what its quality check found; empty when it is sound.
    """

    state: StreamState
    seq: int
    t_start: float
    t_end: float
    flags: tuple[str, ...]


new_tuple = tuple.__new__  # half the cost of Due(...), which is paid for every window


class _Ended(NamedTuple):
    """The end of a segment among the windows of a batch: whose chain to reset, and the record of the gap."""

    chain: DecisionChain
    gap: Gap


class _Collected(NamedTuple):
    """A window of a batch.

    Attributes:
        due: the window.
        row: its place among the batch's samples.
        checked: whether ``due.flags`` are final; else the quality check runs when the batch is decided.
    """

    due: Due
    row: int
    checked: bool


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
        failure: what the backend failed of for good, until it is raised.
        features: as given.
        keep_features: as given.
        events: ``overlay`` events of the latest window; whoever reports them empties the list.
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
        config = bundle.preprocess
        self._bundle, self._backend, self._temperature = bundle, backend, temperature
        self._classes = bundle.classes
        self._preprocess = Preprocessor(config)
        frame = backend.frame if isinstance(backend, TakesFrame) else np.zeros((1, *config.frame_shape), np.float32)
        self._frame: Float32Array = frame
        self._writer = FrameWriter(self._preprocess, frame[0])
        self._graph = backend.window_graph if isinstance(backend, HasWindowGraph) else None
        # A window is copied once, from its stream to where its frame is made, and checked there.
        self._check = QualityCheck(config, settings, self._writer.raw if self._graph is None else self._graph.windows)
        self._heads: dict[str, StreamHead] = {}
        self._host = open_host(bundle)
        self._no_stages = NO_STAGES if self._host is None else (0, *NO_STAGES)
        self._patience_ns = settings.deadline_ns(config) or FOREVER_NS
        self._last, self._rate = config.window_samples - 1, config.sample_rate_hz
        self._batch: list[_Collected | _Ended] = []
        self._windows: Float32Array = np.zeros((MAX_BATCH, len(config.channels), config.window_samples), np.float32)
        self._filled = 0
        self.failure: BackendError | None = None
        self.events: list[StreamEvent] = []
        self.features, self.keep_features = features, keep_features

    @property
    def head(self) -> StreamHead:
        """The head for the backend now in use: a quantised graph may have one of its own."""
        name = self._backend.name
        head = self._heads.get(name)
        if head is None:
            tail = self._bundle.tail_for(name)
            head = self._heads[name] = head_of(tail, self._temperature or tail.temperature)
        return head

    def decide(self, state: StreamState, start: int, begun: int, arrived: int) -> Decision:
        """Return the record of one window.

        Args:
            state: its stream.
            start: grid index of its first sample.
            begun: monotonic nanoseconds at which the engine took the window's last samples.
            arrived: at which those had arrived.
        """
        placed = time.monotonic_ns()
        # What _checked and _place do, without the calls.
        ring, check, seq = state.ring, self._check, state.seq
        flags: tuple[str, ...] = ()
        window = ring.window(start)
        if ring.irregular_until > start or not check.sound(window):
            flags = check.examine(window, ring, start)
        state.seq = seq + 1
        state.counters.windows += 1
        t0, rate = state.t0, self._rate
        due = new_tuple(Due, (state, seq, t0 + start / rate, t0 + (start + self._last) / rate, flags))
        if flags or seq < state.doubted_until:
            due = self._doubted(due)
            if due.flags and check.abstains(due.flags):
                return self._unanswered(due, None)
        limit = arrived + self._patience_ns
        if placed > limit:
            return self._unanswered(due, "overrun")
        graph, host, head, mark = self._graph, self._host, self.head, NEAR
        try:
            prepared = time.monotonic_ns()
            if graph is not None and not due.flags:
                t = graph.infer()
                mark = head.sure_code(t)
            if mark == NEAR:
                self._prepare()
                prepared = prepared if graph is not None else time.monotonic_ns()
                t = self._backend.infer(self._frame)
                if host is not None:
                    t = host.scores(t)
                head = self.head  # a fallback may have taken over
                mark = head.code(t[: head.tail.width] if self.features else t)
        except BackendError as error:
            return self._unanswered(due, self._reason(error))
        inferred = time.monotonic_ns()
        if inferred > limit:
            return self._unanswered(due, "deadline")
        spent: tuple[int, ...] = (placed - begun, prepared - placed, inferred - prepared)
        if host is not None:
            spent = _with_host(spent, host.taken_ns)
        return self._answered(due, head, mark, t, spent, inferred, arrived)

    def _prepare(self) -> None:
        """Make the frame of the window that was checked last."""
        if self._graph is None:
            self._writer.finish()
        else:
            self._writer.write(self._check.window)

    def lose(self, state: StreamState, start: int) -> Decision:
        """Return the record of a window that nobody waits for any more: missed, without a look at its samples."""
        return self._unanswered(self._place(state, start, ()), "overrun")

    def collect(self, state: StreamState, start: int) -> bool:
        """Add a window to the batch; True when the batch is full and must be decided before the next."""
        # Checked now only where that takes the ring itself; the others together, when the batch is decided.
        ring, row = state.ring, self._filled
        checked = ring.irregular_until > start
        if checked:
            due = self._checked(state, start)
            self._windows[row] = self._check.window
        else:
            due = self._place(state, start, ())
            self._windows[row] = ring.window(start)
        self._batch.append(new_tuple(_Collected, (due, row, checked)))
        self._filled = row = row + 1
        return row == MAX_BATCH

    def defer(self, state: StreamState, gap: Gap) -> bool:
        """Keep the end of a segment in its place among the windows collected; False if there are none to wait for."""
        if self._batch:
            self._batch.append(_Ended(state.chain, gap))
        return bool(self._batch)

    def decide_batch(self, arrived: int) -> list[Record]:
        """Return the records of the windows collected, and the events between them, in order.

        Args:
            arrived: monotonic nanoseconds at which the last samples had arrived.
        """
        batch, n = self._batch, self._filled
        if not batch:
            return []
        self._batch, self._filled = [], 0
        begun = time.monotonic_ns()
        limit = arrived + self._patience_ns
        overrun = begun > limit
        batch, kept, plain = self._check_rows(batch, n)
        some = self._windows[:n] if len(kept) == n else self._windows[kept]
        some = some[:0] if overrun else some
        frames = None if plain and self._graph is not None else self._preprocess.frames(some)
        prepared = time.monotonic_ns()
        t, codes, reasons = self._infer_rows(some, frames)
        inferred = time.monotonic_ns()
        late = "overrun" if overrun else "deadline" if inferred > limit else None
        spent: tuple[int, ...] = (0, (prepared - begun) // max(n, 1), (inferred - prepared) // max(n, 1))
        if self._host is not None:
            spent = _with_host(spent, self._host.taken_ns // max(n, 1))
        records: list[Record] = []
        found, head, row = codes.tolist(), self.head, 0
        for entry in batch:
            if isinstance(entry, _Ended):
                entry.chain.reset()
                records.append(entry.gap)
                continue
            due = entry.due
            if due.flags and self._check.abstains(due.flags):
                records.append(self._unanswered(due, None))
                continue
            reason = late or reasons.get(row)
            if reason:
                records.append(self._unanswered(due, reason))
            else:
                records.append(self._answered(due, head, found[row], t[row], spent, inferred, arrived))
                if self.events:
                    records += self.events
                    self.events.clear()
            row += 1
        return records

    def _check_rows(
        self, batch: list[_Collected | _Ended], n: int
    ) -> tuple[list[_Collected | _Ended], list[int], bool]:
        """Give the windows of a batch their flags.

        Returns:
            The batch, the rows that deserve an answer, and whether none of these has a flag.
        """
        check, sound = self._check, self._check.sound_rows(self._windows[:n]).tolist()
        kept: list[int] = []
        plain = True
        for at, entry in enumerate(batch):
            if isinstance(entry, _Ended):
                continue
            row, flags = entry.row, entry.due.flags
            if not (entry.checked or sound[row] or check.sound(self._windows[row])):
                flags = check.examine(self._windows[row])
                self._windows[row] = check.window
                batch[at] = entry = entry._replace(due=entry.due._replace(flags=flags))
            if check.checks_rotation:
                due = self._doubted(entry.due)
                if due is not entry.due:
                    batch[at], flags = entry._replace(due=due), due.flags
            if not flags:
                kept.append(row)
            elif not check.abstains(flags):
                kept.append(row)
                plain = False
        return batch, kept, plain

    def predict(self, windows: npt.ArrayLike) -> Predictions:
        """Classify independent windows (N, C, T); see :meth:`fsq_edge_runtime.Session.predict`."""
        filled, valid = self._preprocess.fill_gaps(windows)
        head, n = self.head, len(filled)
        t = np.full((n, head.tail.width + self.features), np.nan, dtype=np.float32)
        codes = np.full(n, LOST, dtype=np.int64)
        probabilities = np.full((n, head.tail.n_classes), np.nan, dtype=np.float32)
        labels = np.full(n, UNKNOWN, dtype=np.int64)
        rows = np.flatnonzero(valid)
        for at in range(0, len(rows), MAX_BATCH):
            some = rows[at : at + MAX_BATCH]
            t[some], codes[some] = self._infer_exactly(filled[some], self._preprocess.frames(filled[some]))
        found = codes >= 0
        t = t[:, : head.tail.width]
        codes[found], labels[found], probabilities[found] = head.judge(codes[found], t[found])
        return Predictions(t, codes, labels, probabilities, found)

    def _infer_exactly(self, windows: Float32Array, frames: Float32Array | None) -> tuple[Float32Array, Int64Array]:
        """Return ``t`` (N, D) and codes (N,) as the batch-1 graph gives them on the frames of numpy.

        Args:
            windows: (N, C, T) raw units, finite.
            frames: theirs; None where all are sound and the graph that prepares windows itself is to run.

        Raises:
            Missed: some window was lost.
        """
        head, graph = self.head, self._graph
        width = head.tail.width
        if not len(windows):
            return np.empty((0, width + self.features), dtype=np.float32), np.empty(0, dtype=np.int64)
        if frames is None and graph is not None:
            t = graph.infer_batch(windows)
        else:
            frames = self._preprocess.frames(windows) if frames is None else frames
            t = self._backend.infer_batch(frames)
            if self._host is not None:
                t = self._host.scores_of_all(t)
        codes, near = head.codes(t[:, :width])
        if self.features:
            near = np.union1d(near, _near_a_step(t[:, width:]))
        for row in near.tolist():
            exact = self._preprocess.frames(windows[row : row + 1]) if frames is None else frames[row : row + 1]
            t[row] = self._backend.infer(exact)
            codes[row] = head.code(t[row])
        return t, codes

    def _infer_rows(
        self, windows: Float32Array, frames: Float32Array | None
    ) -> tuple[Float32Array, Int64Array, dict[int, str]]:
        """Return ``t`` (N, D), marks (N,) and, by row, the reason of each that was lost; arguments as above."""
        try:
            return *self._infer_exactly(windows, frames), {}
        except BackendError as error:
            self._reason(error)
        # By row, so that only what is truly lost is given up.
        frames = self._preprocess.frames(windows) if frames is None else frames
        t = np.full((len(frames), self.head.tail.width + self.features), np.nan, dtype=np.float32)
        codes, reasons = np.full(len(frames), LOST, dtype=np.int64), {}
        for row in range(len(frames)):
            if self.failure is not None:
                reasons[row] = "backend"
                continue
            try:
                found = self._backend.infer(frames[row : row + 1])
                t[row] = found if self._host is None else self._host.scores(found)
                codes[row] = self.head.code(t[row])
            except BackendError as error:
                reasons[row] = self._reason(error)
        return t, codes, reasons

    def _reason(self, error: BackendError) -> str:
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

    def _checked(self, state: StreamState, start: int) -> Due:
        """Take a window off its stream: its place and its flags; its samples are then the check's."""
        ring, check = state.ring, self._check
        window = ring.window(start)
        flags: tuple[str, ...] = ()
        if ring.irregular_until > start or not check.sound(window):
            flags = check.examine(window, ring, start)
        return self._place(state, start, flags)

    def _doubted(self, due: Due) -> Due:
        """Flag the windows after one that turned too fast: a slow one is in that unit too, but does not show it."""
        state = due.state
        if ROTATION_FLAG in due.flags:
            state.doubted_until = due.seq + DOUBTED_WINDOWS
        elif due.seq < state.doubted_until:
            return due._replace(flags=(*due.flags, ROTATION_FLAG))
        return due

    def _place(self, state: StreamState, start: int, flags: tuple[str, ...]) -> Due:
        seq = state.seq
        state.seq = seq + 1
        state.counters.windows += 1
        t0, rate = state.t0, self._rate
        return new_tuple(Due, (state, seq, t0 + start / rate, t0 + (start + self._last) / rate, flags))

    def _answered(
        self,
        due: Due,
        head: StreamHead,
        mark: int,
        t: Float32Array,
        spent: tuple[int, ...],
        inferred: int,
        arrived: int,
    ) -> Decision:
        if mark < 0:
            return self._unanswered(due, "backend")
        state, seq, t_start, t_end, flags = due
        probabilities: Sequence[float]
        code, raw, probabilities = head.answer(mark, t)
        classes, wearer = self._classes, state.wearer
        if state.lesson is not None:
            state.lesson.see(mark, t, t_start, t_end)
        if wearer is not None:
            raw, probabilities = wearer.judge(mark, t, raw, probabilities)
            classes = wearer.head.classes
            if wearer.changed:
                wearer.changed = False
                self.events.append(StreamEvent("overlay", state.name, {"t": t_end, **wearer.facts()}))
        bars = head.thresholds
        label, smoothed = state.chain.step(probabilities if bars is None else against_thresholds(probabilities, bars))
        state.counters.decided += 1
        if label == UNKNOWN:
            name, confidence = UNKNOWN_LABEL, max(smoothed)
        else:
            name, confidence = classes[label], smoothed[label]
        done = time.monotonic_ns()
        return new_tuple(
            Decision,
            (
                seq,
                state.name,
                t_start,
                t_end,
                name,
                classes[raw],
                confidence,
                code,
                flags,
                self._backend.name,
                None,
                probabilities,
                smoothed,
                (*spent, done - inferred, done - arrived),
                None if bars is None else self._reached(smoothed),
                tuple(in_steps(t[head.tail.width :]).astype(int).tolist()) if self.keep_features else None,
            ),
        )

    def _reached(self, smoothed: Sequence[float]) -> tuple[str, ...]:
        """Return the labels whose threshold, which lies at 0.5 here, is reached."""
        return tuple(name for name, value in zip(self._classes, smoothed, strict=True) if value >= 0.5)

    def _unanswered(self, due: Due, missed: str | None) -> Decision:
        """Return the record of a window that abstained (None) or was lost for a reason."""
        state, seq, t_start, t_end, flags = due
        state.chain.skip()
        if missed is None:
            state.counters.abstained += 1
            if state.lesson is not None:
                state.lesson.see(None, None, t_start, t_end)
        else:
            state.counters.missed += 1
        name = self._backend.name
        return Decision(
            seq, state.name, t_start, t_end, None, None, None, None, flags, name, missed, None, None, self._no_stages
        )


def _near_a_step(features: Float32Array) -> Int64Array:
    """Return the rows of features (N, F) of which one lies so near the middle of two steps that a batch may differ."""
    steps = features * np.float32(STEPS)
    return np.flatnonzero((np.abs(np.abs(steps - np.rint(steps)) - 0.5) < STEP_MARGIN).any(axis=1))


def _with_host(spent: tuple[int, ...], host_ns: int) -> tuple[int, ...]:
    """Take the host graph's time out of that of the inference, and put it behind."""
    return *spent[:-1], spent[-1] - host_ns, host_ns
