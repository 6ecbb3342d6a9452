import numpy as np
import pytest

from fsq_edge.data import Channel, Dataset, Recording
from fsq_edge.tuning.chains import Scores
from fsq_edge.tuning.division import divide_recordings, held_out_subjects
from fsq_edge.tuning.events import Truth
from fsq_edge.tuning.inference import Inferred, infer_streams, run_chain
from fsq_edge.tuning.search import choose, pareto_front, search, search_grid, stricter
from fsq_edge.tuning.streams import LabelledStream, make_streams, open_recordings
from fsq_edge.tuning.tune import broken_limits, move_thresholds, score_settings, tune_bundle
from fsq_edge_runtime.bundle.archive import encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.decision import DecisionSettings, hops
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from tests.factories.bundles import IMU, motion, preprocess_config, random_bundle
from tests.factories.labelled import flickering_bundle, labelled_dataset, with_provenance

CHANNELS = tuple(Channel(name, unit) for name, unit in IMU)
RUN = {
    "data": {"name": "made-up"},
    "split": {"kind": "by subject", "train_subjects": ["1", "2"], "val_subjects": ["3"], "test_subjects": ["4"]},
}


def recording(name: str, subject: str, labels: object, **options: object) -> Recording:
    labels = np.asarray(labels, dtype=np.int16)
    samples = np.full((len(labels), 6), float(len(name)), np.float32)
    return Recording(name, samples, labels, subject, "", **options)


def dataset(recordings: list[Recording], classes: int = 7) -> Dataset:
    names = tuple(f"class-{index}" for index in range(classes))
    return Dataset("made-up", CHANNELS, 50.0, names, tuple(recordings))


def many_subjects(per_subject: int = 2) -> Dataset:
    return dataset(
        [recording(f"{s}-{r}", str(s), np.full(400, r % 7)) for s in range(1, 5) for r in range(per_subject)]
    )


def flickering(seed: int = 0, streams: int = 3) -> Inferred:
    """Streams of long events; the network is right four times of five, and wrong for one window at a time."""
    draw = np.random.default_rng(seed)
    steps, classes = 400, 3
    probabilities = np.zeros((steps, streams, classes))
    truths = []
    for column in range(streams):
        labels = np.repeat(draw.permutation(np.tile(np.arange(classes), 7))[:20], 20).astype(np.int16)
        told = np.where(draw.random(steps) < 0.8, labels, (labels + 1) % classes)
        sure = draw.uniform(0.6, 0.95, steps)
        probabilities[:, column] = (1 - sure[:, None]) / 2
        probabilities[np.arange(steps), column, told] = sure
        times = np.arange(steps) * 0.1
        truths.append(Truth(labels, times, times, classes=classes, tolerance_s=1.0, period_s=0.1))
    scores = Scores(probabilities, np.ones((steps, streams), bool), np.zeros((steps, streams), bool))
    return Inferred(scores, tuple(truths), 100.0, steps * streams, 0)


# Which recordings


def test_the_run_tells_who_is_fitted_on_and_who_reports():
    division = divide_recordings(many_subjects(), RUN)
    assert {one.subject for one in division.fit} == {"1", "2", "3"}
    assert {one.subject for one in division.report} == {"4"}
    assert division.held_out is True
    assert "held out" in division.reported_on
    given = divide_recordings(many_subjects(), RUN, subjects=["3"])
    assert {one.subject for one in given.fit} == {"3"}
    assert {one.subject for one in given.report} == {"4"}


