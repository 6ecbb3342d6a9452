"""The result of ``fsq-edge bench`` as a versioned document."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_benchmarks.measure.machine import Machine
from fsq_edge_benchmarks.measure.ratio import Ratio
from fsq_edge_benchmarks.measure.resources import Resources
from fsq_edge_runtime.artefact import Artefact, StrictModel

Mode = Literal["single", "paced", "offline", "multi", "cold"]


class SpinRecord(StrictModel):
    """What the calibrated loop beside the run saw; see :mod:`fsq_edge_benchmarks.bench.spin`.

    Attributes:
        calm_us: an undisturbed turn.
        slowdown: median turn of the run over that; 1 on a quiet machine.
        drift: last quarter of the run over its first.
        lost_share: share of the loop's time in which it stood still.
    """

    calm_us: float
    slowdown: float
    drift: float
    lost_share: float


class ModeResult(StrictModel):
    """One backend in one mode.

    Attributes:
        mode: how the windows came.
        backend: name as the session gives it; ``hailo-fake`` is never a measurement of silicon.
        sample: what one duration is of.
        windows: windows in one duration.
        ours: durations through a session, microseconds.
        bare: durations of the comparison, taken in turns with ours.
        bare_is: what the comparison is.
        ratio: median of ours over median of bare.
        added_us: median of ours less median of bare, microseconds.
        windows_per_s: at the median.
        bare_windows_per_s: of the comparison, at the median.
        cpu_us: CPU microseconds of the process per window, in the calls timed.
        stages: durations by stage of the windows timed, microseconds.
        warm_up: samples before the first that counts.
        first_us: the very first sample, microseconds.
        resources: used during the run.
        spin: the loop beside the run; None where there is none in the timed process.
        valid: nothing disturbed the run.
        reasons: why it is not valid.
        notes: what the figures must be read with.
    """

    mode: Mode
    backend: str
    sample: str
    windows: int = Field(ge=1)
    ours: Distribution
    bare: Distribution | None
    bare_is: str
    ratio: Ratio | None
    added_us: Ratio | None
    windows_per_s: float | None = None
    bare_windows_per_s: float | None = None
    cpu_us: float | None = None
    stages: dict[str, Distribution] = Field(default_factory=dict)
    warm_up: int = Field(ge=0)
    first_us: float
    resources: Resources
    spin: SpinRecord | None
    valid: bool
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class PairResult(StrictModel):
    """Two contestants in turns, A B B A, each window through both.

    Attributes:
        a: name of the first.
        b: name of the second.
        a_us: durations of the first.
        b_us: durations of the second.
        ratio: median of b over median of a; above 1, b is slower.
        how: in one process, or in one process each with blocks in turns.
        valid: nothing disturbed the run.
        reasons: why it is not valid.
    """

    a: str
    b: str
    a_us: Distribution
    b_us: Distribution
    ratio: Ratio
    how: str
    valid: bool
    reasons: tuple[str, ...] = ()


class Line(StrictModel):
    """One mode and backend of two results.

    Attributes:
        mode: which.
        backend: which.
        before: ratio of the baseline.
        after: ratio of the candidate.
        change: after / before - 1; positive is slower.
        verdict: ``regressed`` beyond the limit; ``same`` where the intervals overlap.
        before_p50_us: of the baseline, ours.
        after_p50_us: of the candidate, ours.
        valid: neither run was disturbed.
    """

    mode: Mode
    backend: str
    before: float
    after: float
    change: float
    verdict: Literal["regressed", "slower", "same", "faster"]
    before_p50_us: float | None
    after_p50_us: float | None
    valid: bool


class Comparison(Artefact):
    """What ``bench compare`` prints.

    Attributes:
        max_regress: the limit on ``change``; None without a gate.
        same_machine: absolute times may be compared too.
        lines: one for each mode and backend that both results have.
        notes: what the lines must be read with.
    """

    KIND: ClassVar[str] = "benchmark comparison"

    max_regress: float | None
    same_machine: bool
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def regressed(self, *, believe_disturbed: bool = False) -> bool:
        """Return whether a line is beyond the limit, by runs that may be believed."""
        return any(line.verdict == "regressed" and (line.valid or believe_disturbed) for line in self.lines)

    @property
    def proves(self) -> bool:
        """Whether no line comes from a disturbed run."""
        return all(line.valid for line in self.lines)


class BundleFacts(StrictModel):
    """The bundle that was measured.

    Attributes:
        name: of the model.
        encoder_sha256: of its device graph.
        channels: sensor channels.
        window_samples: samples of a window.
        hop_samples: samples between windows.
        sample_rate_hz: of the model's grid.
    """

    name: str
    encoder_sha256: str
    channels: int
    window_samples: int
    hop_samples: int
    sample_rate_hz: float


class BenchResult(Artefact):
    """``bench.json``.

    Attributes:
        made: date and time, UTC, ISO 8601.
        machine: where.
        bundle: what.
        quick: with fewer samples than a figure to keep should have.
        runs: one for each mode and backend.
        pair: a paired comparison, where one was asked for.
        comparison: with a baseline, where one was given.
        small: ``single`` of a small network with the frames of this bundle, on the same backend; None without that
            mode. What a decision costs beside its network weighs most there.
        placement: the sentence that says whether CPU or device is the better place; empty when it was not asked.
    """

    KIND: ClassVar[str] = "benchmark result"

    made: str
    machine: Machine
    bundle: BundleFacts
    quick: bool = False
    runs: tuple[ModeResult, ...] = ()
    pair: PairResult | None = None
    comparison: Comparison | None = None
    small: ModeResult | None = None
    placement: str = ""

    @property
    def valid(self) -> bool:
        """Whether nothing disturbed any of the runs."""
        beside = [found for found in (self.pair, self.small) if found is not None]
        return all(run.valid for run in (*self.runs, *beside))
