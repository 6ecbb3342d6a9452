from functools import cache

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionSettings
from tests.factories.bundles import motion, preprocess_config, random_bundle
from tests.factories.streams import cut, stream

RATE = 50.0
SLOWLY = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
CHAIN = DecisionSettings(
    smoothing="ema", smoothing_ms=900, enter=0.4, leave=0.2, dwell_ms=300, refractory_ms=600, unknown_below=0.2
)


@cache
def bundle(window: int = 40, hop: int = 16) -> Bundle:
    return random_bundle(preprocess=preprocess_config(window_samples=window, hop_samples=hop), decision=CHAIN)


def clock(n: int, *, seed: int, rate: float = RATE, jitter: float = 0.1, gaps: int = 0, start: float = 1.6e9):
    """Return n timestamps with jitter (in periods) and some gaps from well below to well above the limit."""
    draw = np.random.default_rng(seed)
    steps = np.ones(n)
    steps[draw.integers(1, n, gaps)] += draw.choice([0.7, 3.0, 30.0], gaps)
    return start + (np.cumsum(steps) - 1 + draw.uniform(-jitter, jitter, n)) / rate


@SLOWLY
@given(
    sizes=st.lists(st.integers(0, 90), max_size=30),
    seed=st.integers(0, 99),
    rate=st.sampled_from([RATE, 49.6, 50.7, 25.0]),
    gaps=st.integers(0, 5),
    timed=st.booleans(),
)
def test_any_chunking_gives_the_same_records(sizes, seed, rate, gaps, timed):
    samples = motion(500, seed=seed)
    times = clock(500, seed=seed, rate=rate, jitter=0.2, gaps=gaps) if timed else None
    options = {"source_rate_hz": rate}
    whole = stream(bundle(), [(samples, times)], **options)
    assert len(whole) >= 5
    assert stream(bundle(), cut(samples, times, sizes), **options) == whole


@SLOWLY
@given(
    sizes=st.lists(st.integers(0, 700), max_size=12),
    seed=st.integers(0, 99),
    rate=st.sampled_from([400.0, 104.0, 119.0, 952.0 / 9]),
    gaps=st.integers(0, 3),
)
def test_any_chunking_gives_the_same_records_through_the_filter(sizes, seed, rate, gaps):
    samples = motion(2400, seed=seed, rate=rate)
    times = clock(2400, seed=seed, rate=rate, gaps=gaps)
    whole = stream(bundle(), [(samples, times)], source_rate_hz=rate)
    assert len(whole) >= 5
    assert stream(bundle(), cut(samples, times, sizes), source_rate_hz=rate) == whole


@SLOWLY
@given(order=st.permutations([0] * 6 + [1] * 6 + [2] * 6), seed=st.integers(0, 99), together=st.booleans())
def test_any_interleaving_of_streams_gives_each_its_own_records(order, seed, together):
    streams = [(motion(400, seed=seed + one), clock(400, seed=seed + one, gaps=2)) for one in range(3)]
    chunks = [cut(samples, times, [60] * 5) for samples, times in streams]
    alone = [stream(bundle(), parts) for parts in chunks]
    taken = [0, 0, 0]
    pushed = []
    for one in order:
        pushed.append((str(one), *chunks[one][taken[one]]))
        taken[one] += 1
    records: list = []
    with bundle().open_session(backend="onnx", on_record=records.append) as session:
        if together:
            session.push_many(pushed)
        else:
            for name, samples, times in pushed:
                session.push(samples, times, name)
    for one in range(3):
        mine = [
            record.to_dict(latency=False) if hasattr(record, "seq") else record.to_dict()
            for record in records
            if record.stream == str(one)
        ]
        assert [{**line, "stream": "0"} for line in mine] == alone[one]


@SLOWLY
@given(data=st.data(), seed=st.integers(0, 99))
def test_extra_duplicate_and_late_samples_change_nothing(data, seed):
    samples, times = motion(300, seed=seed), clock(300, seed=seed, gaps=2)
    clean = stream(bundle(), [(samples, times)])
    places = data.draw(st.lists(st.integers(1, 299), max_size=40).map(sorted))
    dirty_samples, dirty_times, at = [], [], 0
    for place in places:
        dirty_samples += [samples[at:place], samples[:1] + 9]
        back = data.draw(st.floats(0.0, 0.99))
        dirty_times += [times[at:place], [times[place - 1] - back]]
        at = place
    assume(max((places.count(place) for place in places), default=0) < 10)  # ten running: a clock that was set back
    dirty = np.concatenate([*dirty_samples, samples[at:]]), np.concatenate([*dirty_times, times[at:]])
    sizes = data.draw(st.lists(st.integers(0, 60), max_size=10))
    assert stream(bundle(), cut(*dirty, sizes)) == clean


