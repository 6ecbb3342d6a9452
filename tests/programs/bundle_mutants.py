"""Bundles whose parts are changed and whose hashes are made right, thrown at open, verify, self-test and a stream.

In turn a JSON part, an npz part and a graph is changed. Each ends as a bundle that runs or as one deliberate error.
Run as a program it prints one line of what happened: ``python -m tests.programs.bundle_mutants --count 5000``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx

from fsq_edge_runtime.bundle.archive import decode_archive, encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.bundle.install import verify_parts
from fsq_edge_runtime.bundle.selftest import run_selftest
from fsq_edge_runtime.errors import FsqEdgeError, InternalError
from fsq_edge_runtime.label_tail import SigmoidTail
from fsq_edge_runtime.sinks.files import json_line
from tests.factories.bundles import motion, random_bundle
from tests.factories.foreign_bundles import foreign_bundle
from tests.factories.mutations import flip_bytes, mutate_model
from tests.programs.memory import peak_mb

LIMIT_MB = 1024
LIMIT_SECONDS = 10.0
ODD: tuple[Any, ...] = (
    *(None, True, "", "x", "\x1b[2J", "\ud800", [], {}, [[]], 0, -1, 1, 2, 255, 65536, 2**31, 2**63, -(2**63), 10**40),
    *(0.5, -0.0, 1e-320, 1e-40, 1e-7, 1e39, 1.7e308, float("inf"), float("nan"), ["a", "a"], [1e200] * 12),
)
JSON_PARTS = ("manifest.json", "preprocess.json", "decision.json", "stream.json", "fingerprint.json")
NPZ_PARTS = ("head.npz", "selftest.npz")
FOREIGN = ("head.json", "host.onnx")  # of a network without FSQ


def base() -> dict[str, bytes]:
    """Return the files of a sound bundle with every JSON part that a session reads."""
    bundle = random_bundle()
    stream = bundle.stream.to_json().encode()
    return with_files(bundle, {("stream", None): ("stream.json", stream)}).files


def foreign_base() -> dict[str, bytes]:
    """Return the files of a sound bundle with several labels and a host graph."""
    return foreign_bundle(SigmoidTail([0.5, 0.25, 0.75]), host=True).files


def mutants(count: int, seed: int = 0) -> Iterator[dict[str, bytes]]:
    """Yield ``count`` bundles as files, every hash right."""
    rng, bases = random.Random(seed), (base(), foreign_base())
    kinds: tuple[Callable[[dict[str, bytes], random.Random], dict[str, bytes]], ...] = (_json, _npz, _graph)
    for index in range(count):
        yield _rehashed(kinds[index % 3](dict(bases[index // 3 % 2]), rng))


def _json(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    path = rng.choice([*(part for part in JSON_PARTS if part in files), *(FOREIGN[:1] if FOREIGN[0] in files else ())])
    value = json.loads(files[path])
    for _ in range(rng.choice((1, 1, 2))):
        _spoil(value, rng)
    files[path] = json.dumps(value).encode()
    if rng.random() < 0.1:
        files[path] = flip_bytes(files[path], rng)
    return files


def _spoil(value: Any, rng: random.Random) -> None:
    """Change one place somewhere in a JSON value."""
    while isinstance(value, (dict, list)) and value:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        if not isinstance(value[key], (dict, list)) or not value[key] or rng.random() < 0.3:
            change = rng.random()
            if change < 0.1:
                del value[key]
            elif change < 0.3 and isinstance(value[key], (int, float)) and not isinstance(value[key], bool):
                value[key] *= rng.choice((-1, 0, 2, 0.5, 1e9, 1e-9))
            else:
                value[key] = rng.choice(ODD)
            return
        value = value[key]


def _npz(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    path = rng.choice([part for part in NPZ_PARTS if part in files])
    if rng.random() < 0.4:
        files[path] = flip_bytes(files[path], rng)
        return files
    with np.load(io.BytesIO(files[path])) as archive:
        arrays = dict(archive)
    name = rng.choice(list(arrays))
    array = arrays[name]
    odd = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-40, 1e30, 1e300, 2.0**62)
    spoiled: tuple[Callable[[], Any], ...] = (
        lambda: np.full(array.shape, rng.choice(odd)),
        lambda: array.astype(rng.choice(("f2", "f8", "i1", "u8", "c8", "U3", "?"))),
        lambda: array[..., None],
        lambda: array.reshape(-1)[: rng.randrange(4)],
        lambda: np.concatenate([array.reshape(-1)] * 2),
        lambda: np.asarray(array * rng.choice((-1, 1e3, 1e20))),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arrays[name] = rng.choice(spoiled)()
        if rng.random() < 0.1:
            del arrays[name]
        packed = io.BytesIO()
        (np.savez_compressed if rng.random() < 0.05 else np.savez)(packed, **arrays)
    files[path] = packed.getvalue()
    return files


def _graph(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    path = FOREIGN[1] if FOREIGN[1] in files and rng.random() < 0.7 else "encoder.onnx"
    if rng.random() < 0.2:
        files[path] = flip_bytes(files[path], rng)
    else:
        files[path] = mutate_model(onnx.load_from_string(files[path]), rng).SerializeToString()
    return files


def _rehashed(files: dict[str, bytes]) -> dict[str, bytes]:
    """Make every hash right that can be made right."""
    try:
        manifest = json.loads(files["manifest.json"])
        for entry in manifest["files"]:
            data = files[entry["path"]]
            entry["bytes"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
        canonical = json.dumps(json.loads(files["preprocess.json"]), sort_keys=True, separators=(",", ":"))
        manifest["preprocess_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
        files["manifest.json"] = json.dumps(manifest).encode()
    except (ValueError, TypeError, KeyError):
        pass  # the change was to a hash's own place
    return files


def judge(files: dict[str, bytes], samples: Any) -> str:
    """Take one bundle as far as it goes; return what became of it.

    Raises:
        Exception: whatever is not a deliberate error.
    """
    try:
        bundle = Bundle.from_files(decode_archive(encode_archive(files)))
        verify_parts(bundle)
        outcome = "good" if run_selftest(bundle, "onnx").passed else "self-test failed"
        lines: list[str] = []
        with bundle.open_session("onnx", on_record=lambda record: lines.append(json_line(record))) as session:
            session.push(samples)
            session.drain()
    except InternalError:
        raise
    except FsqEdgeError as error:
        if len(error.message.splitlines()) != 1:
            raise ValueError(f"a message of several lines: {error.message!r}") from error
        return "refused"
    return outcome


def run(count: int, seed: int = 0) -> dict[str, float]:
    """Judge mutants in turn; return how many of each outcome, the slowest (s) and the most memory (MB)."""
    outcomes: Counter[str] = Counter()
    samples, slowest = motion(400), 0.0
    for index, files in enumerate(mutants(count, seed)):
        started = time.process_time()
        try:
            outcomes[judge(files, samples)] += 1
        except Exception as error:
            raise RuntimeError(f"mutant {index} of seed {seed}: {type(error).__name__}: {error}") from error
        slowest = max(slowest, time.process_time() - started)
    most = peak_mb()
    return {**outcomes, "slowest_s": slowest, "most_mb": most}


def main() -> int:
    """Print the outcome; exit 1 when a limit was passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_MB << 20, LIMIT_MB << 20))
    warnings.simplefilter("ignore", ResourceWarning)
    found = run(arguments.count, arguments.seed)
    print("bundles:", ", ".join(f"{name} {value:g}" for name, value in found.items()))
    return 1 if found["most_mb"] > LIMIT_MB or found["slowest_s"] > LIMIT_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
