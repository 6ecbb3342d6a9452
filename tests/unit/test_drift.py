import numpy as np
import pytest

from fsq_edge_runtime.bundle.fingerprint import Fingerprint, SubjectSpread
from fsq_edge_runtime.drift import DriftWatch
from fsq_edge_runtime.drift.codes import CodeReference, perplexity
from fsq_edge_runtime.drift.looks import InputLooks, Look
from fsq_edge_runtime.drift.page_hinkley import LEARNED, PageHinkley
from fsq_edge_runtime.drift.past import BLOCK, CODE, CONFIDENCE, LOOK_EVERY, StreamPast
from fsq_edge_runtime.drift.subjects import _Group
from fsq_edge_runtime.session import Session
from fsq_edge_runtime.stream import Decision, StreamEvent
from tests.factories.bundles import motion, preprocess_config, random_bundle

WINDOW, HOP = 100, 50
CLEAN_WINDOWS = (LEARNED + 4) * BLOCK


def records_of(samples: np.ndarray, *, many: bool = False) -> list:
    records: list = []
    with random_bundle().open_session("onnx", deadline_ms=0.0, on_record=records.append) as session:
        session.watch_drift()
        for at in range(0, len(samples), 5000):
            part = samples[at : at + 5000]
            _ = session.push_many({"rex": part}) if many else session.push(part, stream="rex")
    return records


def drifts(records: list) -> list[StreamEvent]:
    return [record for record in records if isinstance(record, StreamEvent) and record.kind == "drift"]


def test_a_moved_mean_is_found_where_it_moved_and_steady_noise_is_not():
    draw = np.random.default_rng(0)
    test = PageHinkley(np.full(3, 0.01))
    values = draw.normal(size=(600, 3))
    assert not any(test.step(row) for row in values)
    moved = (test.step(draw.normal(size=3) + np.array([0.0, 3.0, 0.0])) for _ in range(100))
    number, found = next((number, found) for number, found in enumerate(moved) if found)
    assert found[0].series == 1
    assert found[0].score > 1
    assert abs(found[0].values - (number + 1)) <= 3
    assert abs(found[0].usual) < 0.5


def test_one_outlier_raises_no_alarm_and_a_reset_learns_again():
    test = PageHinkley(np.full(1, 0.01))
    for _ in range(LEARNED):
        assert not test.step(np.zeros(1))
    assert not test.step(np.full(1, 1e6))
    test.reset()
    assert test.seen == 0
    assert not any(test.step(np.full(1, 7.0)) for _ in range(200))


