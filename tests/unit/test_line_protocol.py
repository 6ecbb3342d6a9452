"""Line protocol: what another parser reads is what the record says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from fsq_edge_runtime.backends.base import BackendSwitch
from fsq_edge_runtime.sinks.line_protocol import LineProtocol
from fsq_edge_runtime.stream.records import Gap, StreamEvent
from tests.factories.records import decision

NOW = 1_700_000_000_000_000_007


def parsed(record, clock="auto"):
    return parse_line(LineProtocol(clock).line(record, NOW))


def test_a_decision_reads_back() -> None:
    found = parsed(decision(8, t_end=1.7e9, quality=("stuck:acc_x", "imputed")))
    assert found["measurement"] == "fsq_edge"
    assert found["tags"] == {"stream": "rex"}
    assert found["time"] == 1_700_000_000_000_000_000
    fields = found["fields"]
    assert fields["label"] == fields["raw_label"] == "walk"
    assert (fields["confidence"], fields["code"], fields["seq"]) == (0.93, 117, 8)
    assert fields["quality"] == "stuck:acc_x imputed"
    assert fields["latency_us"] == 10.0


def test_an_abstention_and_a_missed_window_have_no_label() -> None:
    assert "label" not in parsed(decision(1, None, quality=("imputed",)))["fields"]
    assert parsed(decision(1, None, missed="deadline"))["fields"]["missed"] == "deadline"


@pytest.mark.parametrize(
    ("clock", "t_end", "time"),
    [
        ("auto", 12.5, NOW),  # counts from a start of its own
        ("auto", 1.7e9 + 0.5, 1_700_000_000_500_000_000),
        ("source", 12.5, 12_500_000_000),
        ("arrival", 1.7e9, NOW),
        ("source", 1e300, NOW),
    ],
)
def test_the_time_is_the_sources_where_it_counts_from_1970(clock: str, t_end: float, time: int) -> None:
    assert parsed(decision(0, t_end=t_end), clock)["time"] == time


def test_events_have_a_measurement_of_their_own_and_only_floats() -> None:
    gap = parsed(Gap("rex", "gap", None, 1.7e9))
    assert (gap["measurement"], gap["tags"]) == ("fsq_edge_event", {"stream": "rex", "type": "gap"})
    assert gap["time"] == 1_700_000_000_000_000_000
    assert gap["fields"] == {"cause": "gap", "t_end": 1.7e9}
    end = parsed(StreamEvent("end", "", {"windows": 3, "sinks": [{"name": "influx"}], "well": True}))
    assert end["fields"] == {"windows": 3.0, "well": True}
    assert isinstance(end["fields"]["windows"], float)
    assert end["tags"] == {"type": "end"}
    assert parsed(BackendSwitch(None, "onnx", "no device"))["fields"]["cause"] == "no device"
    assert LineProtocol().line(StreamEvent("empty", "rex", {}), NOW) is None


names = st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable() and "\\" not in text)


@settings(deadline=None)
@given(names, names, st.text(max_size=60))
def test_any_name_and_label_come_through(stream: str, label: str, flag: str) -> None:
    found = parsed(decision(3, label, stream=stream, quality=(flag,)))
    assert found["tags"]["stream"] == stream
    assert found["fields"]["label"] == label


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.floats())
def test_no_record_breaks_out_of_its_line(stream: str, label: str, confidence: float) -> None:
    line = LineProtocol().line(decision(3, label, stream=stream, confidence=confidence), NOW)
    assert line is not None
    assert len(line.splitlines()) == 1
    found = parse_line(line)
    assert found["measurement"] == "fsq_edge"
    assert set(found["tags"]) <= {"stream"}
    assert ("confidence" in found["fields"]) == math.isfinite(confidence)