@SLOWLY
@given(seed=st.integers(0, 999), gaps=st.integers(1, 6), hop=st.sampled_from([1, 16, 60]))
def test_no_window_spans_a_gap(seed, gaps, hop):
    samples, times = motion(400, seed=seed), clock(400, seed=seed, gaps=gaps, start=0.0)
    records = stream(bundle(hop=hop), [(samples, times)])
    limit = 0.1 + 1 / RATE + 0.25 / RATE
    holes = [(times[i], times[i + 1]) for i in np.flatnonzero(np.diff(times) > limit)]
    windows = [line for line in records if line["type"] == "decision"]
    assert len([line for line in records if line["type"] == "gap"]) == len(holes)
    for line in windows:
        assert abs(line["t_end"] - line["t_start"] - 39 / RATE) < 1e-6
        # A grid time may lie a quarter of a period after the sample that stands for it.
        assert not any(line["t_start"] < after and line["t_end"] > before + 0.25 / RATE for before, after in holes)
    assert [line["seq"] for line in windows] == list(range(len(windows)))


@SLOWLY
@given(
    seed=st.integers(0, 999),
    at=st.integers(0, 380),
    length=st.integers(1, 60),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    channel=st.integers(0, 5),
)
def test_a_burst_of_nan_never_changes_windows_without_it(seed, at, length, value, channel):
    decision = DecisionSettings()  # smoothing would rightly notice the abstention
    plain = random_bundle(preprocess=preprocess_config(window_samples=40, hop_samples=16), decision=decision)
    samples = motion(400, seed=seed)
    broken = samples.copy()
    broken[at : at + length, channel] = value
    clean, burst = stream(plain, [(samples, None)]), stream(plain, [(broken, None)])
    assert len(clean) == len(burst)
    until = min(at + length, 400)
    for expected, got in zip(clean, burst, strict=True):
        start = round(expected["t_start"] * RATE)
        if start + 40 <= at or start >= until:
            assert got == expected
        elif min(until, start + 40) - max(at, start) > 5:
            assert got["label"] is None
            assert got["quality"]


@SLOWLY
@given(
    place=st.integers(60, 340),
    jump=st.sampled_from([-7200.0, -3600.0, -1.5, 1.0, 3600.0, 86_400.0]),
    sizes=st.lists(st.integers(0, 90), max_size=12),
    hop=st.sampled_from([1, 16]),
)
def test_a_clock_that_is_set_gives_the_decisions_of_two_recordings(place, jump, sizes, hop):
    """NTP steps and the change to and from summer time."""
    samples, times = motion(400, seed=place), clock(400, seed=place)
    parts = [(samples[:place], times[:place]), (samples[place:], times[place:] + jump)]
    whole = stream(bundle(hop=hop), cut(samples, np.concatenate([part[1] for part in parts]), sizes))
    first, second = (stream(bundle(hop=hop), [part]) for part in parts)
    gaps = [line for line in whole if line["type"] == "gap"]
    assert [gap["cause"] for gap in gaps] == ["clock" if jump < 0 else "gap"]
    windows = [line for line in whole if line["type"] == "decision"]
    assert [line["seq"] for line in windows] == list(range(len(windows)))
    expected = [{**line, "seq": number} for number, line in enumerate([*first, *second])]
    assert windows == expected


@SLOWLY
@given(back=st.floats(0.25, 0.99), sizes=st.lists(st.integers(0, 90), max_size=12))
def test_a_small_step_back_costs_a_few_late_samples_and_then_a_new_segment(back, sizes):
    samples, times = motion(300, seed=1), 100.0 + np.arange(300) / RATE
    times[150:] -= back
    with bundle().open_session(backend="onnx", deadline_ms=0.0) as session:
        for rows, when in cut(samples, times, sizes):
            session.push(rows, when)
        totals = session.totals
    assert (totals.late + totals.duplicate, totals.clock_jumps) == (9, 1)
    assert totals.accepted == 300 - 9


@SLOWLY
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    stops=st.lists(st.booleans(), min_size=12, max_size=12),
    timed=st.booleans(),
)
def test_every_sample_and_every_window_is_accounted_for_whatever_is_paused_or_lost(sizes, stops, timed):
    samples, times = motion(720, seed=2), clock(720, seed=2, gaps=3)
    records: list = []
    at = 0
    with bundle().open_session(backend="onnx", deadline_ms=0.0, on_record=records.append) as session:
        for size, stop in zip(sizes, stops, strict=False):
            session.push(samples[at : at + size], times[at : at + size] if timed else None)
            at += size
            if stop:
                session.pause()
                session.push(samples[:7], times[at : at + 7] if timed else None)
                session.resume()
            else:
                session.lose(3)
        session.drain()
        totals = session.totals
    dropped = totals.duplicate + totals.late + totals.bad_time + totals.paused + totals.overrun
    assert totals.received == totals.accepted + dropped
    assert totals.paused == 7 * sum(stops[: len(sizes)])
    assert totals.windows == totals.decided + totals.abstained + totals.missed
    found = [record.seq for record in records if hasattr(record, "seq")]
    assert found == list(range(totals.windows))
