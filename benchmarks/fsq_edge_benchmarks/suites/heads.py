"""What a decision costs without FSQ: class scores from the device graph, or from a host graph behind it.

Each is timed in turns with onnxruntime on the same graphs and ready frames, several times over, since one run's median
moves with the machine.

python -m fsq_edge_benchmarks.suites.heads [--quick]
"""

from __future__ import annotations

import sys
from statistics import median
from typing import Any, Final

from fsq_edge_benchmarks.measure.bare import BARE_IS, HOST_IS
from fsq_edge_benchmarks.measure.fixed_bundle import softmax_bundle
from fsq_edge_benchmarks.suites.command import heading, run_command
from fsq_edge_benchmarks.suites.streaming import single_stream

ROUNDS: Final = 7


def run(quick: bool = False) -> dict[str, Any]:
    """Measure both.

    Returns:
        By ``whole`` (the device graph gives the scores) and ``cut`` (a host graph does): ``runs`` as
        :func:`~fsq_edge_benchmarks.suites.streaming.single_stream`, and of their ratios of medians ``ratio_p50`` (the
        middle one), ``least`` and ``most``.
    """
    bundles = {"whole": softmax_bundle(), "cut": softmax_bundle(host=True)}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in bundles}
    for _ in range(2 if quick else ROUNDS):
        for name, bundle in bundles.items():
            runs[name].append(single_stream(bundle, 700 if quick else 5_000, timed=False))
    return {**heading("heads"), "bare_is": {"whole": BARE_IS, "cut": HOST_IS}} | {
        name: {**_spread([one["ratio_p50"]["value"] for one in found]), "runs": found} for name, found in runs.items()
    }


def _spread(ratios: list[float]) -> dict[str, float]:
    return {"ratio_p50": median(ratios), "least": min(ratios), "most": max(ratios)}


if __name__ == "__main__":
    sys.exit(run_command("heads", run))
