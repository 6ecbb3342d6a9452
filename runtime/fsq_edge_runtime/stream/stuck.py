"""When a repeated value is a fault: more than the step of a live sensor explains. One rule for recordings and streams.

A sensor repeats a value while its body moves by less than its step, and a still body does so for minutes where the step
is coarse. So time alone says nothing: on one axis a repeated value is a fault where another axis of that sensor moves
meanwhile. Noise needs no estimate: where it is large against the step, the noise of the other axes is movement enough,
and a live axis never stands still at all.
"""

from __future__ import annotations

from typing import Final

# A run of one value is stuck where a live axis would keep it in less than one case of twenty.
EXPLAINED: Final = 0.05
# A movement in a random direction has a part along one axis that is uniform between none and all of it (Archimedes'
# theorem on the sphere), so a live axis stays within its step in one of twenty movements by twenty steps.
LIVE_STEPS: Final = 1 / EXPLAINED
ALL_STILL: Final = 4  # times `stuck_ms` that a living body keeps all axes still: 0.4 % of a night in steps of 1/64 g
