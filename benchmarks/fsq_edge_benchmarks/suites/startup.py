"""What starting costs: the imports of the runtime, and a process until its first decision.

python -m fsq_edge_benchmarks.suites.startup [--quick]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from fsq_edge_benchmarks.bench.modes.cold import measure_cold
from fsq_edge_benchmarks.measure.children import child_environment, first_line_of
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.suites.command import run_command

# pydantic imports its machinery on the first use of BaseModel, and so does the runtime on the first use of a name.
STATEMENTS: Final = {
    "import numpy, pydantic": "import numpy, pydantic",
    "import fsq_edge_runtime": "import fsq_edge_runtime",
    "numpy and BaseModel": "import numpy; from pydantic import BaseModel",
    "Bundle and Session": "from fsq_edge_runtime import Bundle, Session",
}
_TIMED: Final = """
import time
wall, cpu = time.perf_counter_ns(), time.process_time_ns()
{statement}
print([time.perf_counter_ns() - wall, time.process_time_ns() - cpu], flush=True)
"""


def run(quick: bool = False) -> dict[str, Any]:
    """Time imports and cold starts in fresh processes, in turns.

    Returns:
        ``imports``: milliseconds of each statement, wall and CPU, at the median; ``import_ratio`` and
        ``used_ratio`` (the names in use against numpy with a pydantic model's base) by wall time, ``import_cpu_ratio``
        by CPU time; ``cold``: seconds from process start to first decision, of the bare imports, and ``added_s``;
        ``process_cpu_s`` is the CPU time of the process to its end, which other work on the machine changes little.
    """
    imports = _imports(3 if quick else 25)
    cold = measure_cold(fixed_bundle(), "onnx", 2 if quick else 25)
    started, imported = (None if found is None else found.p50 for found in (cold.ours, cold.bare))
    added = None if cold.added_us is None else cold.added_us.value / 1e6
    return {
        "imports": imports,
        "import_ratio": _ratio(imports, "import fsq_edge_runtime", "import numpy, pydantic", "wall_ms"),
        "import_cpu_ratio": _ratio(imports, "import fsq_edge_runtime", "import numpy, pydantic", "cpu_ms"),
        "used_ratio": _ratio(imports, "Bundle and Session", "numpy and BaseModel", "wall_ms"),
        "cold": {
            "first_decision_s": None if started is None else started / 1e6,
            "process_cpu_s": None if cold.cpu_us is None else cold.cpu_us / 1e6,
            "imports_s": None if imported is None else imported / 1e6,
            "added_s": added,
            "stages_ms": {stage: None if d.p50 is None else d.p50 / 1e3 for stage, d in cold.stages.items()},
            "starts": cold.ours.samples,
            "valid": cold.valid,
        },
    }


def _imports(starts: int) -> dict[str, dict[str, float]]:
    """Return the medians of each statement in ``STATEMENTS``, the interpreter's own start not among them."""
    taken: dict[str, list[list[int]]] = {name: [] for name in STATEMENTS}
    with tempfile.TemporaryDirectory() as folder:
        environment = child_environment(compiled=Path(folder))
        for turn in range(starts + 1):
            for name, statement in STATEMENTS.items():
                child = first_line_of(["-c", _TIMED.format(statement=statement)], environment)
                if turn:  # the first compiles
                    taken[name].append(json.loads(child.first_line))
    medians = {name: np.median(durations, axis=0) / 1e6 for name, durations in taken.items()}
    return {name: {"wall_ms": float(wall), "cpu_ms": float(cpu)} for name, (wall, cpu) in medians.items()}


def _ratio(imports: Mapping[str, Mapping[str, float]], ours: str, base: str, clock: str) -> float:
    return imports[ours][clock] / imports[base][clock]


if __name__ == "__main__":
    sys.exit(run_command("startup", run))
