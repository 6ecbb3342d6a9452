"""Damaged recordings thrown at the sources: samples or one clear error, never a crash, a hang or more than 300 MB.

Text files (CSV and JSON lines) and npz files in turn; bytes changed, parts repeated and cut, and structures that no
recorder writes. Run as a program it prints one line of what happened:
``python -m tests.programs.recording_mutants --count 5000``.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import EXIT_INTERNAL, FsqEdgeError
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.sources import Chunk, Notices, Source, open_source
from fsq_edge_runtime.sources.columns import Wanted
from fsq_edge_runtime.sources.stdin import StdinSource
from fsq_edge_runtime.sources.watch import WatchedSource
from tests.factories.bundles import motion, random_bundle
from tests.factories.foreign_streams import LIVE, RECORDINGS
from tests.factories.mutations import flip_bytes
from tests.programs.memory import peak_mb

LIMIT_MB = 300
LIMIT_SECONDS = 10.0
ROWS = 150
NASTY = (
    "", ",", ";", "\t", '"', "\n", "\r", "\x00", "nan", "inf", "-1e400", "1e308", "9" * 400, "0x1F", "1_0", "\ufeff",
    "2024-02-30T25:61:61Z", "23:59:60.5", "sep=;", "acc_x", "stream", "timestamp", "{", "}", "[[", '{"x":', "null",
    '{"t":1e308,"x":[0,0,1,0,0,0]}', "\u0661", "\u2028", "a" * 70_000,
)  # fmt: skip
HEADERS = (
    "(" * 2000, "{'descr':'<f4','fortran_order':False,'shape':(99999999999,6)}", "{'descr':'<f4'}", "[]", "{}", "\x00",
    "{'descr':'|O','fortran_order':False,'shape':(1,6)}", "{'descr':'<f4','fortran_order':True,'shape':(150,6)}",
    "{'descr':[('a','<f4',(2,3))],'fortran_order':False,'shape':(150,)}",
    "{'descr':'<f4','fortran_order':False,'shape':(-1,6)}", "{'descr':'<M8[Y]','fortran_order':False,'shape':(150,)}",
    "{'descr':'<f2','fortran_order':False,'shape':(300,6)}", "{'descr':'<U1','fortran_order':0,'shape':(6,)}",
)  # fmt: skip


def mutants(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield ``count`` recordings in turn: the kind (``csv``, ``npz``, ``jsonl``) and the bytes."""
    rng = random.Random(seed)
    texts = [form.text.encode() for form in (*RECORDINGS, *RECORDINGS, *LIVE) if form.samples]
    texts = [text[: text.rindex(b"\n", 0, 60 * ROWS) + 1] for text in texts]
    tables = sum(bool(form.samples) for form in (*RECORDINGS, *RECORDINGS))
    lines = _json_lines()
    kinds: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("csv", lambda: _mutate_text(rng.choice(texts[:tables]), rng)),
        ("npz", lambda: _mutate_npz(rng)),
        ("jsonl", lambda: _mutate_text(rng.choice((lines, rng.choice(texts))), rng)),
    )
    for number in range(count):
        kind, make = kinds[number % len(kinds)]
        yield kind, make()


def read(kind: str, data: bytes, folder: Path, bundle: Bundle) -> str:
    """Stream one recording through a session; return what happened in a word, ``wrong: ...`` where it must not."""
    begun = time.process_time()  # of the processor: other programs may hold it
    with bundle.open_session(backend="onnx", deadline_ms=0.0) as session:
        try:
            samples = _stream(kind, data, folder, bundle, session)
        except FsqEdgeError as error:
            if error.exit_code == EXIT_INTERNAL or "\n" in error.message:
                return f"wrong: {type(error).__name__}: {error}"
            outcome = "refused"
        except Exception as error:
            return f"wrong: {type(error).__name__}: {error}"
        else:
            outcome = "read" if samples else "empty"
    seconds = time.process_time() - begun
    return outcome if seconds < LIMIT_SECONDS else f"wrong: {seconds:.0f} s"


def _stream(kind: str, data: bytes, folder: Path, bundle: Bundle, session: Session) -> int:
    samples = 0
    for chunk in _chunks(kind, data, folder, bundle):
        samples += len(chunk.samples)
        session.push(chunk.samples, chunk.timestamps, chunk.stream)
    session.drain()
    return samples


