"""From the start of ``fsq-edge run`` to its first decision, the window being full from the beginning."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fsq_edge_benchmarks.bench.modes import cold_phases
from fsq_edge_benchmarks.bench.result import ModeResult
from fsq_edge_benchmarks.bench.spin import disturbances
from fsq_edge_benchmarks.measure.children import Child, child_environment, first_line_of
from fsq_edge_benchmarks.measure.distribution import MINIMUM_SAMPLES, Distribution
from fsq_edge_benchmarks.measure.ratio import difference_of_medians, ratio_of_medians
from fsq_edge_benchmarks.measure.resources import Meter
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import UsageError

BACKENDS: Final = ("onnx", "onnx-int8", "hailo")  # those of `run`
MAX_WAITED: Final = 0.25  # share of a process's life without a core; reading files and its pipe wait a little
IMPORTS: Final = "import numpy, onnxruntime; print('imported', flush=True)"


def measure_cold(bundle: Bundle, backend: str, starts: int) -> ModeResult:
    """Start ``fsq-edge run`` on one full window again and again, in turns with the bare imports.

    Args:
        bundle: the verified bundle; it is written to a file of its own.
        backend: one that ``run`` has.
        starts: how often.

    Raises:
        UsageError: another backend.
        InternalError: a child process failed.
    """
    if backend not in BACKENDS:
        raise UsageError(f"a cold start of backend {backend!r} does not exist", hint="one of " + ", ".join(BACKENDS))
    with tempfile.TemporaryDirectory() as folder:
        environment = child_environment(compiled=Path(folder) / "compiled")
        path, window = Path(folder) / "cold.fsqb", Path(folder) / "window.npz"
        bundle.save(path)
        np.savez(window, samples=np.ascontiguousarray(bundle.selftest.windows[0].T))
        ours = ["-m", "fsq_edge", "run", str(path), "--source", f"npz:{window}", "--backend", backend]
        ours += ["--sink", "jsonl:-", "--quiet"]
        phases = [str(cold_phases.__file__), str(path), backend]
        first = first_line_of(ours, environment)  # fills the file cache and compiles the modules
        for arguments in (["-c", IMPORTS], phases):
            first_line_of(arguments, environment)
        meter = Meter()
        turns = [
            [first_line_of(arguments, environment) for arguments in (ours, ["-c", IMPORTS], phases)]
            for _ in range(starts)
        ]
        resources = meter.used()
    started, imported, phased = zip(*turns, strict=True)
    ours_ns, bare_ns = ([child.first_line_ns for child in children] for children in (started, imported))
    reasons = (*disturbances(resources, None, sleeps=True), *_waiting([*started, *imported]))
    enough = starts >= MINIMUM_SAMPLES[50]
    return ModeResult(
        mode="cold",
        backend=backend,
        sample="start of `fsq-edge run` to its first decision",
        windows=1,
        ours=Distribution.of(ours_ns),
        bare=Distribution.of(bare_ns),
        bare_is="start of Python to numpy and onnxruntime imported",
        ratio=ratio_of_medians(ours_ns, bare_ns) if enough else None,
        added_us=difference_of_medians(np.divide(ours_ns, 1e3), np.divide(bare_ns, 1e3)) if enough else None,
        cpu_us=float(np.median([child.cpu_ns for child in started])) / 1e3,
        stages=_stages(phased),
        warm_up=1,
        first_us=first.first_line_ns / 1e3,
        resources=resources,
        spin=None,
        valid=not reasons,
        reasons=reasons,
        notes=("files in the page cache, modules compiled; the stages are of another start, without the command line",),
    )


def _waiting(children: Sequence[Child]) -> tuple[str, ...]:
    share = 1.0 - float(np.median([child.cpu_ns / child.life_ns for child in children]))
    return (f"disturbed: a starting process waited for {share:.0%} of its life",) if share > MAX_WAITED else ()


def _stages(children: Sequence[Child]) -> dict[str, Distribution]:
    by_phase: dict[str, list[int]] = {}
    for child in children:
        before = child.started_ns
        for phase, moment in json.loads(child.first_line).items():
            by_phase.setdefault(phase, []).append(moment - before)
            before = moment
    return {phase: Distribution.of(durations) for phase, durations in by_phase.items()}
