"""Do the parts of a bundle fit together, so that whatever is verified can also be run? The one place of these checks.

Each refusal here stands for a bundle that would be found good, be installed, and then fail at its first window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fsq_edge_runtime.backends.onnx import FEATURES
from fsq_edge_runtime.decision import DecisionSettings, hops
from fsq_edge_runtime.errors import BundleError, UsageError
from fsq_edge_runtime.onnx_graph import check_plain_graph, read_graph_ports
from fsq_edge_runtime.score_tails import Tail
from fsq_edge_runtime.tail import FsqTail

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

MAX_SPAN_HOPS = 10_000  # of a median of scores: each window sorts so many
MAX_SELFTEST_WINDOWS = 256
MAX_DEVICE_WIDTH = 65_536  # values that a host graph takes over from the device graph


def check_agreement(bundle: Bundle) -> None:
    """Check what a session needs: graphs, heads, decision settings, stream policies.

    Raises:
        BundleError: two parts do not fit together.
        DataError: a part is damaged.
    """
    heads = [(bundle.tail, bundle.decision), (bundle.tail_for("onnx-int8"), bundle.decision_for("onnx-int8"))]
    for tail, decision in heads:
        _check_head(bundle, tail, decision)
    if bundle.has("host"):
        _check_host(bundle)
    for entry in bundle.manifest.files:
        if entry.role in ("encoder", "encoder-batch", "encoder-int8"):
            check_plain_graph(bundle.files[entry.path], entry.path)
            _check_ports(bundle, entry.path, batched=entry.role == "encoder-batch")
    if bundle.tail.kind != "fsq" and bundle.has("encoder-batch"):
        # Scores show the last bits, which a batch rounds in another order: a stream's answers would depend on it.
        raise BundleError(f"a bundle with a head of kind {bundle.tail.kind} takes no graph with a batch")
    if bundle.features and bundle.has("host"):
        raise BundleError("a bundle with a host graph takes no features beside t")
    if bundle.has("features") and not bundle.features:
        raise BundleError("the bundle has statistics of features, and its graph puts out none")
    _check_stream(bundle)


def check_evidence(bundle: Bundle) -> None:
    """Check what a session does without: self-test, fingerprint, calibration audit, event score, signature's form.

    Raises:
        BundleError: one of them is not of this bundle.
        DataError: one of them is damaged.
    """
    from fsq_edge_runtime.bundle.expected_values import expected_values
    from fsq_edge_runtime.bundle.signature import SIGNATURE_PATH, SignatureFile

    test, codes = bundle.selftest, bundle.tail.n_answers
    if len(test.codes) > MAX_SELFTEST_WINDOWS:
        raise BundleError(f"selftest.npz has {len(test.codes)} windows, at most {MAX_SELFTEST_WINDOWS} are allowed")
    for name, values, limit in (("codes", test.codes, codes), ("labels", test.labels, len(bundle.classes))):
        if values.min() < 0 or values.max() >= limit:
            raise BundleError(
                f"selftest.npz: {name} reach from {values.min()} to {values.max()}, expected 0 to {limit - 1}"
            )
    if not np.isfinite(test.t).all():
        raise BundleError("selftest.npz: t holds values that are not numbers")
    counts = bundle.fingerprint.counts
    if len(counts) != codes or min(counts) < 0 or sum(counts) != bundle.fingerprint.windows:
        raise BundleError(f"fingerprint.json does not count the {codes} codes of this bundle's head")
    if bundle.has("calibration"):
        expected_values(bundle)
    if bundle.has("signature"):
        SignatureFile.from_json(bundle.read("signature"), origin=SIGNATURE_PATH)
    bundle.events  # noqa: B018 - read when it is asked for
    bundle.statistics  # noqa: B018 - as above


def _check_head(bundle: Bundle, tail: Tail, decision: DecisionSettings) -> None:
    if tail.n_classes != len(bundle.classes):
        raise BundleError(f"the head gives {tail.n_classes} classes, the manifest {len(bundle.classes)}")
    if tail.kind != bundle.tail.kind:
        raise BundleError(f"the int8 head is of kind {tail.kind}, the head of kind {bundle.tail.kind}")
    usual = bundle.tail
    if isinstance(tail, FsqTail) and isinstance(usual, FsqTail) and tail.codebook.levels != usual.codebook.levels:
        raise BundleError(f"the int8 head has the levels {tail.codebook.levels}, the head {usual.codebook.levels}")
    if tail.kind == "sigmoid" and decision.smoothing == "median":
        # The median is scaled to a sum of one, which the labels of such a head do not have.
        raise BundleError("a bundle with a head of kind sigmoid is smoothed by ema or not at all, not by median")
    hop_ms = 1000.0 * bundle.preprocess.hop_samples / bundle.preprocess.sample_rate_hz
    if decision.smoothing == "median" and hops(decision.smoothing_ms, hop_ms) > MAX_SPAN_HOPS:
        raise BundleError(f"the median of the decision settings spans more than {MAX_SPAN_HOPS} hops of {hop_ms:g} ms")


def _check_ports(bundle: Bundle, path: str, *, batched: bool) -> None:
    batch = None if batched else 1
    wanted = [("input", (batch, *bundle.preprocess.frame_shape)), ("t", (batch, bundle.device_width))]
    if bundle.features:
        wanted.append((FEATURES, (batch, bundle.features)))
    _require_ports(bundle.files[path], path, *wanted)


def _check_host(bundle: Bundle) -> None:
    """Check what runs behind the device graph: it is read as strictly, since it comes from the same hand."""
    if bundle.tail.kind == "fsq":
        raise BundleError("a bundle with an FSQ head takes no host graph: its device graph ends at t")
    model, width = bundle.read("host"), bundle.device_width
    check_plain_graph(model, "host.onnx")
    if width > MAX_DEVICE_WIDTH:
        raise BundleError(f"host.onnx takes {width} values from the device, at most {MAX_DEVICE_WIDTH} are allowed")
    _require_ports(model, "host.onnx", ("t", (1, width)), ("scores", (1, bundle.tail.width)))


def _require_ports(model: bytes, path: str, *wanted: tuple[str, tuple[int | None, ...]]) -> None:
    inputs, outputs = read_graph_ports(model)
    found = [(port.name, port.shape) for port in (*inputs, *outputs)]
    if found != list(wanted) or not all(port.is_float32 for port in (*inputs, *outputs)):
        raise BundleError(f"{path} maps {_shown(found)}, this bundle needs {_shown(list(wanted))}, float32")


def _shown(ports: list[tuple[str, tuple[int | None, ...]]]) -> str:
    return " to ".join(f"{name[:40]!r} {shape}" for name, shape in ports[:4])


def _check_stream(bundle: Bundle) -> None:
    """Make what a session makes of the policies for every stream: whatever it refuses is refused now."""
    from fsq_edge_runtime.stream.quality import QualityCheck
    from fsq_edge_runtime.stream.state import StreamState

    try:
        StreamState("", bundle.preprocess, bundle.stream, bundle.decision, lambda state, gap: None)
    except UsageError as error:
        raise BundleError(f"stream.json: {error.message}", hint=error.hint) from error
    QualityCheck(bundle.preprocess, bundle.stream)
