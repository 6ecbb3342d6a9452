"""Run the modes on the backends and put the result together: what ``fsq-edge bench`` calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from fsq_edge_benchmarks.bench.contestant import BACKENDS, bundle_facts, open_subject
from fsq_edge_benchmarks.bench.modes import cold
from fsq_edge_benchmarks.bench.modes.batches import measure_multi, measure_offline
from fsq_edge_benchmarks.bench.modes.paced import measure_paced
from fsq_edge_benchmarks.bench.modes.single import measure_single
from fsq_edge_benchmarks.bench.pairing import race
from fsq_edge_benchmarks.bench.placement import place
from fsq_edge_benchmarks.bench.result import BenchResult, Mode, ModeResult, PairResult
from fsq_edge_benchmarks.measure.fixed_network import small_bundle
from fsq_edge_benchmarks.measure.machine import describe_machine
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import UsageError

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """How long to measure.

    Attributes:
        decisions: of ``single`` and of each side of a pair; 6,636 support p99.9.
        paced: decisions of ``paced``, each of which takes a hop of real time; 11 support a median.
        rounds: batches of ``offline``, hops of ``multi``.
        windows: in a batch of ``offline``.
        streams: of ``multi``.
        starts: of ``cold``.
    """

    decisions: int = 7000
    paced: int = 20
    rounds: int = 100
    windows: int = 256
    streams: int = 64
    starts: int = 20

    @classmethod
    def quick(cls) -> Self:
        """Return settings that show that it runs: enough for a p99 of ``single`` and medians of the rest."""
        return cls(decisions=700, paced=11, rounds=12, windows=64, streams=16, starts=11)


QUICK: Final = BenchSettings.quick()


def run_bench(
    bundle: Bundle,
    modes: Sequence[Mode],
    backends: Sequence[str],
    settings: BenchSettings | None = None,
    *,
    run: Path | None = None,
    against: str | None = None,
    say: Progress = lambda _: None,
) -> BenchResult:
    """Measure every mode on every backend, each in a fresh session.

    Args:
        bundle: the verified bundle.
        modes: which.
        backends: of ``fsq_edge_benchmarks.bench.contestant.BACKENDS``.
        settings: how long; None takes the defaults.
        run: folder of the training run, for ``torch``.
        against: also race the first backend against this one: a backend's name, a bundle, or the root folder of
            another checkout of the project.
        say: called with what is measured now.

    Raises:
        UsageError: an unknown backend, one that a mode cannot have, ``torch`` without a run, or nothing to race
            against; all before anything is measured.
        BackendError: a device cannot be had.
    """
    settings = settings or BenchSettings()
    _refuse_early(modes, backends, run, against)
    runs = []
    for backend in backends:
        for mode in modes:
            say(f"{mode} on {backend}")
            runs.append(_measure(bundle, mode, backend, settings, run))
    small = _small(bundle, modes, backends, settings, say)
    say("placement")
    return BenchResult(
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        bundle=bundle_facts(bundle),
        quick=settings == QUICK,
        runs=tuple(runs),
        pair=_pair(bundle, backends[0], against, settings, run, say) if against else None,
        small=small,
        placement=place(bundle, quick=True).sentence,
    )


def _measure(bundle: Bundle, mode: Mode, backend: str, settings: BenchSettings, run: Path | None) -> ModeResult:
    if mode == "cold":
        return cold.measure_cold(bundle, backend, settings.starts)
    with open_subject(bundle, backend, run) as subject:
        if mode == "single":
            return measure_single(subject, settings.decisions)
        if mode == "paced":
            return measure_paced(subject, settings.paced)
        if mode == "offline":
            return measure_offline(subject, settings.rounds, settings.windows)
        return measure_multi(subject, settings.rounds, settings.streams)


def _small(
    bundle: Bundle, modes: Sequence[Mode], backends: Sequence[str], settings: BenchSettings, say: Progress
) -> ModeResult | None:
    if "single" not in modes or "onnx" not in backends:
        return None
    say("single on onnx, a small network")
    with open_subject(small_bundle(bundle), "onnx") as subject:
        return measure_single(subject, settings.decisions)


def _refuse_early(modes: Sequence[Mode], backends: Sequence[str], run: Path | None, against: str | None) -> None:
    """Refuse what would only fail after minutes of measuring."""
    for backend in (*backends, *([against] if against in BACKENDS else [])):
        if backend not in BACKENDS:
            raise UsageError(f"unknown backend {backend!r}", hint="one of " + ", ".join(BACKENDS))
        if backend == "torch" and run is None:
            raise UsageError("the backend torch needs the training run", hint="--run RUN")
    if run is not None and "torch" not in (*backends, against):
        raise UsageError("--run is for the backend torch, which is not measured", hint="--backend onnx,torch")
    without = [backend for backend in backends if backend not in cold.BACKENDS]
    if "cold" in modes and without:
        hint = "a cold start is that of `fsq-edge run`: " + ", ".join(cold.BACKENDS)
        raise UsageError(f"a cold start of backend {without[0]!r} does not exist", hint=hint)
    if against is not None and against not in BACKENDS and not Path(against).exists():
        raise UsageError(
            f"nothing to race against: {against!r} is no backend, no bundle and no checkout",
            hint="a backend is one of " + ", ".join(BACKENDS),
        )


def _pair(
    bundle: Bundle, backend: str, against: str, settings: BenchSettings, run: Path | None, say: Progress
) -> PairResult:
    say(f"{backend} against {against}")
    if against in BACKENDS:
        with open_subject(bundle, backend, run) as a, open_subject(bundle, against, run) as b:
            return race(a, b, settings.decisions, (a.name, b.name))
    path = Path(against)
    if (path / "runtime").is_dir():
        from fsq_edge_benchmarks.bench.checkouts import race_checkout  # a device's install has no part in it

        return race_checkout(bundle, backend, path, settings.decisions)
    with open_subject(bundle, backend, run) as a, open_subject(Bundle.open(path), backend, run) as b:
        return race(a, b, settings.decisions, (bundle.manifest.name, b.bundle.manifest.name))
