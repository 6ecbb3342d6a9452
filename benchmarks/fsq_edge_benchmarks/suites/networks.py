"""What a decision adds to its network, on the fixed network and on a small one: the time stays, the ratio does not.

python -m fsq_edge_benchmarks.suites.networks [--quick]
"""

from __future__ import annotations

import sys
from typing import Any, Final

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle, small_bundle
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_benchmarks.suites.streaming import single_stream

DECISIONS: Final = 20_000


def run(quick: bool = False) -> dict[str, Any]:
    """Time decisions of one stream on both networks, each in turns with the bare network.

    Returns:
        ``fixed`` and ``small``: as :func:`fsq_edge_benchmarks.suites.streaming.single_stream` gives them.
    """
    fixed = fixed_bundle()
    named = (("fixed", fixed), ("small", small_bundle(fixed)))
    return {name: single_stream(bundle, 700 if quick else DECISIONS, timed=False) for name, bundle in named}


if __name__ == "__main__":
    sys.exit(run_command("networks", run))
