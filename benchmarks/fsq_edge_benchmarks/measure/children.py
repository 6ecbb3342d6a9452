"""Fresh interpreters that find the packages which this one uses."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fsq_edge_runtime.errors import InternalError

PACKAGES: Final = (
    "fsq_edge_runtime", "fsq_edge", "fsq_edge_benchmarks", "fsq_edge_compile", "fsq_edge_calibration",
)  # fmt: skip
TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Child:
    """What a child process did.

    Attributes:
        first_line: of its standard output.
        started_ns: ``perf_counter_ns`` before it was made.
        first_line_ns: from there to its first line.
        life_ns: from there to its end.
        cpu_ns: CPU time of its whole life.
    """

    first_line: str
    started_ns: int
    first_line_ns: int
    life_ns: int
    cpu_ns: int


def child_environment(roots: Sequence[Path] | None = None, *, compiled: Path | None = None) -> dict[str, str]:
    """Return this process's environment with one thread and with the packages' source roots in front.

    Args:
        roots: where the packages lie; None takes those of this process.
        compiled: folder for compiled modules: the second start then finds them all, as on a device, whatever this
            process was told about writing them.
    """
    if roots is None:
        specs = [importlib.util.find_spec(name) for name in PACKAGES]
        roots = [Path(spec.origin).parents[1] for spec in specs if spec and spec.origin]
    entries = [*dict.fromkeys(map(str, roots)), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    # Numba's threads as well: where it has more than one, its OpenMP layer gives PyTorch as many (observed).
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(dict.fromkeys(entries))}
    if compiled is not None:
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(compiled)
    return environment


def first_line_of(arguments: Sequence[str], environment: dict[str, str]) -> Child:
    """Start this Python with arguments and take the time to the first line that it writes.

    Raises:
        InternalError: it wrote nothing or failed; the message has the end of its standard error.
    """
    before, started = _children_cpu_s(), time.perf_counter_ns()
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        line = child.stdout.readline() if child.stdout else ""
        came = time.perf_counter_ns() - started
        try:
            errors = child.communicate(timeout=TIMEOUT_S)[1]
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise InternalError(f"a child process did not end: {' '.join(arguments)}") from error
    if child.returncode or not line:
        raise InternalError(f"a child process failed: {' '.join(arguments)}: {errors.strip()[-500:]}")
    life = time.perf_counter_ns() - started
    return Child(line, started, came, life, int(1e9 * (_children_cpu_s() - before)))


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
