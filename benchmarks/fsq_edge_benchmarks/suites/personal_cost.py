"""What an overlay adds around the network: one wearer, and a thousand wearers in one batch; and the time of a fit.

python -m fsq_edge_benchmarks.suites.personal_cost [--quick]
"""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import numpy as np
import onnx

from fsq_edge_benchmarks.measure.bare import BARE_IS
from fsq_edge_benchmarks.measure.distribution import Distribution
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.fixed_network import CLASSES, motion_windows
from fsq_edge_benchmarks.measure.ratio import interval_json, ratio_of_medians
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.command import heading, run_command
from fsq_edge_benchmarks.suites.streaming import STREAMS, WARM_UP, hops_and_network, many_streams
from fsq_edge_compile.onnx_file import cut_device_part
from fsq_edge_compile.packing.batching import symbolic_batch
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.feature_statistics import FeatureStatistics, in_steps
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.fitting import personalize
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.preprocess import Preprocessor

OWN_WINDOWS: Final = 126  # ten seconds of fourteen recordings


def run(quick: bool = False) -> dict[str, Any]:
    """Measure the decision with an overlay, a thousand streams with an overlay each, and the fit.

    Returns:
        ``single``: ``ratio_p50`` of a decision over the bare network, with and without the overlay, and ``added_us``
        between the two; ``features_output``: a decision by a graph that puts out features which nobody reads over one
        by a graph without; ``many``: the rate against onnxruntime's best batches; ``fit_ms``: processor time of a fit.
    """
    plain = fixed_bundle()
    bundle = with_features(plain)
    overlay = some_overlay(bundle)
    decisions, streams = (700, 50) if quick else (20_000, STREAMS)
    data = overlay.to_bytes()
    overlays = {str(stream): Overlay.from_bytes(data) for stream in range(streams)}
    return {
        **heading("personal_cost"),
        "bare_is": BARE_IS,
        "single": single_stream(plain, bundle, overlay, decisions),
        "features_output": features_output(plain, bundle, decisions),
        "many": many_streams(bundle, streams, 4 if quick else 40, plain, overlay=overlays),
        "fit_ms": fit_ms(bundle, 2 if quick else 20),
    }


def with_features(plain: Bundle) -> Bundle:
    """Return a bundle whose graph puts its features out as well, with statistics."""
    encoder = cut_device_part(onnx.load_from_string(plain.read("encoder")), features=True).SerializeToString()
    frames = Preprocessor(plain.preprocess).frames(motion_windows(512, seed=4))
    features = OnnxBackend(encoder, features=True).infer_batch(frames)[:, plain.tail.width :]
    statistics = FeatureStatistics.of(features, np.arange(len(features)) % len(CLASSES), len(CLASSES))
    parts = {(entry.role, entry.arch): (entry.path, plain.files[entry.path]) for entry in plain.manifest.files}
    parts["encoder", None] = ("encoder.onnx", encoder)
    parts["encoder-batch", None] = ("encoder_batch.onnx", symbolic_batch(encoder))
    parts["features", None] = ("features.npz", statistics.to_bytes())
    return make_bundle("fixed-features", plain.classes, parts)


def own_windows(bundle: Bundle) -> Evidence:
    """Return windows of a made-up wearer, with labels that say nothing."""
    frames = Preprocessor(bundle.preprocess).frames(motion_windows(OWN_WINDOWS, seed=5))
    rows = OnnxBackend(bundle.read("encoder"), features=True).infer_batch(frames)
    number = np.arange(OWN_WINDOWS)
    recordings, starts = number // 9, np.asarray(number % 9, dtype=np.float64)
    width = bundle.tail.width
    return Evidence(
        in_steps(rows[:, width:]), bundle.tail.index(rows[:, :width]), recordings % len(CLASSES), recordings,
        recordings // len(CLASSES), starts, starts + np.float64(1.98),
    )  # fmt: skip


def some_overlay(bundle: Bundle) -> Overlay:
    """Return a head for the made-up wearer, made in spite of the gate."""
    made = personalize(bundle, own_windows(bundle), "nobody", method="head", force="a benchmark").overlay
    assert made is not None
    return made


def single_stream(plain: Bundle, bundle: Bundle, overlay: Overlay, decisions: int) -> dict[str, Any]:
    """Time decisions of one stream with and without an overlay, in turns with the bare network."""
    hops, network = hops_and_network(plain)
    with (
        bundle.open_session("onnx", deadline_ms=0.0, overlay=overlay) as own,
        bundle.open_session("onnx", deadline_ms=0.0) as base,
    ):
        for session in (own, base):
            session.push(hops[-1])
        calls = {
            "own": lambda turn: own.push(hops[turn % len(hops)]),
            "bare": network,
            "base": lambda turn: base.push(hops[turn % len(hops)]),
        }
        taken = in_turns(calls, decisions, WARM_UP)
        assert own.totals.decided == WARM_UP + decisions, "every push must end as a decision"
    median = {name: float(np.median(times)) / 1e3 for name, times in taken.items()}
    return {
        "ratio_p50": interval_json(ratio_of_medians(taken["own"], taken["bare"])),
        "ratio_p50_without": interval_json(ratio_of_medians(taken["base"], taken["bare"])),
        "added_us": median["own"] - median["base"],
        "decision_us": Distribution.of(taken["own"]).model_dump(mode="json"),
        "bare_us": Distribution.of(taken["bare"]).model_dump(mode="json"),
    }


def features_output(plain: Bundle, bundle: Bundle, decisions: int) -> dict[str, float]:
    """Return what a second output that nobody reads does to a decision: a ratio of medians, alone in turns.

    More calls in the turns would show which one follows which: up to 2 % between two equal sessions.
    """
    hops, _ = hops_and_network(plain)
    with bundle.open_session("onnx", deadline_ms=0.0) as more, plain.open_session("onnx", deadline_ms=0.0) as less:
        for session in (more, less):
            session.push(hops[-1])
        calls = {
            "with": lambda turn: more.push(hops[turn % len(hops)]),
            "without": lambda turn: less.push(hops[turn % len(hops)]),
        }
        taken = in_turns(calls, decisions, WARM_UP)
    return interval_json(ratio_of_medians(taken["with"], taken["without"]))


def fit_ms(bundle: Bundle, times: int) -> float:
    """Return the median processor time of choosing, fitting and judging on 126 windows, milliseconds."""
    evidence = own_windows(bundle)
    spent = []
    for _ in range(times + 1):
        begun = time.process_time()
        personalize(bundle, evidence, "nobody", force="a benchmark")  # to the end, whatever the gate says
        spent.append(1e3 * (time.process_time() - begun))
    return float(np.median(spent[1:]))


if __name__ == "__main__":
    sys.exit(run_command("personal_cost", run))
