"""A bundle that knows four movements, and a wearer who does two of them in a way of their own."""

from __future__ import annotations

import functools

import numpy as np
import onnx
from onnx import numpy_helper

from fsq_edge.data import Channel, Dataset, Recording
from fsq_edge.tuning.wearer_windows import windows_of
from fsq_edge_compile.packing.batching import symbolic_batch
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.bundle.fingerprint import Fingerprint
from fsq_edge_runtime.bundle.reference import selftest_bytes
from fsq_edge_runtime.feature_statistics import FeatureStatistics
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.personal.heads import fit_table
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.stream.records import Decision, Record
from fsq_edge_runtime.tail import FsqCodebook, FsqTail
from tests.factories.bundles import LEVELS, random_bundle

NAMES = ("walk", "trot", "eat", "rest")
RATE = 50.0
# Pace in Hz and size by movement, as most do it, and as the wearer does it: trot and eat are told for another.
USUAL = ((1.5, 1.0), (3.0, 2.0), (0.6, 0.6), (0.2, 0.1))
OWN = ((1.5, 1.0), (1.9, 1.3), (1.0, 0.35), (0.2, 0.1))
NEW = (5.0, 0.8)  # a movement that nobody has seen


def movement(pace: float, size: float, n: int, seed: int, turned: bool = False) -> np.ndarray:
    """Return (n, 6) float32 of one movement; turned is another mounting."""
    draw = np.random.default_rng(seed)
    time = np.arange(n) / RATE
    axes = np.linspace(0.4, 1.0, 6)
    wave = np.sin(2 * np.pi * pace * draw.uniform(0.93, 1.07) * time[:, None] + np.arange(6) * 0.7 + draw.uniform(0, 6))
    samples = size * axes * wave + np.array([0, 0, 1, 0, 0, 0]) + draw.normal(0, 0.05, (n, 6))
    return (samples[:, ::-1] * 1.5 if turned else samples).astype(np.float32)


@functools.cache
def knowing_bundle() -> Bundle:
    """A random device graph whose table and statistics come from how most people move."""
    bundle = random_bundle(features=True, classes=len(NAMES), seed=5)
    windows, labels = [], []
    for person in range(12):
        for label, (pace, size) in enumerate(USUAL):
            samples = movement(pace, size, 600, 100 * person + label)
            windows += [samples[at : at + 100].T for at in range(0, 501, 50)]
            labels += [label] * 11
    raw, truth = np.stack(windows).astype(np.float32), np.array(labels)
    frames = Preprocessor(bundle.preprocess).frames(raw)
    features = OnnxBackend(bundle.read("encoder"), features=True).infer_batch(frames)[:, 3:]
    encoder = _projected(bundle.read("encoder"), features, truth)
    t = OnnxBackend(encoder).infer_batch(frames)
    plain = bundle.tail
    assert isinstance(plain, FsqTail)
    even = np.full((plain.codebook.n_codes, len(NAMES)), 1 / len(NAMES), np.float32)
    table = fit_table(plain.codebook, even, plain.index(t), truth, len(NAMES), 0.5)
    tail = FsqTail(LEVELS, table.astype(np.float32))
    counts = np.bincount(tail.index(t), minlength=plain.codebook.n_codes)
    parts = {(entry.role, entry.arch): (entry.path, bundle.files[entry.path]) for entry in bundle.manifest.files}
    parts["encoder", None] = ("encoder.onnx", encoder)
    parts["encoder-batch", None] = ("encoder_batch.onnx", symbolic_batch(encoder))
    parts["head", None] = ("head.npz", tail.to_bytes())
    parts["features", None] = ("features.npz", FeatureStatistics.of(features, truth, len(NAMES)).to_bytes())
    fingerprint = Fingerprint(counts=tuple(counts.tolist()), windows=len(truth))
    parts["fingerprint", None] = ("fingerprint.json", fingerprint.to_json().encode())
    test = raw[::50]
    t = t[::50]
    answers = selftest_bytes(test, t, tail.index(t), tail.logits(t).argmax(axis=1))
    parts["selftest", None] = ("selftest.npz", answers)
    return make_bundle("dog", NAMES, parts)


def _projected(encoder: bytes, features: np.ndarray, truth: np.ndarray) -> bytes:
    """Return the graph with the projection that tells the movements apart best (linear discriminants)."""
    means = np.stack([features[truth == label].mean(axis=0) for label in range(len(NAMES))])
    within = np.cov((features - means[truth]).T) + 1e-4 * np.eye(features.shape[1])
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    _, vectors = np.linalg.eigh(whitening @ np.cov(means.T) @ whitening.T)
    directions = whitening.T @ vectors[:, ::-1][:, :3]
    directions /= (features @ directions).std(axis=0)
    shift = FsqCodebook(LEVELS).shift - features.mean(axis=0) @ directions
    model = onnx.load_from_string(encoder)
    for entry in model.graph.initializer:
        if entry.name in ("p", "c"):
            value = directions.T if entry.name == "p" else shift
            entry.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), entry.name))
    return model.SerializeToString()


def wearer_dataset(
    bundle: Bundle,
    *,
    seconds: int = 12,
    kinds: tuple[tuple[float, float], ...] = OWN,
    names: tuple[str, ...] = NAMES,
    turned: bool = False,
    first_seed: int = 9000,
    swapped: bool = False,
) -> Dataset:
    """Two recordings a movement of one wearer, ``rex``, in one session."""
    recordings = []
    for label, (pace, size) in enumerate(kinds):
        shown = {0: 1, 1: 0}.get(label, label) if swapped else label
        for number in range(2):
            n = round(seconds * RATE)
            samples = movement(pace, size, n, first_seed + 10 * label + number, turned)
            labels = np.full(n, shown, np.int16)
            recordings.append(Recording(f"{names[label]}-{number}", samples, labels, "rex", "one"))
    channels = tuple(Channel(channel.name, channel.unit) for channel in bundle.preprocess.channels)
    return Dataset("own", channels, RATE, names, tuple(recordings))


def wearers_overlay(bundle: Bundle) -> Overlay:
    """Return the overlay of ``rex``, a head on the features."""
    made = personalize(bundle, evidence_of(bundle, wearer_dataset(bundle)), "rex", method="head").overlay
    assert made is not None
    return made


def evidence_of(bundle: Bundle, dataset: Dataset, **options: object) -> Evidence:
    return windows_of(bundle, dataset.recordings, dataset, **options)  # type: ignore[arg-type]


def stream(bundle: Bundle, samples: np.ndarray, **options: object) -> list[Record]:
    records: list[Record] = []
    with bundle.open_session("onnx", on_record=records.append, **options) as session:
        for at in range(0, len(samples), 50):
            session.push(samples[at : at + 50])
    return records


def answers(records: list[Record]) -> list[str | None]:
    return [record.raw_label for record in records if isinstance(record, Decision)]


def trot(seed: int = 77, n: int = 1500, turned: bool = False) -> np.ndarray:
    return movement(*OWN[1], n, seed, turned)
