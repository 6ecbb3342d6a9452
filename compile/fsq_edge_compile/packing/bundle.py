"""From a BUILD folder to a bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fsq_edge_compile.build_folder import FEATURES_FILE, BuildFolder
from fsq_edge_compile.packing.batching import symbolic_batch
from fsq_edge_compile.packing.model_name import plain_name
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import make_bundle
from fsq_edge_runtime.bundle.manifest import Role
from fsq_edge_runtime.bundle.reference import selftest_bytes
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.made import installed_version

SELFTEST_WINDOWS = 16
BUILT_WITH = ("fsq-edge", "onnxruntime")

# role -> file of the build folder; the optional ones are taken when they are there
_REQUIRED: Mapping[Role, str] = {
    "preprocess": "preprocess.json",
    "encoder": "encoder.onnx",
    "head": "head.npz",
    "decision": "decision.json",
    "fingerprint": "fingerprint.json",
}
_OPTIONAL: Mapping[Role, str] = {
    "stream": "stream.json",
    "encoder-int8": "encoder_int8.onnx",
    "head-int8": "head_int8.npz",
    "decision-int8": "decision_int8.json",
    "calibration": "calibration.json",
    "host": "host.onnx",
    "features": FEATURES_FILE,
}


def build_bundle(
    build: BuildFolder,
    *,
    name: str | None = None,
    check: Mapping[str, str] | None = None,
    parity: Mapping[str, Any] | None = None,
    forced: Sequence[str] = (),
) -> Bundle:
    """Assemble a bundle from a BUILD folder, with self-test vectors made on the spot.

    Args:
        build: the folder.
        name: of the model; None takes the export's.
        check: verdict by architecture, for the manifest.
        parity: the parity ladder's figures, for the manifest.
        forced: gates that were overridden, for the manifest.

    Returns:
        The verified bundle; equal input gives equal bytes.

    Raises:
        MissingInputError: a part is missing.
        DataError, BundleError: parts that do not fit together.
    """
    record = build.record
    parts: dict[tuple[Role, str | None], tuple[str, bytes]] = {}
    own = build.has("head.json")  # a network that was trained elsewhere
    for role, path in _REQUIRED.items():
        name_of = build.head_path if role == "head" else path
        parts[role, None] = (name_of, build.read(name_of))
    with contextlib.suppress(DataError):  # a graph that cannot take a batch runs window by window
        if not own:
            parts["encoder-batch", None] = ("encoder_batch.onnx", symbolic_batch(build.read("encoder.onnx")))
    parts["selftest", None] = ("selftest.npz", _selftest(build))
    for role, usual in _OPTIONAL.items():
        path = build.int8_head_path if role == "head-int8" else usual
        if build.has(path):
            parts[role, None] = (path, build.read(path))
    return make_bundle(
        name or plain_name(record.name),
        build.classes,
        parts,
        versions={**record.versions, **{name: installed_version(name) or "not installed" for name in BUILT_WITH}},
        provenance=record.provenance,
        check=dict(check or {}),
        parity=dict(parity or {}),
        forced=tuple(forced),
    )


def _selftest(build: BuildFolder) -> bytes:
    """Windows spread over the held-out set, with the answers of the CPU reference path."""
    held_out = build.reference().frames(build.preprocess, SELFTEST_WINDOWS)
    t = build.scores_of(OnnxBackend(build.read("encoder.onnx")).infer_batch(held_out.frames))
    tail = build.tail
    return selftest_bytes(held_out.windows, t, tail.index(t), tail.logits(t).argmax(axis=1).astype(np.int64))
