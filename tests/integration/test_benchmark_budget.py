"""The budget benchmark's smoke test, on a network that was never trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsq_edge.data import write_folder
from fsq_edge_benchmarks.suites.budget import corrected_by_others, decided_days, decided_streams
from fsq_edge_runtime.errors import UsageError
from tests.factories.bundles import preprocess_config, random_bundle
from tests.factories.runs import CHANNELS, gait_dataset


def test_budgets_of_stitched_recordings_stand_beside_their_truth(tmp_path: Path) -> None:
    write_folder(gait_dataset(classes=("class-0", "class-1", "class-2")), tmp_path / "data")
    channels = tuple((channel.name, channel.unit) for channel in CHANNELS)
    bundle, data = random_bundle(preprocess=preprocess_config(channels), classes=3), f"folder:{tmp_path / 'data'}"
    pieces, truth = decided_streams(bundle, data, ["1", "2", "3", "4"], 0)
    assert pieces["stream"].nunique() == 4
    seconds = (truth["end"] - truth["start"]).groupby(truth["stream"]).sum()
    assert seconds.to_numpy() == pytest.approx(36)  # three recordings of 600 samples each
    days = decided_days(bundle, data, ["1", "2", "3", "4"], 0, 2)
    table = corrected_by_others((pieces, truth), days)
    assert table["stream"].nunique() == 8
    assert table.groupby("stream")["true"].sum().to_numpy() == pytest.approx(100)
    assert table.groupby("stream")["corrected"].sum().to_numpy() == pytest.approx(100)
    bounded = table.dropna()
    assert (bounded["low"] <= bounded["corrected"]).all()
    assert (bounded["corrected"] <= bounded["high"]).all()
    with pytest.raises(UsageError, match="4 held-out subjects"):
        decided_streams(bundle, data, ["1"], 0)
