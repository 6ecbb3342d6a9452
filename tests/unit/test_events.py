import numpy as np
import pytest

from fsq_edge.tuning.events import NO_ANSWER, NO_EVENT, Event, Truth, label_events, tally_events
from fsq_edge.tuning.scores import event_score
from fsq_edge_runtime.counted_scores import poisson, wilson

PERIOD_S = 0.1  # one sample, and one decision, every 100 ms
A, B, C, OTHER, NONE = 0, 1, 2, 3, -1


def truth_of(text: str, tolerance_s: float = 0.3) -> Truth:
    """One letter a sample: a, b, c are the classes, o is none of them, . has no label."""
    labels = np.array(["abco".find(letter) for letter in text], dtype=np.int16)
    times = np.arange(len(labels)) * PERIOD_S
    return Truth(labels, times, times, classes=3, tolerance_s=tolerance_s, period_s=PERIOD_S)


def decided(text: str) -> np.ndarray:
    """One letter a decision: a, b, c, ? for unknown, _ for no answer."""
    codes = {"a": A, "b": B, "c": C, "?": NO_EVENT, "_": NO_ANSWER}
    return np.array([[codes[letter] for letter in text]], dtype=np.int16)


def count(truth: str, stream: str, **options: float) -> tuple[int, list[int], int]:
    """Return (missed, false events by class, repeats)."""
    tally = tally_events(decided(stream), truth_of(truth, **options))
    return int((~tally.found).sum()), tally.false[0].tolist(), int(tally.repeats[0])


def test_events_are_stretches_of_one_label():
    labels = np.array([0, 0, 1, -1, -1, 1, 3, 0])
    times = np.arange(8) * 0.5
    assert label_events(labels, times, classes=3, period_s=0.5) == [
        Event(0, 0.0, 1.0), Event(1, 1.0, 1.5), Event(1, 2.5, 3.0), Event(0, 3.5, 4.0),
    ]  # fmt: skip
    assert label_events(np.array([], dtype=np.int64), np.array([]), classes=3, period_s=0.5) == []


@pytest.mark.parametrize(
    ("truth", "stream", "missed", "false", "repeats"),
    [
        ("aaaaaaaabbbbbbbb", "aaaaaaaabbbbbbbb", 0, [0, 0, 0], 0),  # as it should be
        ("aaaaaaaabbbbbbbb", "aaaaaaaaaaabbbbb", 0, [0, 0, 0], 0),  # told later
        ("aaaaaaaabbbbbbbb", "aaaaaaaaaaaaaaaa", 1, [0, 0, 0], 0),  # b never told
        ("aaaaaaaabbbbbbbb", "aaaacaaabbbbbbbb", 0, [0, 0, 1], 1),  # c from nowhere, and a begins again
        ("aaaaaaaabbbbbbbb", "aaaaaa?abbbbbbbb", 0, [0, 0, 0], 1),  # unknown between: a begins again
        ("aaaaaaaabbbbbbbb", "aaaaaa_abbbbbbbb", 0, [0, 0, 0], 0),  # no answer: a goes on
        ("aaaaaaaabbbbbbbb", "aaaaaaaab_____bb", 0, [0, 0, 0], 0),
        ("aaaaaaaabbbbbbbb", "_aaaaaaabbbbbbbb", 0, [0, 0, 0], 0),
        ("aaaaaaaabbbbbbbb", "aaaaaaaababbbbbb", 0, [0, 0, 0], 2),  # a within the tolerance is not false
        ("aaaaaaaabbbbbbbb", "aaaaaaaabbbbabbb", 0, [1, 0, 0], 1),  # a beyond it is
        ("aaaaaaaabbbbbbbb", "aaabaaaabbbbbbbb", 0, [0, 1, 0], 1),  # b before its onset is false
        ("aaaaaaaabbbbbbbb", "????????????????", 2, [0, 0, 0], 0),
        ("aaaaaaaa....bbbbbbbb", "aaaaaaaaaaccbbbbbbbb", 0, [0, 0, 0], 0),  # c where nobody labelled: not judged
        ("aaaaaaaaooooooaaaaaa", "aaaaaaaaaaabbbaaaaaa", 0, [0, 1, 0], 0),  # b during something else: false
        ("aaaaaaaabbbbbaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaa", 1, [0, 0, 0], 0),  # one event of the stream finds two
        ("aaaaaaaaaaaaaabb", "aaaaaaaaaaaaaaaa", 0, [0, 0, 0], 0),  # b is cut off by the end: not scored
        ("aaaaaaaaaaaaaabb", "aaaaaaaaaaaaaaab", 0, [0, 0, 0], 0),  # but explains what was told
    ],
)
def test_the_matching_rule(truth, stream, missed, false, repeats):
    assert count(truth, stream) == (missed, false, repeats)


