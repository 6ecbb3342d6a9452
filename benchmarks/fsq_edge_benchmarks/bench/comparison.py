"""Two results side by side, and the gate: by how much did decision / bare grow."""

from __future__ import annotations

from collections.abc import Sequence

from fsq_edge_benchmarks.bench.network_bench import REFERENCE_IS
from fsq_edge_benchmarks.bench.result import BenchResult, Comparison, Line, ModeResult
from fsq_edge_runtime.errors import DataError


def compare(baseline: BenchResult, candidate: BenchResult, max_regress: float | None = None) -> Comparison:
    """Compare the ratios of two results, mode by mode and backend by backend.

    Args:
        baseline: the earlier one.
        candidate: the later one.
        max_regress: 0.1 lets a ratio grow by 10 %; None judges without a gate.

    Raises:
        DataError: they have no mode and backend with a ratio in common.
    """
    earlier = {(run.mode, run.backend): run for run in baseline.runs}
    pairs = [(earlier[key], run) for run in candidate.runs if (key := (run.mode, run.backend)) in earlier]
    lines = tuple(line for before, after in pairs if (line := _line(before, after, max_regress)) is not None)
    if not lines:
        raise DataError(
            "the two results have no mode and backend with a ratio in common",
            hint=f"baseline: {_modes(baseline.runs)}; candidate: {_modes(candidate.runs)}",
        )
    return Comparison(
        max_regress=max_regress,
        same_machine=baseline.machine.same_as(candidate.machine),
        lines=lines,
        notes=_notes(baseline, candidate),
    )


def _line(before: ModeResult, after: ModeResult, max_regress: float | None) -> Line | None:
    if before.ratio is None or after.ratio is None:
        return None
    change = after.ratio.value / before.ratio.value - 1.0
    overlap = after.ratio.low <= before.ratio.high and before.ratio.low <= after.ratio.high
    beyond = max_regress is not None and change > max_regress
    return Line(
        mode=after.mode,
        backend=after.backend,
        before=before.ratio.value,
        after=after.ratio.value,
        change=change,
        verdict="regressed" if beyond else "same" if overlap else "slower" if change > 0 else "faster",
        before_p50_us=before.ours.p50,
        after_p50_us=after.ours.p50,
        valid=before.valid and after.valid,
    )


def _notes(baseline: BenchResult, candidate: BenchResult) -> tuple[str, ...]:
    notes = []
    if not baseline.machine.same_as(candidate.machine):
        notes.append("two machines: the ratios may be compared, the microseconds may not")
    if baseline.bundle.encoder_sha256 != candidate.bundle.encoder_sha256:
        alone = all(run.bare_is == REFERENCE_IS for result in (baseline, candidate) for run in result.runs)
        why = "each against the fixed network" if alone else "a bare network that is slower makes the ratio smaller"
        notes.append(f"two networks: {why}")
    versions = baseline.machine.versions, candidate.machine.versions
    changed = sorted(name for name in versions[1] if versions[0].get(name) != versions[1][name])
    notes += [f"{name} {versions[0].get(name, 'none')} then {versions[1][name]}" for name in changed]
    for name, result in (("baseline", baseline), ("candidate", candidate)):
        disturbed = [f"{run.mode} {run.backend}" for run in result.runs if not run.valid]
        if disturbed:
            notes.append(f"the {name} was disturbed in {', '.join(disturbed)}")
    return tuple(notes)


def _modes(runs: Sequence[ModeResult]) -> str:
    return ", ".join(f"{run.mode} {run.backend}" for run in runs) or "none"
