import numpy as np
import pytest

from fsq_edge_runtime.errors import DataError
from tests.factories.bundles import motion, random_bundle


def decisions(samples: np.ndarray, chunk: int) -> list[dict[str, object]]:
    with random_bundle().open_session(backend="onnx") as session:
        found = []
        for at in range(0, len(samples), chunk):
            found += session.push(samples[at : at + chunk])
        return [decision.to_dict(latency=False) for decision in found]


def test_chunking_never_changes_a_decision() -> None:
    samples = motion(2300)
    whole = decisions(samples, len(samples))
    assert len(whole) == (2300 - 100) // 50 + 1
    assert len({line["raw_label"] for line in whole}) > 1
    for chunk in (1, 7, 64):
        assert decisions(samples, chunk) == whole


def test_push_and_predict_agree_on_the_same_windows() -> None:
    samples = motion(2300, seed=3)
    starts = range(0, 2201, 50)
    windows = np.stack([samples[start : start + 100].T for start in starts])
    with random_bundle().open_session(backend="onnx") as session:
        found = session.predict(windows)
        classes = session.bundle.classes
    streamed = decisions(samples, 13)
    assert [line["code"] for line in streamed] == found.codes.tolist()
    assert [line["raw_label"] for line in streamed] == [classes[label] for label in found.raw_labels]


def test_a_window_of_nothing_abstains() -> None:
    with random_bundle().open_session(backend="onnx") as session:
        found = session.push(np.full((300, 6), np.nan, np.float32))
        assert [decision.label for decision in found] == [None] * 5
        assert all(decision.quality for decision in found)
        missing = session.predict(np.full((2, 6, 100), np.nan, np.float32))
        assert missing.codes.tolist() == [-1, -1]


def test_wrong_channel_count_is_named() -> None:
    with random_bundle().open_session(backend="onnx") as session, pytest.raises(DataError, match="4 channels"):
        session.push(np.zeros((10, 4), np.float32))