def test_held_out_subjects_are_not_fitted_on_in_silence():
    data = dataset([*many_subjects().recordings, recording("5-0", "5", np.full(400, 2))])
    run = {**RUN, "split": {**RUN["split"], "test_subjects": ["4", "5"]}}
    with pytest.raises(UsageError, match="held out") as caught:
        divide_recordings(data, run, subjects=["1", "4"])
    assert "--force" in caught.value.hint
    division = divide_recordings(data, run, subjects=["1", "4"], force="a field trial")
    assert {one.subject for one in division.report} == {"5"}
    assert "4" in division.forced
    assert "a field trial" in division.forced
    with pytest.raises(DataError, match="no subject is left"):
        divide_recordings(data, run, subjects=["4", "5"], force="all of them")
    with pytest.raises(UsageError, match="unknown subject"):
        divide_recordings(data, run, subjects=["9"])


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"data": {"name": "another"}, "split": RUN["split"]},
        {"data": RUN["data"], "split": {**RUN["split"], "kind": "by recording"}},
        {"data": RUN["data"], "split": {"kind": "by subject", "test_subjects": "4"}},
        {"data": "made-up", "split": []},
    ],
)
def test_without_a_run_that_tells_a_seeded_share_of_the_subjects_is_fitted_on(provenance):
    assert held_out_subjects(many_subjects(), provenance) == []
    division = divide_recordings(many_subjects(), provenance, seed=1)
    fit, report = ({one.subject for one in side} for side in (division.fit, division.report))
    assert (len(fit), len(report), fit & report) == (2, 2, set())
    assert division.held_out is None
    assert "seed 1" in division.fitted_on
    again = divide_recordings(many_subjects(), provenance, seed=1)
    assert [one.recording_id for one in again.fit] == [one.recording_id for one in division.fit]


