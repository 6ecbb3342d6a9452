"""What the DFC's emulator made of held-out windows: three rungs of the parity ladder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fsq_edge_runtime.arrays import Float32Array, Int64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.npz import array_names, read_arrays

STAGES: Final = ("native", "fp_optimized", "quantized")
MAX_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class EmulatorOutputs:
    """Outputs of the emulator.

    Attributes:
        reference_index: (K,) int64, which windows of the build's reference.npz they are.
        t: stage of ``STAGES`` -> (K, D) float32; stages that failed are left out.
    """

    reference_index: Int64Array
    t: dict[str, Float32Array]


def read_emulator(path: Path) -> EmulatorOutputs:
    """Read the ``emulator.npz`` that a compilation left in its folder.

    Raises:
        MissingInputError: it cannot be read.
        DataError: too large, damaged, or sizes that do not agree.
    """
    data = read_bounded(path, MAX_BYTES, hint="fsq-edge compile writes it")
    try:
        stages = [stage for stage in STAGES if stage in array_names(data)]
        index, *found = read_arrays(data, ("reference_index", *stages))
    except ValueError as error:
        raise DataError(f"{path.name} is not an emulator output: {error}") from error
    outputs: dict[str, Float32Array] = {}
    for stage, one in zip(stages, found, strict=True):
        outputs[stage] = np.asarray(one, dtype=np.float32)
    if any(t.ndim != 2 or len(t) != len(index) for t in outputs.values()):
        raise DataError(f"{path.name}: the outputs are not (K, D) for {len(index)} windows")
    return EmulatorOutputs(np.asarray(index, dtype=np.int64), outputs)
