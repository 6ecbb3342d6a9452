"""Damaged logger files through ``data import``: an error or data, never a crash, a hang or much memory."""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fsq_edge.data.importing.import_map import ImportMap, parse_map
from fsq_edge.data.importing.importer import import_files
from fsq_edge_runtime.errors import FsqEdgeError
from tests.factories.loggers import axivity_file, gt3x_file, still_and_moving, write_table, zip_bytes
from tests.factories.mutations import flip_bytes
from tests.programs.memory import peak_mb

LIMIT_MB = 300.0
LIMIT_S = 10.0
AXES = "channels: {acc_x: {column: acc_x, unit: g}, acc_y: {column: acc_y, unit: g}, acc_z: {column: acc_z, unit: g}}"
MAPS = {
    "night.cwa": f"files: [{{pattern: '*', {AXES}}}]",
    "wrist.gt3x": f"files: [{{pattern: '*', {AXES}}}]",
    "rex.csv": f"files: [{{pattern: '*', time: {{column: time, zone: UTC}}, {AXES}}}]",
}


def seeds() -> dict[str, bytes]:
    """Return a sound file of each kind."""
    steps = np.random.default_rng(0).integers(-200, 200, (1200, 3))
    steps[:, 2] += 256
    values = still_and_moving(300, rate_hz=50)
    stamps = [f"2024-06-01T10:00:{i / 50:06.3f}" for i in range(300)]
    with tempfile.TemporaryDirectory() as folder:
        table = {"time": stamps, **{f"acc_{axis}": values[:, i] for i, axis in enumerate("xyz")}}
        text = write_table(Path(folder) / "rex.csv", table, preamble="# a collar\n").read_bytes()
    return {"night.cwa": axivity_file(steps), "wrist.gt3x": gt3x_file(steps), "rex.csv": text}


def mutants(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged files, the same every time."""
    sound = seeds()
    rng = random.Random(0)
    names = sorted(sound)
    for number in range(count):
        name = names[number % len(names)]
        data = sound[name]
        if name.endswith("gt3x") and rng.random() < 0.7:
            yield name, _rezipped(data, rng)  # damage inside the archive, which its checksums would hide
            continue
        if rng.random() < 0.2:
            data = data[: rng.randrange(len(data))]
        elif rng.random() < 0.1:
            data = data * 2
        yield name, flip_bytes(data, rng)


def _rezipped(data: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(("info.txt", "log.bin", "log.bin", "log.bin"))
    members[name] = flip_bytes(members[name], rng)
    return zip_bytes(members)


def run(count: int) -> Counter[str]:
    """Import ``count`` damaged files; return how many were read and refused, the most memory and the longest time.

    Raises:
        Exception: what an import raised that is no deliberate error.
    """
    maps: dict[str, ImportMap] = {name: parse_map(text.encode(), name) for name, text in MAPS.items()}
    found: Counter[str] = Counter()
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, data) in enumerate(mutants(count)):
            path = Path(folder) / name
            path.write_bytes(data)
            out = Path(folder) / f"out-{number}"
            began = time.process_time()
            try:
                import_files([path], maps[name], out)
                found[f"read {name}"] += 1
            except FsqEdgeError as error:
                found[f"refused {name}"] += 1
                if "\n" in error.message:
                    found["refused in several lines"] += 1
                if out.exists():
                    found["half-written"] += 1
            longest = max(longest, time.process_time() - began)
            if any(path.name.startswith(".out") for path in Path(folder).iterdir()):
                found["left behind"] += 1
    found["most_mb"] = int(peak_mb())
    found["longest_ms"] = int(1000 * longest)
    return found


def main() -> None:
    """Command line: ``--count N`` (default 5,000)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    found = run(parser.parse_args().count)
    print(*(f"{name}: {value}" for name, value in sorted(found.items())), sep="\n")
    bad = ("refused in several lines", "half-written", "left behind")
    if any(found[name] for name in bad) or found["most_mb"] > LIMIT_MB or found["longest_ms"] > 1000 * LIMIT_S:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
