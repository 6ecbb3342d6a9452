"""Cost of ``data import``: a large CSV against pandas' own ``read_csv`` of it, and a cwa file of four hours.

python -m fsq_edge_benchmarks.suites.importing [--quick] [--json FILE]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.data.importing.readers.axivity import PAGE
from fsq_edge_benchmarks.measure.children import child_environment
from fsq_edge_benchmarks.suites.command import run_command

AXES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
CHANNELS = ", ".join(f"{name}: {{column: {name}, unit: {'g' if name[0] == 'a' else 'deg/s'}}}" for name in AXES)
MAP = f"files: [{{pattern: '*.csv', time: {{column: time, form: s}}, channels: {{{CHANNELS}}}}}]"
RATE_HZ, PER_PAGE = 100, 120
CHILD = """
import sys, time
from pathlib import Path
side, source, target, text = sys.argv[1:]
begun, cpu = time.monotonic(), time.process_time()
if side == "pandas":
    import pandas
    pandas.read_csv(source)
else:
    from fsq_edge.data.importing.import_map import parse_map
    from fsq_edge.data.importing.importer import import_files
    from fsq_edge.data.importing.presets import self_explaining_map
    wanted = parse_map(text.encode(), "map") if text else self_explaining_map([Path(source)])
    import_files([Path(source)], wanted, Path(target))
spent = time.monotonic() - begun, time.process_time() - cpu
# Not ru_maxrss, which begins with the peak of the process that started this one.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(*spent, int(status["VmHWM"].split()[0]) / 1024)
"""


def run(quick: bool = False) -> dict[str, Any]:
    """Import a CSV of 1 GB and a cwa file of four hours at 100 Hz, each in a process of its own.

    Args:
        quick: 4 MB and two minutes, to show that it runs.

    Returns:
        ``csv`` (bytes, ratios of the times to those of pandas, in turns, seconds, the most memory in MB) and ``cwa``
        (samples, seconds).
    """
    size, repeats = (4 << 20, 1) if quick else (1 << 30, 3)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "collar.csv"
        _write_table(table, size)
        ours, theirs = [], []
        for turn in range(repeats):
            theirs.append(_child("pandas", table, "", ""))
            ours.append(_child("import", table, f"{folder}/out-{turn}", MAP))
        night = Path(folder) / "night.cwa"
        samples = _write_night(night, 2 * 60 if quick else 4 * 3600)
        pages = [_child("import", night, f"{folder}/night-{turn}", "") for turn in range(repeats)]
        return {
            "schema_version": 1,
            "csv": {
                "bytes": table.stat().st_size,
                "cpu_ratio": min(cpu for _, cpu, _ in ours) / min(cpu for _, cpu, _ in theirs),
                "wall_ratio": min(wall for wall, _, _ in ours) / min(wall for wall, _, _ in theirs),
                "seconds": min(wall for wall, _, _ in ours),
                "most_mb": max(memory for _, _, memory in ours),
                "pandas_mb": max(memory for _, _, memory in theirs),
            },
            "cwa": {"samples": samples, "seconds": min(wall for wall, _, _ in pages)},
        }


def _child(side: str, source: Path, target: str, text: str) -> tuple[float, float, float]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, side, str(source), target, text],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(),
    )
    wall, cpu, memory = (float(word) for word in done.stdout.split())
    return wall, cpu, memory


def _write_table(path: Path, size: int) -> None:
    """Write a CSV of about ``size`` bytes: one block of movement over and over, its times going on."""
    rng = np.random.default_rng(0)
    rows = 20_000
    values = rng.normal(0, 0.3, (rows, 6)) + np.array([0, 0, 1, 0, 0, 0])
    cells = [",".join(f"{value:.6f}" for value in row) for row in values]
    with path.open("w", encoding="ascii") as file:
        file.write(f"time,{','.join(AXES)}\n")
        block = 0
        while file.tell() < size:
            file.write("\n".join(f"{(block * rows + i) / RATE_HZ:.2f},{cells[i]}" for i in range(rows)) + "\n")
            block += 1


def _write_night(path: Path, seconds: int) -> int:
    """Write a cwa file of so many seconds at 100 Hz and return its number of samples."""
    pages = np.zeros(seconds * RATE_HZ // PER_PAGE, PAGE)
    pages["magic"], pages["length"], pages["rate"], pages["axes"], pages["count"] = b"AX", 508, 0x4A, 0x30, PER_PAGE
    pages["session"], pages["sequence"] = 1, np.arange(len(pages))
    whole = (np.arange(len(pages)) + 1) * PER_PAGE // RATE_HZ
    pages["offset"] = whole * RATE_HZ - np.arange(len(pages)) * PER_PAGE
    hours, minutes, second = whole // 3600, whole // 60 % 60, whole % 60
    pages["time"] = (23 << 26) | (5 << 22) | (3 << 17) | (hours << 12) | (minutes << 6) | second
    words = np.random.default_rng(0).integers(0, 1 << 30, (len(pages), PER_PAGE), dtype=np.uint32)
    pages["samples"] = words.view(np.uint8).reshape(len(pages), -1)
    sums = np.frombuffer(pages.tobytes(), "<u2").reshape(len(pages), 256).sum(axis=1, dtype=np.uint16)
    pages["checksum"] = (0 - sums.astype(np.int64)) & 0xFFFF
    header = bytearray(1024)
    header[:4] = b"MD\xfc\x03"
    path.write_bytes(bytes(header) + pages.tobytes())
    return len(pages) * PER_PAGE


if __name__ == "__main__":
    sys.exit(run_command("importing", run))
