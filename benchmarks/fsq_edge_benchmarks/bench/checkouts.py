"""This version of the runtime against that of another checkout of the project."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Final

from fsq_edge_benchmarks.bench import pair_block
from fsq_edge_benchmarks.bench.pairing import pair_result
from fsq_edge_benchmarks.bench.result import PairResult
from fsq_edge_benchmarks.bench.spin import MAX_WAITED
from fsq_edge_benchmarks.measure.children import child_environment, first_line_of
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import MissingInputError

ROOTS: Final = ("runtime", ".", "benchmarks", "compile", "calibration")  # source roots of a checkout
BLOCKS: Final = 8


def race_checkout(bundle: Bundle, backend: str, checkout: Path, decisions: int) -> PairResult:
    """Race this version against that of a checkout, in blocks of A B B A.

    Each block is a process of its own, so the ratio also holds what differs from one process to the next.

    Args:
        bundle: the verified bundle; the other version must be able to read it.
        backend: one that sessions have.
        checkout: root folder of the other version.
        decisions: of each, all blocks together.

    Raises:
        MissingInputError: no checkout there.
        InternalError: a block failed, for example because that version cannot read the bundle.
    """
    roots = [checkout / root for root in ROOTS]
    if not (roots[0] / "fsq_edge_runtime").is_dir():
        raise MissingInputError(f"{checkout} is not a checkout: it has no runtime/fsq_edge_runtime")
    environments = [child_environment(), child_environment([root.resolve() for root in roots])]
    taken: tuple[list[int], list[int]] = ([], [])
    waited = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.fsqb"
        bundle.save(path)
        arguments = [str(pair_block.__file__), str(path), backend, str(max(decisions // BLOCKS, 1))]
        for block in range(BLOCKS):
            for side in (0, 1) if block % 2 else (1, 0):
                found = json.loads(first_line_of(arguments, environments[side]).first_line)
                taken[side].extend(found["taken"])
                waited.append(found["waited"])
    share = sorted(waited)[len(waited) // 2]
    lost = backend != "hailo" and share > MAX_WAITED  # who waits for a device has no core meanwhile
    reasons = (f"disturbed: other work had the core for {share:.0%} of the time in the median block",) if lost else ()
    return pair_result(("this", str(checkout)), taken, "one process a block, blocks in turns", reasons, BLOCKS)
