"""The record of looks at a test split."""

import pytest

from fsq_edge.evaluation.openings import OPENINGS_FILE, Openings, record_opening
from fsq_edge_runtime.errors import DataError, UnavailableError


def test_the_first_look_is_clean_and_later_ones_are_marked(tmp_path):
    first = record_opening(tmp_path, "a" * 64)
    assert first.notice is None
    second = record_opening(tmp_path, "b" * 64)
    assert [opening.model_sha256[0] for opening in second.openings] == ["a", "b"]
    assert second.notice is not None
    assert "opened 2 times" in second.notice
    assert f"first at {first.openings[0].time[:16].replace('T', ' ')} UTC" in second.notice
    assert Openings.load(tmp_path / OPENINGS_FILE) == second
    assert [path.name for path in tmp_path.iterdir()] == [OPENINGS_FILE]


def test_a_damaged_record_is_refused_and_left_alone(tmp_path):
    (tmp_path / OPENINGS_FILE).write_text('{"schema_version": 1, "openings": [')
    with pytest.raises(DataError, match=r"openings\.json"):
        record_opening(tmp_path, "a" * 64)
    assert (tmp_path / OPENINGS_FILE).read_text() == '{"schema_version": 1, "openings": ['


def test_an_opening_that_cannot_be_recorded_does_not_happen(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot record") as caught:
        record_opening(tmp_path / "file", "a" * 64)
    assert "writable" in caught.value.hint
