"""Standard input: CSV with a header, or JSON lines, from a file or a pipe that never ends."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator, Sequence

from fsq_edge_runtime.errors import DataError, UnavailableError
from fsq_edge_runtime.sources.base import POLL_S, Chunk
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.lines import LineBuffer, LineParser
from fsq_edge_runtime.sources.notices import Notices

READ_BYTES = 1 << 16


class StdinSource:
    """Reads a file descriptor until its end.

    Args:
        channels: names in the model's order, or pairs of name and unit.
        descriptor: what to read; None is standard input.
        live: samples come in real time.
        notices: hears how the input is read where that is not the plain way.

    Attributes:
        live: as given.
        counters: samples, malformed lines.

    Raises:
        UnavailableError: this process has no standard input.
    """

    def __init__(
        self,
        channels: Sequence[str | Wanted],
        *,
        descriptor: int | None = None,
        live: bool = False,
        notices: Notices | None = None,
    ) -> None:
        self.live = live
        self.counters = {"samples": 0}
        self._descriptor = _standard_input() if descriptor is None else descriptor
        self._parser = LineParser(channels, self.counters, header=True, origin="standard input", notices=notices)

    def chunks(self, stop: threading.Event) -> Iterator[Chunk]:
        """Yield samples as they come.

        Raises:
            DataError: the header lacks a channel, or the input ended without one usable sample.
        """
        lines = LineBuffer()
        while not stop.is_set():
            if not select.select([self._descriptor], [], [], POLL_S)[0]:
                continue
            data = os.read(self._descriptor, READ_BYTES)
            whole, lines.dropped, too_long = (lines.feed(data) if data else lines.finish()), 0, lines.dropped
            for chunk in self._parser.parse(whole, too_long):
                self.counters["samples"] += len(chunk.samples)
                yield chunk
            if not data:
                break
        if not stop.is_set():
            self._parser.finish()
        if not stop.is_set() and not self.counters["samples"]:
            why = self._parser.first_error or "it was empty"
            raise DataError(
                f"standard input held no sample: {why}",
                hint='CSV with a header of channel names, or one {"t": seconds, "x": [values]} a line',
            )

    def close(self) -> None:
        """Standard input is left open."""


def _standard_input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as error:  # closed: None, or a stand-in without a descriptor
        raise UnavailableError("this process has no standard input", hint="pipe samples into it") from error