def test_a_short_event_may_be_found_until_a_window_after_it():
    assert count("aaaaaabaaaaaaaaa", "aaaaaaaabbaaaaaa")[0] == 0
    assert count("aaaaaabaaaaaaaaa", "aaaaaaaaaabbaaaa")[0] == 1


def test_delay_counts_from_the_onset():
    tally = tally_events(decided("aaaaaaaaaabbbbbb"), truth_of("aaaaaaabbbbbbbbb"))
    assert tally.delay_s[0].tolist() == pytest.approx([0.0, 0.3])
    assert np.isnan(tally_events(decided("aaaaaaaaaaaaaaaa"), truth_of("aaaaaaabbbbbbbbb")).delay_s[0, 1])


def test_many_streams_are_counted_as_one_at_a_time():
    draw = np.random.default_rng(0)
    truth = truth_of("aaaaaaabbbbbb..ccccccoooooobbbbbbbaaaaaaa")
    labels = draw.integers(-2, 3, (50, 41)).astype(np.int16)
    together = tally_events(labels, truth)
    for row in range(50):
        alone = tally_events(labels[row : row + 1], truth)
        assert together.found[row].tolist() == alone.found[0].tolist()
        np.testing.assert_array_equal(together.delay_s[row], alone.delay_s[0])
        assert together.false[row].tolist() == alone.false[0].tolist()
        assert together.repeats[row] == alone.repeats[0]


def test_the_score_adds_streams_up():
    truths = [truth_of("aaaaaaaabbbbbbbb"), truth_of("ccccccccbbbbbbbb")]
    raw = [
        tally_events(decided(text), truth)
        for text, truth in zip(("aacaaaaabbbbbbbb", "ccccccccccbbbbbb"), truths, strict=True)
    ]
    slow = [
        tally_events(decided(text), truth)
        for text, truth in zip(("aaaaaaaaaabbbbbb", "cccccccccccccccc"), truths, strict=True)
    ]
    score = event_score(truths, raw, ("a", "b", "c"))
    assert (score.events, score.missed, score.false_events, score.repeats) == (4, 0, 1, 1)
    assert score.hours == pytest.approx(3.2 / 3600, abs=1e-6)
    assert score.false_per_hour == pytest.approx(3600 / 3.2)
    assert score.delay_median_s == pytest.approx(0.0)
    assert score.delay_p90_s is None  # four events place no 90th percentile
    assert score.added_delay_median_s is None
    tuned = event_score(truths, slow, ("a", "b", "c"), raw=raw)
    assert (tuned.missed, tuned.false_events) == (1, 0)
    assert tuned.added_delay_median_s == pytest.approx(0.0)  # of 0, 0.2 and 0
    assert tuned.classes["b"].missed == 1
    assert tuned.classes["b"].delay_median_s == pytest.approx(0.2)
    assert tuned.classes["a"].events == 1


def test_p90_needs_64_events():
    text = "aaaaaabbbbbb" * 40
    truth = truth_of(text)
    score = event_score([truth], [tally_events(decided(text), truth)], ("a", "b", "c"))
    assert score.events == 80
    assert score.delay_p90_s == pytest.approx(0.0)


def test_intervals_are_the_published_ones():
    ends = [(found.low, found.high) for found in (poisson(0), poisson(10), wilson(0, 25), wilson(5, 20), wilson(0, 0))]
    assert ends[0] == pytest.approx((0.0, 3.689), abs=0.05)  # exact: 3.689
    assert ends[1] == pytest.approx((4.795, 18.39), abs=0.05)  # exact
    assert ends[2] == pytest.approx((0.0, 0.1332), abs=1e-3)
    assert ends[3] == pytest.approx((0.1119, 0.4687), abs=1e-3)
    assert ends[4] == (0.0, 1.0)
