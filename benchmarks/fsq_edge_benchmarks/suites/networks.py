"""What a decision adds to its network, on the fixed network and on a small one: the time stays, the ratio does not.

The slowest hundredth is what something else on the machine has just interrupted, or whose caches it has emptied. That
meets a call the more often the longer it takes. So the bare network is also called twice in a row, in turns with once:
what that has for a p99 is a matter of its length alone.

python -m fsq_edge_benchmarks.suites.networks [--quick]
"""

from __future__ import annotations

import sys
from typing import Any, Final

from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.fixed_network import small_bundle
from fsq_edge_benchmarks.measure.ratio import ratio_of_p99
from fsq_edge_benchmarks.measure.stopwatch import in_turns
from fsq_edge_benchmarks.suites.command import run_command
from fsq_edge_benchmarks.suites.streaming import WARM_UP, hops_and_network, single_stream
from fsq_edge_runtime.bundle.bundle import Bundle

DECISIONS: Final = 150_000


def run(quick: bool = False) -> dict[str, Any]:
    """Time decisions of one stream on both networks, each in turns with the bare network.

    Returns:
        ``fixed`` and ``small``: as :func:`fsq_edge_benchmarks.suites.streaming.single_stream` gives them, and
        ``twice_p99``: the p99 of two bare calls in a row over that of one.
    """
    fixed, count = fixed_bundle(), 700 if quick else DECISIONS
    named = (("fixed", fixed), ("small", small_bundle(fixed)))
    return {
        name: {**single_stream(bundle, count, timed=False), "twice_p99": _twice_p99(bundle, count)}
        for name, bundle in named
    }


def _twice_p99(bundle: Bundle, rounds: int) -> float:
    _, network = hops_and_network(bundle)

    def twice(turn: int) -> None:
        network(turn)
        network(turn + 1)

    taken = in_turns({"twice": twice, "once": network}, rounds, WARM_UP)
    return ratio_of_p99(taken["twice"], taken["once"]).value


if __name__ == "__main__":
    sys.exit(run_command("networks", run))
