"""Lines arrive in a real InfluxDB, over HTTP and by UDP, and survive its restart."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from line_protocol_parser import parse_line

from fsq_edge.cli.main import run
from fsq_edge_runtime.errors import UnavailableError, UsageError
from fsq_edge_runtime.sinks import open_sink
from fsq_edge_runtime.stream.records import StreamEvent
from tests.factories.live import eventually, free_port
from tests.factories.receivers import Influx, Receiver, VictoriaMetrics
from tests.factories.records import decision

START = 1_700_000_000.0
PASSWORD = "hunter2"  # noqa: S105 - of a server that lives as long as the test


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[Influx]:
    made = Influx(tmp_path / "influx", password=PASSWORD)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def count(influx: Influx) -> int:
    rows = influx.query("SELECT COUNT(seq) FROM fsq_edge")
    return int(str(rows[0]["count"])) if rows else 0


def test_windows_arrive_over_http_and_a_restart_loses_none(influx: Influx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSQ_EDGE_INFLUX_PASSWORD", PASSWORD)
    sink = open_sink(f"influx:http://me@127.0.0.1:{influx.port}/?db=dogs")
    for number in range(50):
        sink.write(decision(number, t_end=START + number, stream="rex, the 2nd = best"))
    eventually(lambda: count(influx) == 50, "the first windows")
    influx.kill()
    for number in range(50, 80):
        sink.write(decision(number, None if number == 60 else "walk", t_end=START + number, quality=("imputed",)))
    eventually(lambda: sink.counters["retries"] > 0, "the sink sees that the server has gone")
    influx.start()
    eventually(lambda: count(influx) == 80, "all windows")
    sink.write(StreamEvent("end", "", {"windows": 80}))
    eventually(lambda: influx.query("SELECT windows FROM fsq_edge_event WHERE type = 'end'"), "the end")
    sink.close()
    assert sink.counters["errors"] == 0
    rows = influx.query("SELECT * FROM fsq_edge WHERE seq = 7")
    assert rows[0]["time"] == int((START + 7) * 1e9)
    assert (rows[0]["stream"], rows[0]["label"], rows[0]["confidence"]) == ("rex, the 2nd = best", "walk", 0.93)
    assert influx.query("SELECT * FROM fsq_edge WHERE seq = 60")[0]["label"] is None


def test_a_wrong_password_is_tried_again_and_stands_in_no_message(
    influx: Influx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSQ_EDGE_INFLUX_PASSWORD", "wrong-secret")
    sink = open_sink(f"influx:http://me@127.0.0.1:{influx.port}/?db=dogs")
    sink.write(decision(0, t_end=START))
    eventually(lambda: sink.counters["retries"], "the refusal")
    sink.close()
    assert "answers 401" in str(sink.error)
    assert "wrong-secret" not in str(sink.error)
    assert count(influx) == 0


def test_windows_arrive_by_udp(tmp_path: Path) -> None:
    influx = Influx(tmp_path / "influx")
    try:
        influx.start()
        sink = open_sink(f"influx:udp://127.0.0.1:{influx.udp_port}")
        for number in range(30):
            sink.write(decision(number, t_end=START + number))
        eventually(lambda: count(influx) == 30, "all windows")
        sink.close()
    finally:
        influx.kill()


def test_a_datagram_fits_a_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        sink = open_sink(f"influx:udp://127.0.0.1:{receiver.getsockname()[1]}")
        for number in range(40):
            sink.write(decision(number, t_end=START + number))
        seen: list[int] = []
        while len(seen) < 40:
            data = receiver.recv(65_536)
            assert len(data) <= 1400
            seen += [parse_line(line)["fields"]["seq"] for line in data.decode().splitlines()]
        sink.close()
    assert seen == list(range(40))


def test_version_2_gets_its_path_and_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSQ_EDGE_INFLUX_TOKEN", "t0ken")
    receiver = Receiver()
    sink = open_sink(f"influx:http://127.0.0.1:{receiver.port}/?org=my%20club&bucket=dogs")
    sink.write(decision(0, t_end=START))
    eventually(lambda: sink.counters["records"], "the window")
    sink.close()
    receiver.close()
    path, headers, body = receiver.requests[0]
    assert path == "/api/v2/write?org=my+club&bucket=dogs&precision=ns"
    assert headers["Authorization"] == "Token t0ken"
    assert parse_line(body.decode())["time"] == int(START * 1e9)


def test_windows_arrive_by_the_route_of_version_2_and_a_restart_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSQ_EDGE_INFLUX_TOKEN", "t0ken")
    server = VictoriaMetrics(tmp_path / "victoria")
    stream = "rex, the 2nd = best"

    def seen() -> dict[int, float]:
        found = {}
        for series in server.exported("fsq_edge_seq"):
            assert series["metric"]["stream"] == stream
            found |= dict(zip(series["values"], series["timestamps"], strict=True))
        return found

    try:
        server.start()
        sink = open_sink(f"influx:http://127.0.0.1:{server.port}/?org=club&bucket=dogs")
        for number in range(50):
            sink.write(decision(number, t_end=START + number, stream=stream))
        eventually(lambda: sink.counters["records"] == 50, "the first windows")
        eventually(lambda: len(seen()) == 50, "the first windows are stored")  # a kill loses what is not on disk yet
        server.kill()
        for number in range(50, 80):
            sink.write(decision(number, t_end=START + number, stream=stream))
        eventually(lambda: sink.counters["retries"] > 0, "the sink sees that the server has gone")
        server.start()
        eventually(lambda: set(range(50, 80)) <= set(seen()), "what came meanwhile")
        assert seen()[60] == (START + 60) * 1000
        sink.close()
        assert sink.counters["errors"] == 0
    finally:
        server.kill()


def test_a_line_that_influx_refuses_does_not_hold_up_the_others() -> None:
    receiver = Receiver([(400, {}), (204, {})])
    sink = open_sink(f"influx:http://127.0.0.1:{receiver.port}/?db=dogs")
    sink.write(decision(0, t_end=START))
    eventually(lambda: sink.counters["refused"], "the refusal")
    sink.write(decision(1, t_end=START))
    eventually(lambda: sink.counters["records"], "the next window")
    sink.close()
    receiver.close()


def test_lines_go_to_a_file_too(tmp_path: Path) -> None:
    for number, text in enumerate((f"influx:{tmp_path / 'a.lp'}?clock=source", f"influx:{tmp_path / 'a.lp'}?append")):
        sink = open_sink(text, queued=False)
        sink.write(decision(number, t_end=12.0))
        sink.close()
    lines = (tmp_path / "a.lp").read_text().splitlines()
    assert [parse_line(line)["fields"]["seq"] for line in lines] == [0, 1]
    assert parse_line(lines[0])["time"] == 12_000_000_000


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("http://h:1/", UsageError),
        ("http://h:1/?db=a&bucket=b", UsageError),
        ("http://me:hunter2@h:1/?db=a", UsageError),
        ("http://h:1/?db=a&token=hunter2", UsageError),
        ("udp://h", UsageError),
        ("udp://no-such-host.invalid:1", UnavailableError),
        ("ftp://h/x", UsageError),
        ("a.lp?clock=mine", UsageError),
        ("/no/such/folder/a.lp", UnavailableError),
    ],
)
def test_a_bad_place_is_one_line_without_a_secret(place: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        open_sink(f"influx:{place}")
    assert PASSWORD not in str(caught.value)


def test_a_replay_into_a_dead_server_ends_with_69(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    import numpy as np

    from tests.factories.bundles import motion, random_bundle

    monkeypatch.setattr("fsq_edge_runtime.sinks.delivery.PATIENCE_S", 0.5)
    random_bundle().save(tmp_path / "dog.fsqb")
    np.savez(tmp_path / "walk.npz", samples=motion(300))
    sink = f"influx:http://127.0.0.1:{free_port()}/?db=dogs"
    code = run(["run", str(tmp_path / "dog.fsqb"), "--source", f"npz:{tmp_path / 'walk.npz'}", "--sink", sink])
    assert code == 69
    assert "influx" in capsys.readouterr().err
