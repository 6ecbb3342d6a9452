"""Mutated HEFs thrown at the inspector: never a crash, a hang or more than 100 MB.

Half of the mutants get their length and checksum made right again, or the checksum would shield the parser. Run as a
program it prints one line of what happened: ``python -m tests.programs.hef_mutants --count 20000``.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import numpy as np

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.hef import inspect_hef
from fsq_edge_runtime.testing.hef_writer import TensorSpec, hef_bytes, reseal, seal

LIMIT_MB = 100
LIMIT_SECONDS = 2.0


def seeds() -> list[bytes]:
    """Sound files of every version and layout."""
    layouts = (
        ("hailo8", "classic"),
        ("hailo8", "net-flow"),
        ("hailo8l", "partial"),
        ("hailo15m", "net-flow-partial"),
    )
    outputs = (TensorSpec("fc1", (4,), original_names=("a", "b")), TensorSpec("conv2", (2, 5, 8), dtype="uint16"))
    return [
        hef_bytes(
            version=version, arch=arch, layout=layout, outputs=outputs, contexts=2, payload=b"ccw" * bool(version)
        )
        for version in range(4)
        for arch, layout in layouts
    ]


def mutants(count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield ``count`` mutants: bit flips, cuts, copies, splices, stretched lengths, deep nesting, many fields."""
    draw = np.random.default_rng(seed)
    corpus = seeds()
    for index in range(count):
        data = bytearray(corpus[draw.integers(len(corpus))])
        for _ in range(draw.integers(1, 5)):
            _mutate(data, corpus, draw)
        yield reseal(bytes(data)) if index % 2 else bytes(data)


def _mutate(data: bytearray, corpus: list[bytes], draw: np.random.Generator) -> None:
    if len(data) < 8:
        return
    start, end = sorted(int(place) for place in draw.integers(0, len(data), 2))
    kind = draw.integers(9)
    if kind == 0:
        data[start] ^= 1 << int(draw.integers(8))
    elif kind == 1:
        data[start] = int(draw.integers(256))
    elif kind == 2:
        del data[start:end]
    elif kind == 3:
        data[start:start] = data[start:end]
    elif kind == 4:
        other = corpus[draw.integers(len(corpus))]
        data[start:] = other[min(start, len(other)) :]
    elif kind == 5:  # a length or a number as large as a varint can say
        data[start : start + 1] = bytes([0xFF] * int(draw.integers(1, 11)) + [0x01])
    elif kind == 6:
        data[start:end] = draw.bytes(end - start)
    elif kind == 7:
        del data[start:]
    else:  # a message that contains itself, or thousands of empty ones
        depth = int(draw.integers(1, 200))
        data[start:start] = b"\x3a\x02" * depth if draw.integers(2) else b"\x12\x00" * depth * 20


def bombs() -> Iterator[bytes]:
    """Yield files made to cost time or memory: field floods, nesting, huge packed blocks, messages in parts."""
    yield seal(b"\x12\x00" * 2_000_000)
    yield seal(b"\x08\x00" * 4_000_000)
    nested = b""
    for _ in range(400):
        size = len(nested)
        nested = b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + nested
    yield seal(nested)
    yield seal(b"\x0a\x80\x80\x04" + bytes(65536) * 1)
    yield seal((b"\x0a\x80\x80\x04" + b"\x28\x01" * 32768) * 100)
    yield seal(b"\x1a\xff\xff\xff\x1f" + bytes((64 << 20) - 6))


def run(count: int, seed: int = 0) -> dict[str, float]:
    """Inspect mutants and bombs; return how many of each outcome, the slowest call and the most memory of one (MB).

    Raises:
        Exception: whatever the inspector raises that is not a ``DataError``.
    """
    outcomes: Counter[str] = Counter()
    slowest, most = 0.0, 0
    for data in mutants(count, seed):
        started = time.process_time()
        outcomes[_inspect(data)] += 1
        slowest = max(slowest, time.process_time() - started)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in bombs():
        tracemalloc.start()
        outcomes[_inspect(data)] += 1
        most = max(most, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        started = time.process_time()
        _inspect(data)
        slowest = max(slowest, time.process_time() - started)
    return {**outcomes, "slowest_s": slowest, "most_mb": most / 1e6, "rss_before_bombs_mb": before / 1024}


def _inspect(data: bytes) -> str:
    try:
        inspect_hef(data)
    except DataError as error:
        return "refused in several lines" if "\n" in error.message else "refused"
    return "read"


def main() -> int:
    """Print the outcome; exit 1 when a limit was passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = run(arguments.count, arguments.seed)
    print("hef:", ", ".join(f"{name} {value:g}" for name, value in found.items()))
    passed = found["most_mb"] <= LIMIT_MB and found["slowest_s"] <= LIMIT_SECONDS
    return 0 if passed and "refused in several lines" not in found else 1


if __name__ == "__main__":
    sys.exit(main())
