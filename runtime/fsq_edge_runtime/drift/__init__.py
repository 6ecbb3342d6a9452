"""Whether a stream still looks as it did, and as the training data did: input, codes, confidence, abstention."""

from fsq_edge_runtime.drift.watch import DriftWatch

__all__ = ["DriftWatch"]
