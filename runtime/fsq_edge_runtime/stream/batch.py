"""Windows of many streams that became due together: collected, then checked, inferred and decided as one batch."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.decision import DecisionChain
from fsq_edge_runtime.preprocess import FrameWriter, PreprocessConfig
from fsq_edge_runtime.stream.answers import Answers, Due, doubted, place, with_host
from fsq_edge_runtime.stream.chains import Rows
from fsq_edge_runtime.stream.cohort import Cohort
from fsq_edge_runtime.stream.head import DecisionHead
from fsq_edge_runtime.stream.inference import FEW, MAX_BATCH, Inference
from fsq_edge_runtime.stream.quality import QualityCheck
from fsq_edge_runtime.stream.records import Decision, Gap, Record
from fsq_edge_runtime.stream.relief import Relief
from fsq_edge_runtime.stream.state import StreamState

# Streams of a cohort: after a run of the network every call finds cold caches, so few calls, over many windows.
MAX_TOGETHER = 16 * MAX_BATCH
BLOCK = 128  # windows whose frames are made at a time: they stay in the second cache meanwhile


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


class WindowBatch:
    """Collects windows and decides them together.

    Args:
        config: the model's grid.
        inference: runs the network.
        check: judges the windows.
        answers: makes the records.
        patience_ns: the longest time from a window's last sample to its answer.
    """

    def __init__(
        self, config: PreprocessConfig, inference: Inference, check: QualityCheck, answers: Answers, patience_ns: int
    ) -> None:
        self._config, self._inference, self._check, self._answers = config, inference, check, answers
        self._patience_ns = patience_ns
        self._period_ns = int(1e9 * config.hop_samples / config.sample_rate_hz)
        self.expect_wait(0)
        self._entries: list[_Collected | _Ended] = []
        self._windows: Float32Array = np.zeros((MAX_BATCH, len(config.channels), config.window_samples), np.float32)
        self._filled = 0
        self._frames: Float32Array = np.zeros((0, *config.frame_shape), np.float32)  # as large as a cohort needs it
        self._writers: dict[tuple[int, int], FrameWriter] = {}
        self._scratch: Float32Array = self._windows[:0]

    def expect_wait(self, wanted_ns: int) -> None:
        """Take it that samples wait so long on purpose, nanoseconds."""
        self._relief = Relief(self._patience_ns, wanted_ns, self._period_ns)
        self._full = MAX_BATCH  # windows that a batch has at most

    def collect(self, state: StreamState, start: int) -> bool:
        """Add a window to the batch; True when the batch is full and must be decided before the next."""
        # Checked now only where that takes the ring itself; the others together, when the batch is decided.
        ring, row = state.ring, self._filled
        window = ring.window(start)
        flags: tuple[str, ...] = ()
        checked = ring.irregular_until > start
        if checked:
            flags = self._check.examine(window, ring, start)
            window = self._check.window
        self._windows[row] = window
        self._entries.append(_Collected(place(state, start, self._config, flags), row, checked))
        self._filled = row = row + 1
        return row >= self._full

    def defer(self, state: StreamState, gap: Gap) -> bool:
        """Keep the end of a segment in its place among the windows collected; False if there are none to wait for."""
        if self._entries:
            self._entries.append(_Ended(state.chain, gap))
        return bool(self._entries)

    def decide(self, arrived: int) -> list[Record]:
        """Return the records of the windows collected, and the events between them, in order.

        Args:
            arrived: monotonic nanoseconds at which the last samples had arrived.
        """
        entries, n = self._entries, self._filled
        if not entries:
            return []
        self._entries, self._filled = [], 0
        inference = self._inference
        begun = time.monotonic_ns()
        limit = arrived + self._patience_ns
        overrun = begun > limit or self._relief.skips(begun - arrived)
        entries, kept, plain = self._check_rows(entries, n)
        refused = self._beyond_rations(entries, kept, begun, overrun) if self._relief.rations else set()
        some = self._windows[:n] if len(kept) == n else self._windows[kept]
        some = some[:0] if overrun else some
        frames = (
            None if plain and inference.graph is not None and len(some) <= FEW else inference.preprocess.frames(some)
        )
        prepared = time.monotonic_ns()
        t, codes, reasons = inference.infer_rows(some, frames)
        inferred = time.monotonic_ns()
        late = "overrun" if overrun else "deadline" if inferred > limit else None
        if not overrun:
            self._took(inferred - begun, len(kept))
        self._relief.count(0 if late else len(kept), len(kept) if late else 0, arrived, inferred)
        spent: tuple[int, ...] = (0, (prepared - begun) // max(n, 1), (inferred - prepared) // max(n, 1))
        if inference.host is not None:
            spent = with_host(spent, inference.host.taken_ns // max(n, 1))
        return self._records(entries, t, codes, reasons, late, spent, inferred, arrived, refused)

    def decide_together(self, cohort: Cohort, arrived: int) -> list[Decision]:
        """Return the records of a cohort's due windows, in order, with nothing else collected; it parts if need be.

        Args:
            cohort: it has just taken samples.
            arrived: as above.
        """
        rows, n = cohort.due()
        if not n:
            return []
        inference = self._inference
        begun = time.monotonic_ns()
        limit, head = arrived + self._patience_ns, inference.head
        relief = self._relief
        apart = begun > limit or n > relief.most or relief.rations or relief.skips(begun - arrived)
        frames = None if apart else self._frames_of(cohort, rows, n)
        if frames is None or not isinstance(head, DecisionHead):
            return self._decide_apart(cohort, rows, arrived)
        prepared = time.monotonic_ns()
        t, codes, reasons = inference.infer_rows(self._windows[:0], frames)
        inferred = time.monotonic_ns()
        self._took(inferred - begun, n)
        relief.count(*((n, 0) if inferred <= limit else (0, n)), arrived, inferred)
        spent = (0, (prepared - begun) // n, (inferred - prepared) // n)
        if inferred > limit or reasons or codes.min() < 0 or inference.head is not head:
            late = "deadline" if inferred > limit else None
            entries = self._take_apart(cohort, rows)
            return _decisions(self._records(entries, t, codes, reasons, late, spent, inferred, arrived))
        return self._answers.answered_together(cohort, rows, head, codes, spent, inferred, arrived)

    def _decide_apart(self, cohort: Cohort, rows: Rows, arrived: int) -> list[Decision]:
        """Return the records of a cohort's due windows, one stream after the other."""
        cohort.part()
        decisions: list[Record] = []
        for state in cohort.of(rows):
            if self.collect(state, next(state.due())):
                decisions += self.decide(arrived)
        return _decisions([*decisions, *self.decide(arrived)])

    def _frames_of(self, cohort: Cohort, rows: Rows, n: int) -> Float32Array | None:
        """Return the frames (N, C', H, W) of a cohort's due windows; None where one has a fault."""
        if len(self._frames) < n:
            self._frames = np.zeros((len(cohort.states), *self._config.frame_shape), np.float32)
            self._scratch = np.zeros((min(BLOCK, len(self._frames)), *self._windows.shape[1:]), np.float32)
            self._writers.clear()
        for at in range(0, n, BLOCK):
            end = min(n, at + BLOCK)
            writer = self._writers.get((at, end))
            if writer is None:
                writer = FrameWriter(self._inference.preprocess, self._frames[at:end], self._scratch[: end - at])
                self._writers[at, end] = writer
            cohort.read(slice(at, end) if isinstance(rows, slice) else rows[at:end], writer.raw)
            sound = self._check.sound_rows(writer.raw)
            if not (sound.all() or all(self._check.sound(writer.raw[row]) for row in np.flatnonzero(~sound))):
                return None
            writer.finish()
        return self._frames[:n]

    def _take_apart(self, cohort: Cohort, rows: Rows) -> list[_Collected | _Ended]:
        """Let a cohort part; return its due windows, taken off their streams."""
        cohort.part()
        return [
            _Collected(place(state, next(state.due()), self._config), row, checked=False)
            for row, state in enumerate(cohort.of(rows))
        ]

    def _records(
        self,
        entries: list[_Collected | _Ended],
        t: Float32Array,
        codes: Int64Array,
        reasons: dict[int, str],
        late: str | None,
        spent: tuple[int, ...],
        inferred: int,
        arrived: int,
        refused: Collection[int] = (),
    ) -> list[Record]:
        """Return the records of windows and gaps, in order; ``t``, codes and reasons are of those to be answered."""
        answers, head, abstains = self._answers, self._inference.head, self._check.abstains
        records: list[Record] = []
        found, row = codes.tolist(), 0
        for entry in entries:
            if isinstance(entry, _Ended):
                entry.chain.reset()
                records.append(entry.gap)
                continue
            due = entry.due
            if due.flags and abstains(due.flags):
                records.append(answers.unanswered(due, None))
                continue
            if entry.row in refused:
                records.append(answers.unanswered(due, "overrun"))
                continue
            reason = late or reasons.get(row)
            if reason:
                records.append(answers.unanswered(due, reason))
            else:
                records.append(answers.answered(due, head, found[row], t[row], spent, inferred, arrived))
                if answers.events:
                    records += answers.events
                    answers.events.clear()
            row += 1
        return records

    def _took(self, batch_ns: int, windows: int) -> None:
        self._relief.took(batch_ns, windows)
        self._full = min(MAX_BATCH, self._relief.most)

    def _beyond_rations(self, entries: list[_Collected | _Ended], kept: list[int], begun: int, lost: bool) -> set[int]:
        """Take the rows whose streams have had their ration out of those kept, and return them."""
        wanted, grants = set(kept), self._relief.grants
        collected = [entry for entry in entries if isinstance(entry, _Collected) and entry.row in wanted]
        refused = {entry.row for entry in collected if not grants(entry.due.state.name, begun, lost=lost)}
        kept[:] = [row for row in kept if row not in refused]
        return refused

    def _check_rows(
        self, entries: list[_Collected | _Ended], n: int
    ) -> tuple[list[_Collected | _Ended], list[int], bool]:
        """Give the windows of a batch their flags.

        Returns:
            The batch, the rows that deserve an answer, and whether none of these has a flag.
        """
        check = self._check
        sound = [False] * n if n <= FEW else check.sound_rows(self._windows[:n]).tolist()  # surely; others may be
        kept: list[int] = []
        plain = True
        for at, entry in enumerate(entries):
            if isinstance(entry, _Ended):
                continue
            row, flags = entry.row, entry.due.flags
            if not (entry.checked or sound[row] or check.sound(self._windows[row])):
                flags = check.examine(self._windows[row])
                self._windows[row] = check.window
                entries[at] = entry = entry._replace(due=entry.due._replace(flags=flags))
            if check.checks_rotation:
                due = doubted(entry.due)
                if due is not entry.due:
                    entries[at], flags = entry._replace(due=due), due.flags
            if not flags:
                kept.append(row)
            elif not check.abstains(flags):
                kept.append(row)
                plain = False
        return entries, kept, plain


def _decisions(records: list[Record]) -> list[Decision]:
    return [record for record in records if isinstance(record, Decision)]
