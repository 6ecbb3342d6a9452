"""What happened to the samples and windows of one stream, as plain integers."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class StreamCounters:
    """Counters of one stream since it was opened; they never go back.

    Every sample received ends in exactly one of ``accepted``, ``duplicate``, ``late``, ``bad_time``, ``paused``,
    ``overrun``.
    Every due window ends as one of ``decided``, ``abstained``, ``missed``.

    Attributes:
        received: samples handed in.
        accepted: samples put on the grid.
        duplicate: dropped, timestamp equal to the last accepted one.
        late: dropped, timestamp before the last accepted one.
        bad_time: dropped, timestamp not finite.
        paused: dropped while the session was paused.
        overrun: dropped because the engine was too slow to take them.
        skipped: accepted, but another sample already stood for its grid time.
        interpolated: grid samples computed between two samples of the source.
        imputed: grid samples computed between two samples of the source that bridge a short gap.
        gaps: segments ended by a gap in time.
        clock_jumps: segments ended by a clock that was set back.
        segments: continuous stretches of input.
        windows: windows that became due.
        decided: windows with a label.
        abstained: windows refused by the quality checks.
        missed: windows lost to a deadline, an overrun or the backend.
    """

    received: int = 0
    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    bad_time: int = 0
    paused: int = 0
    overrun: int = 0
    skipped: int = 0
    interpolated: int = 0
    imputed: int = 0
    gaps: int = 0
    clock_jumps: int = 0
    segments: int = 0
    windows: int = 0
    decided: int = 0
    abstained: int = 0
    missed: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


def total(counters: list[StreamCounters]) -> StreamCounters:
    """Return the sum over streams."""
    names = StreamCounters().to_dict()
    return StreamCounters(**{name: sum(getattr(entry, name) for entry in counters) for name in names})
