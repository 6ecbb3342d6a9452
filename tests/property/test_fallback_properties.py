"""Whatever goes wrong and whenever: each window ends once, no label is wrong, and the fake process survives."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.backends.base import BackendSwitch, Missed
from fsq_edge_runtime.backends.fallback_policy import FallbackPolicy
from fsq_edge_runtime.testing import Fault, FaultScript
from tests.factories.hailo_rig import inline, make_rig

STATUS = st.sampled_from([3, 4, 6, 16, 25, 36, 62, 63, 69, 82, 87, 96, 97, 98])
FAULTS = st.one_of(
    st.builds(Fault, kind=st.just("fail"), status=STATUS),
    st.builds(Fault, kind=st.just("launch"), status=STATUS),
    st.builds(Fault, kind=st.just("lost"), status=STATUS, reopens=st.integers(0, 3)),
    st.builds(Fault, kind=st.just("delay"), seconds=st.sampled_from([0.0, 0.004, 0.012])),
    st.builds(Fault, kind=st.just("late"), seconds=st.sampled_from([0.0, 0.004, 0.02])),
    st.builds(Fault, kind=st.just("wrong")),
    st.builds(Fault, kind=st.just("damage"), reopens=st.integers(0, 2)),
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    generation=st.sampled_from([4, 5]),
    faults=st.dictionaries(st.integers(0, 80), FAULTS, max_size=12),
    opens=st.lists(st.sampled_from([0, 0, 73, 74, 97]), max_size=6),
    configures=st.lists(st.sampled_from([0, 0, 26, 93]), max_size=4),
)
def test_every_window_ends_once_and_right(
    generation: int, faults: dict[int, Fault], opens: list[int], configures: list[int]
) -> None:
    script = FaultScript(faults, opens=[0, *opens], configures=[0, *configures])
    rig = make_rig(generation, faults=script, n=40)
    events: list[BackendSwitch] = []
    policy = FallbackPolicy(0.01, first_retry_s=0.0, longest_retry_s=0.001, parity_windows=3, shadow_every=1, poll_s=0)
    backend = rig.fallback(policy, events, background=inline)
    ended = 0
    for window in range(80):
        row = window % len(rig.frames)
        try:
            t = backend.infer(rig.frames[row : row + 1])
        except Missed:
            ended += 1
            continue
        assert rig.code(t) == rig.codes[row]
        ended += 1
    assert ended == backend.counters.windows == 80
    here = "hailo-fake"
    for event in events:  # the events tell the whole story: each switch starts where the last one ended
        assert event.from_backend in (here, event.to_backend)
        here = event.to_backend
        assert event.cause
    backend.close()
    rig.fake.chip.check()
