"""Drift alarms on clean streams and on injected faults: how many a day, and how long until the first one.

    python -m fsq_edge_benchmarks.suites.drift [--quick] [--bundle FILE] [--data quadruped] [--hours 24] [--json FILE]

The streams come from subjects that the bundle was not trained on. ``quadruped`` is synthetic and drawn anew.
``watch`` repeats the recordings of the held-out subjects in a new order until the time is full. Faults are computed,
not suffered by a real sensor.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from fsq_edge.data.quadruped import make_quadruped
from fsq_edge.data.watch import load_watch
from fsq_edge.training.split import open_sides
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.suites.accuracy_parts.held_out import fold_config, trained_bundle
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_runtime import Bundle
from fsq_edge_runtime.arrays import Float32Array
from fsq_edge_runtime.drift.past import BLOCK
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.stream.records import Record, StreamEvent

EPOCHS = 6  # of the bundle that the suite trains: the input is what drifts, not the network
SEED = 0
HELD_OUT = ("5", "6")  # subjects of the watch set that the demo does not train on
CHUNK = 3000  # samples of one push
FAULT_HOURS = 2.0  # how long an alarm is waited for
SHAKE_HZ = 3.0
STANDARD_GRAVITY = 9.80665

Fault = Callable[[Float32Array, Bundle], Float32Array]


def clean_stream(data: str, bundle: Bundle, seconds: float, seed: int) -> Float32Array:
    """Return (n, C) float32 of one subject, raw units."""
    if data == "quadruped":
        n = round(seconds * bundle.preprocess.sample_rate_hz)
        parts: list[Float32Array] = []
        while sum(len(part) for part in parts) < n:  # a recording is at most ten hours; the animal stays the same
            made = make_quadruped(seed, animals=1, seconds=min(36_000.0, max(10.0, seconds / 2)))
            parts += [recording.samples for recording in made.recordings]
        return np.concatenate(parts)[:n]
    rng = np.random.default_rng(seed)
    subject = HELD_OUT[seed % len(HELD_OUT)]
    own = [recording.samples for recording in load_watch().recordings if recording.subject == subject]
    n = round(seconds * bundle.preprocess.sample_rate_hz)
    rounds = int(np.ceil(n / sum(len(part) for part in own)))
    shuffled: Float32Array = np.concatenate([own[k] for _ in range(rounds) for k in rng.permutation(len(own))])
    return shuffled[:n]


def _rotated(samples: Float32Array, bundle: Bundle) -> Float32Array:
    c, s = np.cos(np.radians(30.0)), np.sin(np.radians(30.0))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=np.float32)
    return np.concatenate([samples[:, k : k + 3] @ turn.T for k in range(0, samples.shape[1], 3)], axis=1)


def _noise_only(samples: Float32Array, bundle: Bundle) -> Float32Array:
    rng = np.random.default_rng(0)
    noise = 0.004 * _gravity(bundle)
    return _changed(samples, slice(1, 2), lambda acc: rng.normal(0, noise, acc.shape).astype(np.float32))


def _shaken(samples: Float32Array, bundle: Bundle) -> Float32Array:
    """Return an activity that training does not have: a shake along and about every axis, with gravity on z."""
    config = bundle.preprocess
    rng = np.random.default_rng(0)
    n, c = samples.shape
    t = np.arange(n) / config.sample_rate_hz
    phase = 2 * np.pi * SHAKE_HZ * t + 0.5 * np.cumsum(rng.normal(size=n)) / config.sample_rate_hz
    shake = np.sin(phase[:, None] + np.linspace(0, 5, c)) * np.array(config.std[:c])
    shake[:, 2] += _gravity(bundle)
    return np.asarray(shake, dtype=np.float32)


def _other_unit(samples: Float32Array, bundle: Bundle) -> Float32Array:
    factor = STANDARD_GRAVITY if _gravity(bundle) == 1.0 else 1.0 / STANDARD_GRAVITY
    return _changed(samples, slice(0, 3), lambda acc: acc * factor)


FAULTS: dict[str, Fault] = {
    "rotated 30 degrees": _rotated,
    "accelerometer gain 1.2": lambda samples, _: _changed(samples, slice(0, 3), lambda acc: acc * 1.2),
    "bias 0.2 g on acc x": lambda samples, bundle: _changed(
        samples, slice(0, 1), lambda acc: acc + 0.2 * _gravity(bundle)
    ),
    "half the rate, no timestamps": lambda samples, _: samples[::2],
    "acc y dead (zero)": lambda samples, _: _changed(samples, slice(1, 2), lambda acc: acc * 0),
    "acc y dead (noise only)": _noise_only,
    "an activity not in training": _shaken,
    "g for m/s2, or the reverse": _other_unit,
}


def alarms(bundle: Bundle, samples: Float32Array) -> Iterator[dict[str, Any]]:
    """Yield the facts of every ``drift`` record of one stream (n, C)."""
    found: list[dict[str, Any]] = []

    def keep(record: Record) -> None:
        if isinstance(record, StreamEvent) and record.kind == "drift":
            found.append(record.facts)

    with bundle.open_session("onnx", deadline_ms=0.0, on_record=keep) as session:
        session.watch_drift()
        for at in range(0, len(samples), CHUNK):
            session.push_many({"0": samples[at : at + CHUNK]})
            yield from found
            found.clear()


def clean_alarms(bundle: Bundle, data: str, hours: float, seed: int) -> list[dict[str, Any]]:
    """Return the alarms of a clean stream."""
    return list(alarms(bundle, clean_stream(data, bundle, 3600.0 * hours, seed)))


def time_to_alarm(bundle: Bundle, data: str, fault: Fault, seed: int, hours: float, begins_s: float) -> dict[str, Any]:
    """Return the first alarm after a fault that begins after ``begins_s``, with ``minutes``; empty without one."""
    samples = clean_stream(data, bundle, begins_s + 3600.0 * hours, seed)
    begins = round(begins_s * bundle.preprocess.sample_rate_hz)
    faulty = np.concatenate([samples[:begins], fault(samples[begins:], bundle)])
    for facts in alarms(bundle, faulty):
        if facts["t_end"] >= begins_s:
            return {"minutes": (facts["t_end"] - begins_s) / 60.0, **facts}
    return {}


def cost(bundle: Bundle, data: str, rounds: int = 300, seed: int = 300) -> dict[str, float]:
    """Take the processor time of decisions with and without the drift watch, a block of each in turn.

    Args:
        bundle: the model.
        data: ``watch`` or ``quadruped``.
        rounds: blocks of each.
        seed: of the stream.

    Returns:
        ``ratio``: with over without, the median over blocks of 64 windows, so that looks and judgements are in it;
        ``without_us`` and ``added_us``: a decision without, and what it takes more, medians over blocks.
    """
    hop, n = bundle.preprocess.hop_samples, BLOCK * (rounds + 2)
    samples = clean_stream(data, bundle, (n + 4) * hop / bundle.preprocess.sample_rate_hz, seed)
    hops = [samples[at : at + hop] for at in range(0, n * hop, hop)]
    with ExitStack() as stack:
        sides = [
            stack.enter_context(bundle.open_session("onnx", deadline_ms=0.0, on_record=lambda record: None))
            for _ in range(2)
        ]
        sides[1].watch_drift()
        taken = np.empty((rounds + 2, 2))
        for number in range(rounds + 2):
            for side in (0, 1) if number % 2 else (1, 0):
                begun = time.thread_time_ns()
                for part in hops[BLOCK * number : BLOCK * (number + 1)]:
                    sides[side].push(part)
                taken[number, side] = (time.thread_time_ns() - begun) / BLOCK / 1e3
    plain, watched = taken[2:].T
    ratio = float(np.median(watched / plain))
    return {"ratio": ratio, "without_us": float(np.median(plain)), "added_us": float(np.median(watched - plain))}


def run(
    quick: bool = False,
    bundle: Path | None = None,
    data: str = "watch",
    hours: float = 24.0,
    begins: float = 2.0,
    seed: int = SEED,
) -> dict[str, Any]:
    """Count alarms on a clean stream and time the first one after each fault.

    Args:
        quick: twelve minutes of ``watch`` through the fixed network and one fault, to show that it runs.
        bundle: trained on the data; None trains one on ``watch`` without the subjects of the streams.
        data: ``watch`` or ``quadruped``.
        hours: of the clean stream.
        begins: clean hours before each fault.
        seed: of the streams.

    Returns:
        ``clean`` (hours, alarms), ``faults`` (name -> minutes to the first alarm, None without one within two hours),
        ``cost`` (see :func:`cost`), ``faults_found`` and ``slowest_minutes``.

    Raises:
        UsageError: another data set than ``watch`` without a bundle.
    """
    if bundle is None and data != "watch":
        raise UsageError("a bundle of that data set is missing", hint="--bundle FILE, or leave --data at watch")
    hours, begins = (0.2, 0.0) if quick else (hours, begins)
    names = list(FAULTS)[-1:] if quick else list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        opened = fixed_bundle() if quick else _trained(Path(folder)) if bundle is None else Bundle.open(bundle)
        clean = clean_alarms(opened, data, hours, seed)
        found = {
            name: time_to_alarm(opened, data, FAULTS[name], seed, FAULT_HOURS, 3600.0 * begins).get("minutes")
            for name in names
        }
        added = cost(opened, data, 10 if quick else 300)
    times = [minutes for minutes in found.values() if minutes is not None]
    return {
        "schema_version": 1,
        "benchmark": "drift",
        "data": data,
        "quick": quick,
        "clean": {"hours": hours, "alarms": len(clean)},
        "faults": found,
        "cost": added,
        "faults_found": len(times),
        "slowest_minutes": max(times, default=None),
    }


def _trained(folder: Path) -> Bundle:
    config = fold_config("watch", HELD_OUT, epochs=EPOCHS)
    return trained_bundle(config, open_sides(config), folder)[1]


def _changed(samples: Float32Array, columns: slice, change: Callable[[Float32Array], Float32Array]) -> Float32Array:
    out = samples.copy()
    out[:, columns] = change(out[:, columns])
    return out


def _gravity(bundle: Bundle) -> float:
    return 1.0 if bundle.preprocess.channels[0].unit == "g" else STANDARD_GRAVITY


if __name__ == "__main__":
    OPTIONS: dict[str, dict[str, Any]] = {
        "bundle": {"type": Path, "help": "trained bundle of the data set (default: one of watch is trained)"},
        "data": {"default": "watch", "choices": ["watch", "quadruped"], "help": "data source (default: watch)"},
        "hours": {"type": float, "default": 24.0, "help": "length of the clean stream, hours (default: 24)"},
        "begins": {"type": float, "default": 2.0, "help": "clean hours before each fault (default: 2)"},
        "seed": {"type": int, "default": SEED, "help": f"of the streams (default: {SEED})"},
    }
    sys.exit(run_command("drift", run, OPTIONS))