def test_one_subject_is_divided_by_recording_and_one_recording_by_time():
    one = dataset([recording(f"r{index}", "x", np.arange(600) // 100 % 7) for index in range(5)])
    division = divide_recordings(one, {})
    assert (len(division.fit), len(division.report)) == (3, 2)
    division = divide_recordings(dataset([one.recordings[0]]), {}, gap_samples=100)
    assert (len(division.fit[0]), len(division.report[0])) == (360, 140)
    assert division.report[0].source_start == 460
    with pytest.raises(DataError, match="too short"):
        divide_recordings(dataset([one.recordings[0]]), {}, gap_samples=300)


# Streams


def test_recordings_of_one_label_are_stitched_by_subject_in_a_seeded_order():
    data, bundle = many_subjects(7), random_bundle()
    streams, stitched = make_streams(data.recordings, data, bundle, seed=3)
    assert stitched
    assert len(streams) == 4
    assert all("stitched" in stream.name and stream.timestamps is None for stream in streams)
    assert sorted(streams[0].labels[::400].tolist()) == list(range(7))
    again, _ = make_streams(data.recordings, data, bundle, seed=3)
    other, _ = make_streams(data.recordings, data, bundle, seed=4)
    assert again[0].labels.tolist() == streams[0].labels.tolist() != other[0].labels.tolist()
    # A subject's order does not depend on who else is taken.
    alone, _ = make_streams([one for one in data.recordings if one.subject == "3"], data, bundle, seed=3)
    assert alone[0].labels.tolist() == streams[2].labels.tolist()


def test_continuous_recordings_stay_as_they_are_in_the_bundles_classes():
    bundle = random_bundle(classes=3)
    names = ("class-2", "swimming", "class-0")
    labels = np.repeat([0, 1, 2, -1], 200)
    data = Dataset("pool", CHANNELS, 50.0, names, (recording("a", "1", labels, timestamps=np.arange(800) / 50.0),))
    (stream,), stitched = make_streams(data.recordings, data, bundle, seed=0)
    assert not stitched
    assert stream.labels[::200].tolist() == [2, 3, 0, -1]
    assert stream.timestamps is not None


def test_windows_that_were_cut_already_and_backward_time_are_refused():
    bundle = random_bundle()
    windows = dataset([recording(f"w{index}", "1", np.full(100, index % 7)) for index in range(30)])
    with pytest.raises(DataError, match="no recording of"):
        make_streams(windows.recordings, windows, bundle, seed=0)
    times = np.arange(800) / 50.0
    times[500:] -= 3.0
    back = dataset([recording("a", "1", np.arange(800) // 200, timestamps=times)])
    with pytest.raises(DataError, match="run backwards"):
        make_streams(back.recordings, back, bundle, seed=0)


def test_other_channels_or_classes_are_refused(tmp_path):
    bundle = random_bundle()
    with pytest.raises(DataError, match="channels"):
        open_recordings("quadruped", bundle)
    with pytest.raises(UsageError, match="unknown data source"):
        open_recordings("carrier-pigeon", bundle)
    with pytest.raises(MissingInputError):
        open_recordings(f"npz:{tmp_path / 'none.npz'}", bundle)
    np.savez(tmp_path / "a.npz", samples=motion(900), labels=np.arange(900) // 300)
    data = open_recordings(f"npz:{tmp_path / 'a.npz'}", bundle)
    assert data.classes == bundle.classes
    assert len(data.recordings) == 1
    np.savez(tmp_path / "b.npz", samples=motion(900), labels=np.full(900, 7))
    with pytest.raises(DataError, match="label 7"):
        open_recordings(f"npz:{tmp_path / 'b.npz'}", bundle)


# Inference


def test_inference_is_that_of_the_session_with_gaps_and_abstentions():
    bundle = random_bundle(preprocess=preprocess_config(window_samples=40, hop_samples=10))
    samples, times = motion(900), np.arange(900) / 50.0
    samples[300:330] = np.nan
    times[600:] += 5.0
    stream = LabelledStream("a", samples, (np.arange(900) // 150 % 7).astype(np.int16), times)
    inferred = infer_streams(bundle, [stream], 50.0)
    with bundle.open_session(backend="onnx", deadline_ms=0.0) as session:
        decisions = session.push(samples, times)
    assert inferred.windows == len(decisions)
    assert inferred.abstained == sum(decision.label is None for decision in decisions) > 0
    assert np.flatnonzero(inferred.scores.resets[:, 0]).tolist() == [
        at for at in range(1, len(decisions)) if decisions[at].t_start - decisions[at - 1].t_start > 1.0
    ]
    for settings in (DecisionSettings(), DecisionSettings(smoothing="ema", smoothing_ms=800, enter=0.5, dwell_ms=300)):
        with bundle.open_session(backend="onnx", deadline_ms=0.0, decision=settings) as session:
            labels = [decision.label for decision in session.push(samples, times)]
        names = {-2: None, -1: "unknown", **dict(enumerate(bundle.classes))}
        assert [names[int(label)] for label in run_chain(inferred, settings)[0][0]] == labels


# The search


def test_the_grid_begins_with_raw_argmax_and_holds_every_setting_once():
    for hop_ms in (20.0, 100.0, 200.0, 1000.0):
        grid = search_grid(hop_ms, DecisionSettings(temperature=2.0))
        assert grid[0] == DecisionSettings(temperature=2.0)
        assert len({one.to_json() for one in grid}) == len(grid) > 300
        assert all(abs(one.dwell_ms / hop_ms - hops(one.dwell_ms, hop_ms)) < 1e-6 for one in grid)


def test_the_front_is_what_nothing_beats():
    draw = np.random.default_rng(0)
    costs = draw.integers(0, 6, (200, 3)).astype(float)
    front = pareto_front(costs)
    kept = set(map(tuple, costs[front]))
    for row in costs:
        beaten = ((costs <= row).all(axis=1) & (costs < row).any(axis=1)).any()
        assert (tuple(row) in kept) == (not beaten)
    assert len(kept) == len(front)


def test_the_search_halves_false_events_on_streams_it_has_not_seen():
    fit, held = flickering(0), flickering(1)
    grid = search_grid(fit.hop_ms, DecisionSettings())
    result = search(fit, grid)
    best = choose(fit, result, max_delay_s=0.6, keep=0.25)
    assert best is not None
    assert result.false_per_hour[best] <= 0.25 * result.false_per_hour[0]
    classes = ("a", "b", "c")
    raw, tuned = score_settings(held, grid[0], classes), score_settings(held, grid[best], classes, grid[0])
    assert tuned.false_per_hour < 0.5 * raw.false_per_hour
    assert tuned.missed <= raw.missed
    assert tuned.added_delay_median_s <= 0.6
    assert broken_limits(raw, tuned, 0.6) == ()
    assert len(broken_limits(tuned, raw.model_copy(update={"missed": 9, "added_delay_median_s": 0.7}), 0.6)) == 3
    # The search's figures are those of the runtime's chain.
    alone = score_settings(fit, grid[best], classes, grid[0])
    assert alone.false_per_hour == pytest.approx(result.false_per_hour[best])
    assert alone.missed == result.missed[best]
    assert alone.added_delay_median_s == pytest.approx(result.added_delay_s[best])


def test_the_fewest_false_events_and_the_margin():
    fit = flickering(0)
    grid = search_grid(fit.hop_ms, DecisionSettings())
    result = search(fit, grid)
    quick, few = (choose(fit, result, max_delay_s=0.8, keep=keep) for keep in (0.25, 0.0))
    assert result.false_per_hour[few] <= result.false_per_hour[quick]
    assert result.added_delay_s[few] >= result.added_delay_s[quick]
    for position in (quick, few):
        twin = search(fit, [grid[0], stricter(grid[position], fit.hop_ms)])
        assert twin.missed[1] <= result.missed[0]
        assert twin.added_delay_s[1] <= 0.8 + 1e-9


def test_nothing_is_chosen_where_raw_argmax_is_right():
    clean = flickering(0)
    for column, truth in enumerate(clean.truths):
        clean.scores.probabilities[:, column] = np.eye(3)[truth.at] * 0.97 + 0.01
    result = search(clean, search_grid(100.0, DecisionSettings()))
    assert choose(clean, result, max_delay_s=0.6, keep=0.25) is None


def test_too_few_events_are_refused():
    few = flickering(streams=1)
    few.truths[0].events[5:] = []
    with pytest.raises(DataError, match="events"):
        search(few, [DecisionSettings()])


def test_thresholds_move_with_the_scores():
    reference = flickering(0)
    softer = Inferred(
        Scores(0.7 * reference.scores.probabilities + 0.1, reference.scores.answered, reference.scores.resets),
        reference.truths, 100.0, 0, 0,
    )  # fmt: skip
    settings = DecisionSettings(enter=0.8, leave=0.4, dwell_ms=200)
    moved = move_thresholds(settings, reference, softer, None)
    assert moved.enter == pytest.approx(0.66, abs=0.01)
    assert moved.leave <= moved.enter
    assert moved.dwell_ms == 200
    same = move_thresholds(settings, reference, reference, 1.5)
    assert (same.enter, same.leave, same.temperature) == (0.8, 0.4, 1.5)


# The bundle


@pytest.fixture(scope="module")
def tunable() -> tuple[Bundle, Dataset]:
    bundle = flickering_bundle()
    return bundle, labelled_dataset(bundle)


def test_the_bundle_gets_settings_hop_and_score_and_the_same_bytes_every_time(tunable):
    bundle, data = tunable
    told = with_provenance(bundle, data, test_subjects=["4"])
    tuned = tune_bundle(told, data)
    assert tuned.bundle is not None
    assert tuned.report is not None
    new = Bundle.from_files(tuned.bundle.files)
    assert new.decision == tuned.decision != told.decision
    assert (new.preprocess.hop_samples, told.preprocess.hop_samples) == (10, 50)
    assert new.manifest.preprocess_sha256 == told.manifest.preprocess_sha256
    assert new.events == tuned.report
    assert new.events.held_out is True
    assert new.events.raw.events == new.events.tuned.events > 0
    with new.open_session(backend="onnx") as session:
        assert len(session.push(np.asarray(data.recordings[0].samples[:200]))) == 11
    again = tune_bundle(told, data)
    assert encode_archive(again.bundle.files) == encode_archive(tuned.bundle.files)
    assert new.decision.temperature == told.decision.temperature
    assert new.events.tuned.false_events < 0.5 * new.events.raw.false_events
    # Tuned again at another hop: settings are milliseconds, and the file says which hop they were fitted at.
    slower = tune_bundle(new, data, hop_samples=20)
    assert slower.bundle.preprocess.hop_samples == 20
    assert slower.report.hop_ms == 400.0


def test_a_hop_longer_than_a_window_is_refused(tunable):
    bundle, data = tunable
    with pytest.raises(DataError, match="gaps between windows"):
        tune_bundle(bundle, data, hop_samples=101)
