"""The seam between the engine and where its records go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from fsq_edge_runtime.stream.records import Record


class Sink(Protocol):
    """Where records go. One writer at a time.

    Attributes:
        name: for counters and messages.
    """

    name: str

    @property
    def counters(self) -> dict[str, int]:
        """Return what happened so far, by name."""

    def write(self, record: Record, /) -> None:
        """Take one record, in order.

        Raises:
            OSError: it cannot be written.
        """

    def close(self) -> None:
        """Deliver what is left, within a bounded time, and let go; a second call does nothing."""


class CallbackSink:
    """Calls a function with every record.

    Args:
        call: the function; it runs on the engine's thread unless the sink is wrapped in a ``QueuedSink``.
        name: for counters and messages.
    """

    def __init__(self, call: Callable[[Record], None], name: str = "callback") -> None:
        self.name, self._call = name, call
        self.counters = {"records": 0}

    def write(self, record: Record) -> None:
        """Call the function."""
        self._call(record)
        self.counters["records"] += 1

    def close(self) -> None:
        """Nothing is held."""


@runtime_checkable
class KeepsRecords(Protocol):
    """A sink that can leave the work of :meth:`Sink.write` for later, so that a decision pays next to nothing for it.

    Attributes:
        keep: takes a record as :meth:`Sink.write` does; whoever calls it calls :meth:`relieve`, too.
        keep_all: takes records in order, at most ``RELIEF``, as :attr:`keep` takes each.
    """

    keep: Callable[[Record], None]
    keep_all: Callable[[Iterable[Record]], None]

    def relieve(self) -> None:
        """Work off or bound what waits: due after every ``RELIEF`` records, on the thread that writes them."""


@runtime_checkable
class TakesSamples(Protocol):
    """A sink that shows signals, too.

    Attributes:
        take_chunks: takes chunks, each of which begins with a stream, its samples (n, C), raw units, and their times
            (n,) in seconds or None; never blocks, never changes them.
    """

    take_chunks: Callable[[Iterable[Sequence[Any]]], None]


@runtime_checkable
class ReadsFacts(Protocol):
    """A sink that shows the run's counters."""

    def read_facts(self, facts: Callable[[], dict[str, Any]]) -> None:
        """Keep what returns the counters; any thread may call it."""
