"""One stream of a session: its grid, its samples, its decision chain, its counters."""

from __future__ import annotations

from fsq_edge_runtime.arrays import Float32Array, Float64Array
from fsq_edge_runtime.decision import DecisionChain, DecisionSettings
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.preprocess import PreprocessConfig
from fsq_edge_runtime.stream.counters import StreamCounters
from fsq_edge_runtime.stream.grid import Cause, Grid, Piece
from fsq_edge_runtime.stream.resampler import Polyphase
from fsq_edge_runtime.stream.ring import SampleRing
from fsq_edge_runtime.stream.settings import StreamSettings

MAX_UPSAMPLING = 8.0


class StreamState:
    """Everything that one stream carries from push to push.

    Args:
        name: id of the stream.
        config: the model's grid.
        settings: policies.
        decision: settings of the decision chain.

    Attributes:
        t0: source time of the segment's first grid sample, seconds.
        next_start: grid index at which the next window begins.
        seq: number of the next window.

    Raises:
        UsageError: the source's rate cannot be brought to the model's.
    """

    __slots__ = ("_follows", "chain", "counters", "grid", "name", "next_start", "resampler", "ring", "seq", "t0")

    def __init__(
        self, name: str, config: PreprocessConfig, settings: StreamSettings, decision: DecisionSettings
    ) -> None:
        source, rate, channels = settings.source_rate(config), config.sample_rate_hz, len(config.channels)
        if source * MAX_UPSAMPLING < rate:
            raise UsageError(
                f"a source of {source:g} Hz is too slow for a model of {rate:g} Hz",
                hint=f"at least {rate / MAX_UPSAMPLING:g} Hz is needed",
            )
        filtered = settings.uses_polyphase(config)
        self.name = name
        self.counters = StreamCounters()
        self.grid = Grid(
            channels,
            rate_hz=source if filtered else rate,
            source_rate_hz=source,
            max_gap_s=config.max_gap_ms / 1000.0,
            jitter_tolerance=settings.jitter_tolerance,
            clock_jump_s=settings.clock_jump_s,
            late_limit=settings.late_limit,
            counters=self.counters,
        )
        self.resampler = Polyphase(channels, source, rate) if filtered else None
        self.ring = SampleRing(channels, config.window_samples)
        self.chain = DecisionChain(decision, 1000.0 * config.hop_samples / rate)
        self.t0 = 0.0
        self.next_start = 0
        self.seq = 0
        self._follows = False  # the grid's last sample is the ring's

    def extend(self, samples: Float32Array, times: Float64Array | None) -> bool:
        """Put samples (n, C) straight on the ring if each simply fills the next slot; False if they need :meth:`take`.

        Cost: what a sensor in good order pays for every push.
        """
        n, ring = len(samples), self.ring
        if self.resampler is not None or not 0 < n <= ring.room or not self.grid.follow(n, times):
            return False
        ring.extend(samples, n, self.next_start)
        self._follows = True
        return True

    def take(self, samples: Float32Array, times: Float64Array | None) -> list[Piece]:
        """Place samples (n, C) with times (n,) or None on the model's grid."""
        if self._follows:
            self.grid.remember(self.ring.last())
            self._follows = False
        pieces = self.grid.take(samples, times)
        if self.resampler is None:
            return pieces
        return [out for piece in pieces for out in self.resampler.take(piece)]

    def finish(self, cause: Cause) -> list[Piece]:
        """End the segment: return what the filter still held; the next sample starts anew because of ``cause``."""
        self.grid.interrupt(cause)
        return [] if self.resampler is None else self.resampler.finish()

    def pause(self, n: int) -> None:
        """Count n samples that are dropped."""
        self.counters.received += n
        self.counters.paused += n
        self.grid.skip(n)

    def lose(self, n: int) -> None:
        """Count n samples that the engine was too slow to take; what follows is a new segment."""
        self.counters.received += n
        self.counters.overrun += n
        self.grid.skip(n)
        self.grid.interrupt("overrun")

    def begin(self, t_start: float) -> None:
        """Start a segment: no window reaches across. The chain is reset when the windows before are decided."""
        self.t0 = t_start
        self.next_start = 0
        self.ring.clear()
