"""Predicates by operator family: small pure functions that say which stated limit a node breaks.

A predicate yields ``Breach`` objects that name a rule of the table and the measured value; the table holds the
message, severity, fix and evidence. A node without an error breach is taken as its operator's row says.
"""

from __future__ import annotations

from fsq_edge_compile.checker.families import (
    activations,
    convolution,
    elementwise,
    movement,
    normalisation,
    pooling,
    reductions,
    resampling,
)
from fsq_edge_compile.checker.families.predicate import Breach, Context, Predicate

PREDICATES: dict[str, Predicate] = {
    **activations.PREDICATES,
    **convolution.PREDICATES,
    **elementwise.PREDICATES,
    **movement.PREDICATES,
    **normalisation.PREDICATES,
    **pooling.PREDICATES,
    **reductions.PREDICATES,
    **resampling.PREDICATES,
}

__all__ = ["PREDICATES", "Breach", "Context", "Predicate"]
