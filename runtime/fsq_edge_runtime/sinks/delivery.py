"""Records to a receiver that may be slow, away or full: batches from a bounded queue, tried again until they arrive."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.sinks.base import Sink
from fsq_edge_runtime.sources.base import Backoff
from fsq_edge_runtime.stream.records import Record, StreamEvent

CLOSE_TIMEOUT_S = 0.8
PATIENCE_S = 60.0  # a replay gives up when the receiver has taken nothing for so long
LONGEST_WAIT_S = 30.0
LOOK_S = 0.05
MAX_TRIES = 50  # of one batch, about 20 minutes: one that a receiver chokes on must not keep back all others for ever


class RefusedError(Exception):
    """The receiver answered that it will never take this batch: it is given up."""


class BusyError(Exception):
    """The receiver asks for a pause.

    Args:
        pause_s: how long, seconds.
    """

    def __init__(self, pause_s: float) -> None:
        super().__init__("asks for a pause")
        self.pause_s = pause_s


class DeliverySink:
    """Sends what records become, in order, on a thread of its own.

    A live stream never waits: when the queue is full, the oldest make way. A replay waits for the receiver instead.

    Args:
        name: for counters and messages; holds no secret.
        render: what a record is sent as, given also when it came (nanoseconds since 1970); None leaves it out. It is
            called on the sink's thread, so that a stream does not pay for it.
        send: sends a batch. An ``OSError`` is tried again, with growing pauses.
        batch: most items of a batch.
        limit: items in the queue.
        live: a full queue drops the oldest; False waits.
        stop: once it is set, a replay no longer waits.
        let_go: called when the last batch is through.

    Attributes:
        counters: ``records`` delivered, ``dropped`` from the queue, ``refused`` by the receiver, ``retries`` of a
            batch, and ``errors``: records that never arrived.
        error: why the last of them did not; None while all arrived.
    """

    def __init__(
        self,
        name: str,
        render: Callable[[Record, int], str | None],
        send: Callable[[Sequence[str]], None],
        *,
        batch: int = 1,
        limit: int = 10_000,
        live: bool = True,
        stop: threading.Event | None = None,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self._render, self._send, self._let_go = name, render, send, let_go
        self.counters = {"records": 0, "dropped": 0, "refused": 0, "retries": 0, "errors": 0}
        self.error: OSError | None = None
        self._batch, self._limit, self._live, self._stop = batch, limit, live, stop or threading.Event()
        self._queue: deque[tuple[Record, int]] = deque()
        self._under_way: list[str] = []
        self._pending = 0  # records that have left the queue and are not through
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._moved = time.monotonic()  # when the receiver last took or refused a batch
        self._reason = "the receiver did not answer"
        self._tries = 0  # of the batch under way
        self._thread = threading.Thread(target=self._work, name=f"sink {name}", daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Queue what the record becomes; never blocks a live stream.

        Raises:
            OSError: in a replay, the receiver has taken nothing for ``PATIENCE_S``.
        """
        if not self._live:
            self._wait_until(lambda: len(self._queue) < self._limit)
        with self._changed:
            if not self._queue and not self._pending:
                self._moved = time.monotonic()
            self._queue.append((record, time.time_ns()))
            if len(self._queue) > self._limit:
                self._queue.popleft()
                self._lose(1, "dropped", "the receiver takes less than comes")
            self._changed.notify()
        if isinstance(record, StreamEvent) and record.kind == "end":
            self.flush()

    def flush(self) -> None:
        """In a replay, wait until everything is delivered; a live stream waits at its end, for a moment.

        Raises:
            OSError: the receiver has taken nothing for ``PATIENCE_S``.
        """
        if not self._live:
            self._wait_until(lambda: not (self._queue or self._pending))

    def close(self) -> None:
        """Send what is queued for at most ``CLOSE_TIMEOUT_S``; what is left then is dropped."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S)
        with self._changed:
            left = len(self._queue) + self._pending
            self._queue.clear()
            self._pending = 0
            if left:
                self._lose(left, "dropped", self._reason)

    def _wait_until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            while not (holds() or self._stop.is_set()):
                if time.monotonic() - self._moved > PATIENCE_S:
                    raise OSError(errno.ETIMEDOUT, self._reason, self.name)
                self._changed.wait(LOOK_S)

    def _lose(self, count: int, counter: str, why: str) -> None:
        self.counters[counter] += count
        self.counters["errors"] += count
        self.error = OSError(errno.EIO, why, self.name)

    def _work(self) -> None:
        backoff = Backoff(0.2, LONGEST_WAIT_S)
        while self._take():
            try:
                self._send(self._under_way)
            except BusyError as busy:
                self._again(min(busy.pause_s, LONGEST_WAIT_S), busy)
            except OSError as error:
                self._again(backoff.next_s(), error)
            except RefusedError as error:
                self._done("refused", first_line(error))
            else:
                backoff.reset()
                self._done()
        self._let_go()

    def _take(self) -> bool:
        """Wait for a batch; False when the sink is closed and nothing is left."""
        while not self._under_way:
            with self._changed:
                while not self._queue:
                    if self._closing.is_set():
                        return False
                    self._changed.wait()
                records = [self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))]
                self._pending = len(records)
            # Without the lock: the stream must not wait for the making of a thousand lines.
            items = [self._make(record, arrived_ns) for record, arrived_ns in records]
            with self._changed:
                self._under_way = [item for item in items if item is not None]
                self._pending = len(self._under_way)
                self._changed.notify()
        return True

    def _make(self, record: Record, arrived_ns: int) -> str | None:
        try:
            return self._render(record, arrived_ns)
        except ValueError as error:  # such as a number that JSON does not have: one record, not the stream
            with self._changed:
                self._lose(1, "refused", first_line(error))
            return None

    def _again(self, pause_s: float, error: Exception) -> None:
        self.counters["retries"] += 1
        self._reason = first_line(error)
        self._tries += 1
        if self._tries >= MAX_TRIES:
            self._done("dropped", self._reason)
            return
        self._closing.wait(LOOK_S if self._closing.is_set() else pause_s)
        if self._closing.is_set():
            time.sleep(LOOK_S)  # the last tries are no busy loop

    def _done(self, counter: str = "records", why: str = "") -> None:
        with self._changed:
            if counter == "records":
                self.counters[counter] += len(self._under_way)
            else:
                self._lose(len(self._under_way), counter, why)
            self._under_way, self._pending, self._tries = [], 0, 0
            self._moved = time.monotonic()
            self._changed.notify()


class AlertsOnly:
    """Passes ``alert`` records on, and nothing else.

    Args:
        sink: closed with this one.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.name, self.counters = f"alerts to {sink.name}", sink.counters

    @property
    def error(self) -> OSError | None:
        """Why the last record that was lost did not arrive; None while all did."""
        error: OSError | None = getattr(self._sink, "error", None)
        return error

    def write(self, record: Record) -> None:
        """Pass an alert on; at the end of a replay, wait until all are delivered."""
        if isinstance(record, StreamEvent) and record.kind == "alert":
            self._sink.write(record)
        elif isinstance(record, StreamEvent) and record.kind == "end" and isinstance(self._sink, DeliverySink):
            self._sink.flush()

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()