def _chunks(kind: str, data: bytes, folder: Path, bundle: Bundle) -> Iterator[Chunk]:
    notices = Notices(lambda line: None)
    path = folder / f"mutant.{kind}"
    path.write_bytes(data)
    if kind != "jsonl":
        yield from open_source(f"{kind}:{path}", bundle.preprocess, notices=notices).chunks(threading.Event())
        return
    wanted = tuple(Wanted(channel.name, channel.unit) for channel in bundle.preprocess.channels)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        source: Source = WatchedSource(StdinSource(wanted, descriptor=descriptor, notices=notices), 0.02, notices)
        yield from source.chunks(threading.Event())
    finally:
        os.close(descriptor)


def _json_lines() -> bytes:
    rows = motion(ROWS).round(4).tolist()
    single = [f'{{"t": {number / 50}, "x": {row}}}' for number, row in enumerate(rows)]
    packed = f'{{"stream": "a", "t": {[3 + number / 50 for number in range(ROWS)]}, "x": {rows}}}'
    return "\n".join([*single, packed, ""]).encode()


def _mutate_text(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        choice = rng.randrange(6)
        if choice == 0:
            data = flip_bytes(data, rng) if data else data
        elif choice == 1:
            data = data[:at] + rng.choice(NASTY).encode("utf-8", "replace") + data[at:]
        elif choice == 2:
            data = data[at:] if rng.random() < 0.5 else data[:at]
        elif choice == 3:
            lines = data.split(b"\n")
            rng.shuffle(lines)
            data = b"\n".join(lines)
        elif choice == 4:
            old, new = rng.sample((b",", b";", b"\t", b".", b" ", b"\n", b'"', b"0"), 2)
            data = data.replace(old, new)
        else:
            data = data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-le")))
    return data


def _mutate_npz(rng: random.Random) -> bytes:
    arrays: dict[str, np.ndarray] = {"samples": motion(ROWS)}
    if rng.random() < 0.7:
        arrays["timestamps"] = rng.choice((np.arange(ROWS) / 50, np.arange(ROWS) * 20, np.zeros(ROWS), np.arange(7)))
    if rng.random() < 0.3:
        arrays["channels"] = np.array(rng.choice((["acc_x"] * 6, ["\x00"] * 6, list("abc"), [""] * 6)))
    if rng.random() < 0.2:
        arrays["samples"] = rng.choice(
            (np.array(3.0), np.zeros((0, 6)), np.zeros((9, 6, 0)), np.zeros(6), np.eye(6) * 1e300)
        )
    buffer = io.BytesIO()
    (np.savez_compressed if rng.random() < 0.5 else np.savez)(buffer, **arrays)
    data = buffer.getvalue()
    choice = rng.randrange(4)
    if choice == 0:
        return flip_bytes(data, rng)
    if choice == 1:
        return data[: rng.randrange(len(data))]
    if choice == 2:
        return _with_header(rng.choice(HEADERS), rng)
    return data


def _with_header(header: str, rng: random.Random) -> bytes:
    text = header.encode("utf-8", "replace") + b"\n"
    major = rng.choice((1, 1, 2, 3, 255))
    length = len(text).to_bytes(2 if major == 1 else 4, "little")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        archive.writestr("samples.npy", b"\x93NUMPY" + bytes((major, 0)) + length + text + bytes(3600))
    return buffer.getvalue()


def main() -> int:
    """Read mutants; print the outcomes; return 1 if one was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="Recordings to read (default 5,000).")
    parser.add_argument("--seed", type=int, default=0, help="Of the random choices (default 0).")
    options = parser.parse_args()
    bundle = random_bundle()
    outcomes: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for number, (kind, data) in enumerate(mutants(options.count, options.seed)):
            outcome = read(kind, data, Path(name), bundle)
            outcomes[f"{kind} {outcome.partition(':')[0]}"] += 1
            if outcome.startswith("wrong"):
                wrong += 1
                print(f"{kind} {number}: {outcome}")
    peak = peak_mb()
    counted = ", ".join(f"{what} {count}" for what, count in sorted(outcomes.items()))
    print(f"recordings: {counted}, peak {peak:.0f} MB")
    return 1 if wrong or peak > LIMIT_MB else 0


if __name__ == "__main__":
    sys.exit(main())
