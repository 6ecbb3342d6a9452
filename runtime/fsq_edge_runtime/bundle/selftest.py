"""Does the backend that will run give the answers that the bundle's maker got?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fsq_edge_runtime.bundle.bundle import Bundle

EXACT_T = 1e-3  # onnxruntime on another machine; float32 kernels differ by about 1e-6
BOUNDARY = 1e-3  # of b: nearer to a rounding boundary a digit may fall either way
QUANTISED_LABELS = 0.8  # int8 changes about 1 % of labels; a HEF calibrated with noise is at chance


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """The outcome on the bundle's self-test windows.

    Attributes:
        backend: name of the backend that ran.
        windows: how many.
        exact: whether the float32 rule was applied (``onnx``) or the one for quantised graphs.
        max_abs_t: largest difference of ``t`` from the reference.
        code_agreement: share of windows with the reference's code.
        label_agreement: share of windows with the reference's label.
        passed: the verdict.
        reason: what failed; empty when it passed.
    """

    backend: str
    windows: int
    exact: bool
    max_abs_t: float
    code_agreement: float
    label_agreement: float
    passed: bool
    reason: str


def run_selftest(bundle: Bundle, backend: str = "auto") -> SelfTestResult:
    """Run the self-test windows on a backend and judge the answers.

    The float32 graph must give the reference's codes wherever the reference is not on a rounding boundary; a quantised
    graph (int8, HEF) must give its label on at least 80 % of the windows.

    Args:
        bundle: the verified bundle.
        backend: ``auto``, ``onnx``, ``onnx-int8`` or ``hailo``.

    Raises:
        UsageError: an unknown backend.
        BackendError: the backend cannot be opened or fails.
        DataError: the windows are not of the bundle's shape.
    """
    test = bundle.selftest
    with bundle.open_session(backend=backend) as session:
        found = session.predict(test.windows)
        name = session.backend.name
    exact = name == "onnx"
    difference = float(np.abs(found.t - test.t).max())
    # A head without codes gives none to compare: its self-test holds classes.
    same_code = (found.codes if bundle.tail.kind == "fsq" else found.raw_labels) == test.codes
    near = bundle.tail.boundary_distance(test.t) < BOUNDARY
    codes, labels = float(same_code.mean()), float((found.raw_labels == test.labels).mean())
    reason = ""
    if not found.valid.all() or not np.isfinite(difference):
        reason = "a self-test window gave no answer"
    elif exact and (difference > EXACT_T or not (same_code | near).all()):
        reason = f"the codes or t differ from the reference (largest difference of t {difference:.2g})"
    elif not exact and labels < QUANTISED_LABELS:
        reason = f"{labels:.0%} of the labels agree with the reference, at least {QUANTISED_LABELS:.0%} must"
    return SelfTestResult(name, len(test.codes), exact, difference, codes, labels, not reason, reason)