def bouts(blocks: int, of: int, draw: np.random.Generator) -> np.ndarray:
    """Values (blocks, 4) of a wearer who does one thing for so many blocks, then another."""
    kinds = draw.normal(size=(blocks // of + 1, 4)).repeat(of, axis=0)[:blocks]
    return kinds + draw.normal(0, 0.2, (blocks, 4))


def test_bouts_of_many_kinds_are_no_move_of_the_mean_and_a_fault_among_them_is():
    for seed in range(4):
        draw = np.random.default_rng(seed)
        test = PageHinkley(np.full(4, 0.01))
        assert not any(test.step(row) for row in bouts(600, 15, draw)), f"seed {seed}"
        faulty = bouts(60, 15, draw) + np.array([0.0, 0.0, 10.0, 0.0])
        found = next(found for found in map(test.step, faulty) if found)
        assert found[0].series == 2


def test_a_move_that_lasts_does_not_hide_itself_by_making_neighbours_alike():
    draw = np.random.default_rng(0)
    test = PageHinkley(np.full(2, 0.01))
    for _ in range(2 * LEARNED):
        assert not test.step(draw.normal(size=2))
    moved = (bool(test.step(draw.normal(size=2) + np.array([4.0, 0.0]))) for _ in range(24))
    assert any(moved)


def test_the_stability_index_is_that_of_the_textbook():
    reference = CodeReference([500_000, 500_000, 0])
    # Shares 0.5 and 0.5 against 0.8 and 0.2, by hand: 0.3 ln 1.6 + 0.3 ln 2.5 = 0.4159.
    counts = np.zeros(11, dtype=np.int64)
    counts[:2] = 800_000, 200_000
    assert reference.stability_index(counts) == pytest.approx(0.4159, abs=2e-3)
    counts[:2] = 500_000, 500_000
    assert reference.stability_index(counts) == pytest.approx(0.0, abs=1e-4)
    assert reference.unseen.tolist() == [False, False, True]
    assert reference.strangeness[0, 1] == pytest.approx(1.0, abs=1e-5)


def test_looks_add_up_to_the_figures_of_all_their_windows_and_a_missing_value_to_nan():
    config = preprocess_config()
    windows = np.stack([motion(WINDOW, seed=seed).T for seed in (3, 4, 5)])
    looks = InputLooks(config)

    def looked(some: np.ndarray) -> Look:
        room = looks.room(len(some))
        room[:, :-1] = some
        return looks.look(room)

    look = looked(windows)
    x = (windows - np.array(config.mean[:6])[:, None]) / np.array(config.std[:6])[:, None]
    inner = x - x.mean(axis=2, keepdims=True)
    steps = np.sqrt((np.diff(x) ** 2).sum(axis=2).mean(axis=0) / WINDOW)
    figures = looks.figures(look)
    np.testing.assert_allclose(figures.mean, x.mean(axis=(0, 2)), atol=1e-5)
    np.testing.assert_allclose(figures.spread, np.log(x.std(axis=(0, 2))), atol=1e-4)
    np.testing.assert_allclose(figures.step, np.log(steps / x.std(axis=(0, 2))), atol=1e-3)
    np.testing.assert_allclose(figures.tempo, np.log(steps / np.sqrt((inner**2).mean(axis=(0, 2)))), atol=1e-3)
    correlations = np.corrcoef(inner.transpose(1, 0, 2).reshape(6, -1))[np.triu_indices(6, 1)]
    np.testing.assert_allclose(np.tanh(figures.axes), correlations, atol=1e-3)
    np.testing.assert_allclose(looks.series(look), np.concatenate(figures[:3]), atol=1e-6)
    np.testing.assert_allclose(looks.within(look), (inner**2).mean(axis=2), rtol=1e-3)
    parts = looked(windows[:1]).plus(looked(windows[1:]))
    np.testing.assert_allclose(np.concatenate(looks.figures(parts)), np.concatenate(figures), atol=1e-5)
    np.testing.assert_allclose(looks.sphere(parts), looks.sphere(look), rtol=1e-5)
    windows[1, 4, 50] = np.nan
    again = looked(windows)
    assert again.windows == 2
    np.testing.assert_array_equal(again.sums, looked(windows[[0, 2]]).sums)
    assert looked(windows[1:2]) is None


@pytest.mark.parametrize("value", [1e16, 6e17, 2e18, 1e19, np.inf])
def test_windows_whose_squares_float32_does_not_hold_count_nowhere(value: float) -> None:
    looks = InputLooks(preprocess_config())
    room = looks.room(8)
    room[:, :-1] = np.stack([motion(WINDOW, seed=seed).T for seed in range(8)])
    room[2:, 1:3] *= np.float32(value)
    look = looks.look(room.copy())
    assert look is not None
    assert look.windows == 2
    assert looks.look(room[2:].copy()) is None


def test_many_windows_of_which_only_the_sum_is_too_large_count_nowhere_either() -> None:
    looks = InputLooks(preprocess_config())
    room = looks.room(300)
    room[:, 0] = np.sqrt(5e29 / WINDOW)
    assert looks.look(room) is None


def test_a_channel_that_loses_its_gain_is_named_with_the_time_since_when():
    samples = motion((CLEAN_WINDOWS + 24 * BLOCK) * HOP, seed=1)
    begins = CLEAN_WINDOWS * HOP
    samples[begins:, 4] *= 0.2
    records = records_of(samples)
    changed = [event for event in drifts(records) if event.facts["test"] == "change"]
    assert changed
    facts = changed[0].facts
    assert changed[0].stream == "rex"
    named = {facts["what"], *facts["also"]}
    assert "spread:gyr_y" in named
    assert abs(facts["t_start"] - begins / 50.0) <= 4 * BLOCK * HOP / 50.0
    assert facts["t_end"] > facts["t_start"]
    assert facts["advice"]
    at = records.index(changed[0])
    before = records[at - 1]
    assert isinstance(before, Decision)
    assert before.seq == facts["seq"]


def closed(session):
    session.close_stream("rex")


def reloaded(session):
    random_bundle().open_session("onnx").continue_from(session)


@pytest.mark.parametrize("end", [closed, reloaded, Session.drain])
def test_a_stream_that_ends_while_its_block_waits_to_be_judged_loses_no_alarm(end):
    samples = motion(WINDOW + (LEARNED * BLOCK - 1) * HOP, seed=2)
    samples[:, 4] *= 5.0
    names, records = ("rex", *(f"s{one}" for one in range(7))), []
    with random_bundle().open_session("onnx", deadline_ms=0.0, on_record=records.append) as session:
        session.watch_drift()
        for at in range(0, len(samples), HOP):
            session.push_many(dict.fromkeys(names, samples[at : at + HOP]))
        before = len(drifts(records))
        end(session)
    assert [before, len(drifts(records))] == [0, 8]
    assert {event.facts["seq"] for event in drifts(records)} == {LEARNED * BLOCK - 1}


def test_beside_many_streams_an_alarm_comes_with_the_window_that_completes_its_block():
    records: list = []
    with random_bundle().open_session("onnx", deadline_ms=0.0, on_record=records.append) as session:
        session.watch_drift()
        for number in range(BLOCK + 1):
            session.push(motion(WINDOW), stream=f"dog {number}")
        samples = motion(WINDOW + (LEARNED * BLOCK - 1) * HOP, seed=2)
        samples[:, 0] += 9.0
        session.push(samples, stream="rex")
    assert [event.facts["seq"] for event in drifts(records)] == [LEARNED * BLOCK - 1]


def test_batches_give_the_drift_records_of_single_pushes():
    samples = motion((LEARNED + 1) * BLOCK * HOP, seed=2)
    samples[:, 0] += 9.0
    alone, together = drifts(records_of(samples)), drifts(records_of(samples, many=True))
    assert alone
    assert [event.to_dict() for event in alone] == [event.to_dict() for event in together]
    assert alone[0].facts["test"] == "training"


def test_streams_in_step_give_the_drift_records_of_single_pushes():
    samples = motion((LEARNED + 1) * BLOCK * HOP, seed=2)
    samples[:, 4] *= 5.0
    alone = [event.facts for event in drifts(records_of(samples))]
    names, records = [f"s{one}" for one in range(8)], []
    with random_bundle().open_session("onnx", deadline_ms=0.0, on_record=records.append) as session:
        session.watch_drift()
        for at in range(0, len(samples), HOP):
            session.push_many(dict.fromkeys(names, samples[at : at + HOP]))
        assert session._lockstep.cohorts, "nothing was tested"
    assert alone
    for name in names:
        assert [event.facts for event in drifts(records) if event.stream == name] == alone


def test_the_blocks_of_streams_in_step_are_judged_a_few_a_round():
    samples, names, waiting = motion((BLOCK + 20) * HOP, seed=2), [f"s{one}" for one in range(32)], []
    with random_bundle().open_session("onnx", deadline_ms=0.0, on_record=lambda record: None) as session:
        session.watch_drift()
        for at in range(0, len(samples), HOP):
            session.push_many(dict.fromkeys(names, samples[at : at + HOP]))
            waiting.append(len(session._drift._waiting))
    complete = waiting.index(32)
    assert not any(waiting[:complete])
    assert waiting[complete : complete + 18] == [*range(32, 0, -2), 0, 0]


def test_a_session_that_is_not_asked_makes_no_drift_record():
    samples = motion((LEARNED + 1) * BLOCK * HOP, seed=2)
    samples[:, 0] += 9.0
    records: list = []
    with random_bundle().open_session("onnx", deadline_ms=0.0, on_record=records.append) as session:
        session.push(samples)
    assert not drifts(records)


def test_perplexity_and_dead_codes_are_those_of_the_textbook():
    assert perplexity(np.array([5, 5, 5, 5, 0])) == pytest.approx(4.0)
    assert perplexity(np.array([7, 0])) == pytest.approx(1.0)
    reference = CodeReference([500, 300, 199, 1, 0])
    # Of 1,000 windows the first three codes are due five times or more; the second and the third never came.
    assert reference.dead_share(np.array([1000, 0, 0, 0, 0])) == pytest.approx(0.499)
    assert reference.dead_share(np.array([9, 0, 0, 0, 0])) == pytest.approx(0.0), "too few windows to tell"


def blocks_of(watch, blocks, window=None, rate=1.0, **changes) -> list[StreamEvent]:
    """Feed so many blocks of equal decisions, and what is looked at; return the alarms."""
    found, nothing = [], (0,) * 5
    for seq in range(blocks * BLOCK):
        if window is not None and seq % LOOK_EVERY == 0:
            watch.look("rex", seq, window, rate)
        made = Decision(
            seq, "rex", seq, seq + 2.0, "class-0", "class-0", 0.9, 3, (), "onnx", None, (0.9,), (0.9,), nothing
        )
        found += watch.see(made._replace(**changes))
    return found


def named(alarms: list[StreamEvent]) -> set[str]:
    return {name for alarm in alarms for name in (alarm.facts["what"], *alarm.facts["also"])}


def still_window(bundle, offset=None) -> np.ndarray:
    """A window at the training mean with its spread; ``offset`` by channel in training sigmas."""
    config = bundle.preprocess
    draw = np.random.default_rng(0).normal(size=(6, WINDOW))
    draw = (draw - draw.mean(axis=1, keepdims=True)) / draw.std(axis=1, keepdims=True)
    for channel, sigmas in (offset or {}).items():
        draw[channel] += sigmas
    return (draw * np.array(config.std[:6])[:, None] + np.array(config.mean[:6])[:, None]).astype(np.float32)


def with_prints(bundle, **prints):
    """The bundle with another fingerprint: every code as often, unless given."""
    size = len(bundle.fingerprint.counts)
    values = {"counts": (2,) * size, "windows": 2 * size, **prints}
    bundle.__dict__["fingerprint"] = Fingerprint(**values)
    return bundle


def test_a_bias_from_the_start_is_found_where_the_subjects_of_training_are_known():
    spread = SubjectSpread(subjects=8, mean=(0.05,) * 6)
    window = still_window(random_bundle(), {0: 0.5})
    for given, channels in ((spread, {"mean:acc_x"}), (None, set())):
        watch = DriftWatch(with_prints(random_bundle(), between=given))
        moved = named(blocks_of(watch, LEARNED, window))
        assert {name for name in moved if name.startswith("mean")} == channels


def test_the_distance_to_few_subjects_is_in_their_own_deviations_and_those_of_all_figures():
    # By hand, of five subjects: (4 * 0.1² + 4 * 0.05) / 8 * 1.2 + 0.02² = 0.0364, and 0.0844 with 0.3².
    group = _Group((1.0, 2.0), (0.1, 0.3), subjects=5)
    assert group.distance(np.array([1.0, 2.0])) == 0
    assert group.distance(np.array([1.0 + np.sqrt(0.0364), 2.0])) == pytest.approx(np.sqrt(0.5))
    assert group.distance(np.array([1.0, 2.0 - np.sqrt(0.0844)])) == pytest.approx(np.sqrt(0.5))


def test_fields_that_are_taken_by_number_are_those_of_the_name():
    assert (Decision._fields[CONFIDENCE], Decision._fields[CODE]) == ("confidence", "code")


def test_a_stream_that_learns_anew_keeps_nothing_of_its_past():
    past = StreamPast(InputLooks(preprocess_config()), 5, np.full(3, 0.01), None)
    past.counts[:], past.doubted = 7, {"offset"}
    past.remember(np.ones(3))
    for _ in range(LEARNED):
        past.test.step(np.ones(3))
    past.learn_anew()
    assert past.counts.tolist() == [0] * 5
    assert (past.test.seen, past.former, past.doubted) == (0, None, set())


def test_an_offset_is_told_when_two_periods_in_a_row_have_it():
    bundle = with_prints(random_bundle())
    watch, draw = DriftWatch(bundle), np.random.default_rng(0)
    assert watch._input.has_gravity
    watch._floors = np.full_like(watch._floors, 1e6)  # the other series never move
    seq, told = 0, []
    for offset in (0.0, 0.0, 0.15, 0.0, 0.15, 0.15):
        found = []
        for _ in range(LEARNED * BLOCK):
            if seq % LOOK_EVERY == 0:
                window = still_window(bundle)
                posture = draw.normal(size=3)
                window[:3] = (posture / np.linalg.norm(posture))[:, None] + draw.normal(0, 0.002, (3, WINDOW))
                window[0] += offset
                watch.look("rex", seq, window, 1.0)
            found += watch.see(
                Decision(seq, "rex", seq, seq + 2.0, "a", "a", 0.9, 3, (), "onnx", None, (0.9,), (0.9,), (0,) * 5)
            )
            seq += 1
        told.append([alarm.facts["what"] for alarm in found if alarm.facts["test"] == "change"])
    assert told == [[], [], [], [], [], ["offset:acc_x"]]


def test_an_offset_of_postures_whose_sphere_is_not_gravity_s_is_not_told():
    bundle = with_prints(random_bundle())
    watch, draw = DriftWatch(bundle), np.random.default_rng(0)
    watch._floors = np.full_like(watch._floors, 1e6)  # the other series never move
    postures = [draw.normal(size=3) for _ in range(4 * LEARNED * BLOCK // LOOK_EVERY)]
    found, window, quarter = [], still_window(bundle), len(postures) // 4
    for number, posture in enumerate(postures):
        posture /= np.linalg.norm(posture)
        if number >= 2 * quarter:  # it only stands: its postures lie as well on a sphere of half the radius
            posture = np.array([0.0, 0.5, 0.0]) + 0.5 * posture * np.sign(posture[1])
        for seq in range(number * LOOK_EVERY, (number + 1) * LOOK_EVERY):
            if seq % LOOK_EVERY == 0:
                window[:3] = posture[:, None] + draw.normal(0, 0.002, (3, WINDOW))
                watch.look("rex", seq, window, 1.0)
            found += watch.see(
                Decision(seq, "rex", seq, seq + 2.0, "a", "a", 0.9, 3, (), "onnx", None, (0.9,), (0.9,), (0,) * 5)
            )
    assert not {name for name in named(found) if name.startswith("offset")}


def test_a_source_that_is_slow_from_the_start_is_named():
    bundle = with_prints(random_bundle())
    assert "rate" in named(blocks_of(DriftWatch(bundle), LEARNED, still_window(bundle), rate=0.8))
    assert "rate" not in named(blocks_of(DriftWatch(bundle), LEARNED, still_window(bundle), rate=1.02))


def test_a_wearer_who_rests_is_no_dead_channel():
    bundle = with_prints(random_bundle())
    mean = np.array(bundle.preprocess.mean[:6], dtype=np.float32)[:, None]
    resting = mean + (still_window(bundle) - mean) * np.float32(0.1)
    dead = still_window(bundle)
    dead[4] = resting[4]
    for window, channels in ((resting, set()), (dead, {"spread:gyr_y"})):
        moved = named(blocks_of(DriftWatch(with_prints(random_bundle())), LEARNED, window))
        assert {name for name in moved if name.startswith("spread")} == channels


def test_one_code_in_place_of_many_is_a_loss_of_perplexity():
    (alarm,) = blocks_of(DriftWatch(with_prints(random_bundle())), LEARNED)
    assert "perplexity" in named([alarm])
    assert alarm.facts["codes"]["perplexity"] == pytest.approx(1.0)
    assert alarm.facts["codes"]["usual_perplexity"] == pytest.approx(240.0)


def test_a_head_without_codes_is_watched_by_its_classes():
    bundle = with_prints(random_bundle(), counts=(0, 500, 0, 0, 0, 0, 0), windows=500)
    bundle.__dict__["tail"] = object()  # scores, no code book
    assert blocks_of(DriftWatch(bundle), LEARNED, code=None, raw_label="class-1") == [], "no code is no abstention"
    alarms = blocks_of(DriftWatch(bundle), LEARNED, code=None, raw_label="class-5")
    assert named(alarms) & {"unseen", "codes"}


def test_a_fingerprint_of_few_windows_says_nothing_of_codes_that_it_lacks():
    bundle = with_prints(random_bundle(), counts=(0, 50, 0, 0, 0, 0, 0), windows=50)
    bundle.__dict__["tail"] = object()  # scores, no code book
    alarms = blocks_of(DriftWatch(bundle), LEARNED, code=None, raw_label="class-5")
    assert not named(alarms) & {"unseen", "codes"}


def test_gravity_is_read_in_calm_windows_from_the_center_of_its_sphere():
    config = preprocess_config()
    looks, noise = InputLooks(config), np.random.default_rng(0).normal(0, 0.01, (6, WINDOW))

    def gravity(*vectors, center=(0.0, 0.0, 0.0), shaken=0.0) -> float | None:
        room = looks.room(len(vectors))
        for row, vector in zip(room, vectors, strict=True):
            row[:6] = noise + shaken * np.sign(noise)
            row[:3] += np.array(vector)[:, None] - row[:3].mean(axis=1, keepdims=True)
        look = looks.look(room)
        return looks.gravity(look, looks.within(look), np.array(center))

    assert gravity((0, 0, 1.2), (0, 0.9, 0)) == pytest.approx(1.2, abs=1e-3)
    assert gravity((0, 0, 1.1), (0, 0, -0.9), center=(0, 0, 0.1)) == pytest.approx(1.0, abs=1e-3)
    assert gravity((0, 0, 1.2), shaken=0.6) is None, "a swinging limb adds to gravity"
    assert np.isnan(gravity((0, 0, 0.9), (0, 0, 0.05))), "a still window without gravity"
    assert gravity((0, 0, 0.01), (0, 0, 0.001)) == pytest.approx(0.01, abs=1e-3), "a dead sensor"


def still_blocks(window: np.ndarray, blocks: int = LEARNED, **changes) -> set[str]:
    return named(blocks_of(DriftWatch(with_prints(random_bundle())), blocks, window, **changes))


def test_of_a_wearer_who_rests_only_gravity_and_rate_are_judged():
    window = still_window(random_bundle(), {0: 3.0})
    resting = window.mean(axis=1, keepdims=True) + np.float32(0.1) * (window - window.mean(axis=1, keepdims=True))
    upright = np.zeros((6, 1), np.float32)
    upright[2] = 1.0
    assert {"mean:acc_x", "perplexity"} <= still_blocks(window)
    assert still_blocks(resting) <= {"gravity"}
    assert still_blocks(resting - resting.mean(axis=1, keepdims=True) + upright) == set()
    assert "rate" in still_blocks(resting, rate=0.8)
    assert "gravity" in still_blocks(np.zeros_like(resting), label=None, raw_label=None, code=None, confidence=None)


def test_a_series_that_is_not_judged_keeps_what_it_learned():
    test = PageHinkley(np.full(2, 0.01))
    draw = np.random.default_rng(0)
    for _ in range(LEARNED):
        test.step(draw.normal(size=2))
    usual = test.usual.copy()
    for _ in range(LEARNED):
        assert not test.step(draw.normal(size=2) + np.array([50.0, 0.0]), 1)
    assert test.usual[0] == usual[0]
    assert test.usual[1] != usual[1]
    assert test.seen == LEARNED
    moved = (test.step(np.array([3.0, 0.0])) for _ in range(60))
    assert next(found for found in moved if found)[0].series == 0
