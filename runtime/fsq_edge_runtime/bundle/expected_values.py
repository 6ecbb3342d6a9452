"""What values a bundle's device graph will see: from its calibration audit, else from its self-test windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.artefact import read_json
from fsq_edge_runtime.errors import BundleError
from fsq_edge_runtime.preprocess import Preprocessor

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

FEWEST_BINS = 8  # between the least and the largest value


@dataclass(frozen=True, slots=True)
class ExpectedValues:
    """The distribution of all input values, standardised.

    Attributes:
        origin: where it is known from, for messages.
        low: smallest value.
        high: largest value.
        edges: (n,) increasing values ...
        shares: (n,) ... and the share of all values that is not above each, 0 to 1.
    """

    origin: str
    low: float
    high: float
    edges: Float64Array
    shares: Float64Array

    def share_beyond(self, low: float, high: float) -> float:
        """Return the share of values below ``low`` or above ``high``, 0 to 1."""
        below = float(np.interp(low, self.edges, self.shares, left=0.0, right=1.0))
        above = 1.0 - float(np.interp(high, self.edges, self.shares, left=0.0, right=1.0))
        return below + above


def expected_values(bundle: Bundle) -> ExpectedValues:
    """Return the input values that the bundle's preprocessing makes of real motion.

    Args:
        bundle: the verified bundle.

    Raises:
        BundleError: its calibration audit or its self-test windows cannot be used.
    """
    if bundle.has("calibration"):
        audited = _from_audit(bundle.read("calibration"))
        if audited is not None:
            return audited
    frames, valid = Preprocessor(bundle.preprocess).usable_frames(bundle.selftest.windows)
    if not valid.any():
        raise BundleError("selftest.npz has no usable window")
    values = np.sort(frames, axis=None).astype(np.float64)
    shares = np.arange(1, len(values) + 1) / len(values)
    return ExpectedValues("self-test windows", float(values[0]), float(values[-1]), values, shares)


def _from_audit(audit: bytes) -> ExpectedValues | None:
    """Read ``calibration.json``: per channel ``low``, ``high`` and ``counts`` over equal bins up to ``clip_sigma``."""
    try:
        described = read_json(audit, "calibration.json")["found"]
        if described is None:
            return None  # the audit could not describe the set, and said why
        clip, channels = float(described["clip_sigma"]), described["channels"]
        counts = np.asarray(np.sum([channel["counts"] for channel in channels], axis=0, dtype=np.float64))
        low = min(float(channel["low"]) for channel in channels)
        high = max(float(channel["high"]) for channel in channels)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise BundleError(f"calibration.json does not describe the calibration set: {error!r}") from error
    if counts.ndim != 1 or not counts.sum() > 0 or counts.min() < 0 or not clip > 0:
        raise BundleError("calibration.json does not describe the calibration set: its histograms are empty")
    if 2 * clip / len(counts) > (high - low) / FEWEST_BINS:
        return None  # nothing is clipped, so that all values lie in a few bins: the windows say more
    edges = np.linspace(-clip, clip, len(counts) + 1)
    shares = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    return ExpectedValues("calibration set", low, high, edges, shares)
