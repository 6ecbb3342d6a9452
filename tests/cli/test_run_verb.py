"""``fsq-edge run`` as a user and as systemd meet it: pipes, signals, broken input, the page in a browser."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_runtime.decision import DecisionSettings
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import Broker, eventually, free_port

ROOT = Path(__file__).parents[2]
CHAIN = DecisionSettings(smoothing="ema", smoothing_ms=1500, enter=0.3)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle and a recording."""
    folder = tmp_path_factory.mktemp("run")
    random_bundle(decision=CHAIN).save(folder / "dog.fsqb")
    np.savez(folder / "walk.npz", samples=motion(2000), timestamps=1.6e9 + np.arange(2000) / 50)
    return folder


def command(place: Path, *arguments: str) -> list[str]:
    starter = "import sys; from fsq_edge.cli.main import main; main()"
    return [sys.executable, "-c", starter, "run", str(place / "dog.fsqb"), *arguments]


def environment() -> dict[str, str]:
    roots = [str(ROOT / part) for part in (".", "compile", "calibration", "runtime", "benchmarks")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(roots), "OMP_NUM_THREADS": "1"}


@contextmanager
def started(place: Path, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen(command(place, *arguments), env=environment(), **pipes) as process:
        try:
            yield process
        except BaseException:
            process.kill()  # or the block would wait for a stream that nobody ends
            raise


def lines_of(text: bytes | str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_replay_without_latencies_is_the_same_bytes_every_time(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for chunk in ("1024", "1024", "7"):
        arguments = ["run", str(place / "dog.fsqb"), "--source", f"npz:{place / 'walk.npz'}", "--no-latency"]
        assert run([*arguments, "--chunk", chunk, "--scores"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    lines = lines_of(outputs[0])
    assert lines[0]["type"] == "backend"
    assert lines[-1]["type"] == "end"
    decisions = [line for line in lines if line["type"] == "decision"]
    assert len(decisions) == (2000 - 100) // 50 + 1
    assert "latency_us" not in decisions[0]
    wanted = {
        "type",
        "seq",
        "stream",
        "t_start",
        "t_end",
        "label",
        "raw_label",
        "confidence",
        "code",
        "quality",
        "backend",
    }
    assert wanted <= set(decisions[0])


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the fixed bundle, which counts 256 windows of training, and a recording unlike these."""
    folder = tmp_path_factory.mktemp("drift")
    fixed_bundle().save(folder / "fixed.fsqb")
    random_bundle().save(folder / "few.fsqb")
    np.savez(folder / "walk.npz", samples=motion(2200 * 50) * np.float32([1, 1, 1, 1, 8, 1]))
    return folder


@pytest.mark.parametrize(
    ("bundle", "options", "watched"),
    [("fixed", [], True), ("fixed", ["--no-drift"], False), ("few", [], False), ("few", ["--drift"], True)],
)
def test_drift_is_watched_where_the_bundle_knows_its_training_and_can_be_turned_off(
    changing: Path, capsys: pytest.CaptureFixture[str], bundle: str, options: list[str], watched: bool
) -> None:
    source = f"npz:{changing / 'walk.npz'}"
    assert run(["run", str(changing / f"{bundle}.fsqb"), "--source", source, "--quiet", *options]) == 0
    types = [line["type"] for line in lines_of(capsys.readouterr().out)]
    assert ("drift" in types) == watched
    assert types.count("decision") > 2100


def test_nothing_but_nan_abstains_window_by_window_and_exits_0(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(place / "nan.npz", samples=np.full((1000, 6), np.nan, np.float32))
    assert run(["run", str(place / "dog.fsqb"), "--source", f"npz:{place / 'nan.npz'}"]) == 0
    lines = lines_of(capsys.readouterr().out)
    decisions = [line for line in lines if line["type"] == "decision"]
    assert len(decisions) == 19
    assert all(line["label"] is None and line["quality"] for line in decisions)
    assert lines[-1]["abstained"] == 19


@pytest.mark.parametrize(
    ("times", "word"),
    [
        (np.arange(400) * 0.3, "fell into 400 stretches"),
        (np.zeros(400), "399 repeat a timestamp"),
        (None, "a window needs 2 s"),
    ],
)
def test_no_run_ends_well_without_a_window_or_a_word(
    place: Path, capsys: pytest.CaptureFixture[str], times: np.ndarray | None, word: str
) -> None:
    timed = {} if times is None else {"timestamps": times}
    samples = motion(400) if timed else motion(60)
    if times is not None and not times.any():
        samples[:] = samples[0]  # one sample again and again: duplicates, and no packet
    np.savez(place / "none.npz", samples=samples, **timed)
    assert run(["run", str(place / "dog.fsqb"), "--source", f"npz:{place / 'none.npz'}", "--quiet"]) == 0
    assert word in capsys.readouterr().err


def test_a_recording_in_another_form_is_said_on_standard_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = "Timestamp;acc_x;acc_y;acc_z;gyr_x;gyr_y;gyr_z\n"
    body = "".join(f"{20 * n};" + ";".join(f"{v:.5f}" for v in row) + "\n" for n, row in enumerate(motion(300)))
    (place / "ms.csv").write_text(head + body.replace(".", ","))
    source = f"csv:{place / 'ms.csv'}"
    assert run(["run", str(place / "dog.fsqb"), "--source", source]) == 0
    shown = capsys.readouterr()
    assert "separated by ';'" in shown.err
    assert "milliseconds" in shown.err
    assert sum(line["type"] == "decision" for line in lines_of(shown.out)) == 5
    assert run(["run", str(place / "dog.fsqb"), "--source", source, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_recording_at_another_rate_hears_which_was_expected(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(place / "fast.npz", samples=motion(400), timestamps=np.arange(400) / 200.0)
    assert run(["run", str(place / "dog.fsqb"), "--source", f"npz:{place / 'fast.npz'}"]) == 0
    assert "another rate than expected (--source-rate says which)" in (said := capsys.readouterr().err)
    assert ", at 50 Hz" in said


def test_devices_and_pipes_are_no_recordings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(place / "fifo")
    for text in ("npz:/dev/zero", "csv:/dev/zero", f"csv:{place / 'fifo'}", f"npz:{place / 'fifo'}", f"csv:{place}"):
        assert run(["run", str(place / "dog.fsqb"), "--source", text]) == 66
        assert "not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "code", "message"),
    [
        ("empty.csv", "", 65, "is empty"),
        ("two.csv", "acc_x,acc_y\n1,2\n", 65, "no column 'acc_z'"),
        ("nowhere.csv", None, 66, "cannot read"),
        ("day.xlsx", "PK\x03\x04 xl/workbook.xml", 65, "it is a zip file, as .xlsx is"),
        ("recording.csv", "PK\x03\x04 samples.npy", 65, "it is an npz file"),
        ("day.cwa", "MD\x00\x04" + 40 * "\xff\x00\x03", 65, "its bytes are no letters"),
    ],
)
def test_a_recording_that_is_none_is_one_line_and_a_hint(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, text: str | None, code: int, message: str
) -> None:
    if text is not None:
        (place / name).write_text(text)
    assert run(["run", str(place / "dog.fsqb"), "--source", f"csv:{place / name}"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert len(shown.err.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--source", "udp:127.0.0.1:0?by=magic"],
        ["--source", "wav:x.wav"],
        ["--source", "udp:127.0.0.1:0", "--stats", "-1"],
        ["--source", "udp:127.0.0.1:0", "--sink", "jsonl:x", "--sink", "csv:./x"],
        ["--source", "udp:127.0.0.1:0", "--sink", "jsonl:x?zip"],
        ["--source", "udp:127.0.0.1:0", "--sink", "http:nowhere"],
        ["--source", "udp:127.0.0.1:0", "--json", "-"],
        ["--source", "mqtt://h/t?color=red"],
        ["--source", "udp:127.0.0.1:0", "--metrics", "nine"],
    ],
)
def test_unknown_words_are_usage_errors_with_a_hint(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(["run", str(place / "dog.fsqb"), *arguments]) == 64
    shown = capsys.readouterr().err.strip().splitlines()
    assert 1 <= len(shown) <= 2
    assert "hint" in "\n".join(shown).lower()


@pytest.mark.parametrize(
    ("fed", "code"),
    [(b"", 65), (b"hello\n", 65), (b'{"y": [1]}\n', 65), (b'{"x": [0,0,1,0,0,0]}\n', 0)],
)
def test_standard_input(place: Path, fed: bytes, code: int) -> None:
    done = subprocess.run(command(place, "--source", "stdin:"), env=environment(), input=fed, capture_output=True,
                          timeout=60, check=False)  # fmt: skip
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


def test_without_any_standard_input_it_says_so(place: Path) -> None:
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command(place, "--source", "stdin:")], env=environment(),
                          capture_output=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 69
    assert b"no standard input" in done.stderr


def feed(process: subprocess.Popen[bytes], rows: np.ndarray) -> None:
    assert process.stdin is not None
    for row in rows:
        process.stdin.write((json.dumps({"x": row.tolist()}) + "\n").encode())
    process.stdin.flush()


def test_sigterm_drains_and_ends_within_two_seconds_with_0(place: Path) -> None:
    with started(place, "--source", "stdin:", "--pace", "realtime", "--sink", f"jsonl:{place / 'term.jsonl'}",
                 stdin=subprocess.PIPE) as process:  # fmt: skip
        out = place / "term.jsonl"
        feed(process, motion(500))
        eventually(lambda: out.exists() and b'"seq": 8' in out.read_bytes(), "the windows")
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        took = time.monotonic() - sent
        assert process.stderr is not None
        assert process.stderr.read().startswith(b"note: 500 samples, 9 windows")
    lines = lines_of(out.read_bytes())
    assert [line["seq"] for line in lines if line["type"] in ("decision", "missed")] == list(range(9))
    assert lines[-1]["type"] == "end"
    assert lines[-1]["received"] == 500
    assert took < 2.0


def test_ctrl_c_ends_with_130_and_the_end_record(place: Path) -> None:
    with started(place, "--source", f"udp:127.0.0.1:{free_port()}", "--metrics", f"127.0.0.1:{(port := free_port())}"
                 ) as process:  # fmt: skip
        eventually(lambda: _answers(port), "the metrics: then it runs")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == b"error: interrupted"
    assert b"warning: no sample came, so there is no window" in err, "why it said nothing"
    assert b"Traceback" not in err
    assert lines_of(out)[-1]["type"] == "end"


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            return b"fsq_edge_windows_total" in reply.read()
    except (urllib.error.URLError, OSError):
        return False


def test_a_kill_in_the_middle_leaves_whole_lines(place: Path) -> None:
    np.savez(place / "long.npz", samples=np.tile(motion(2000), (200, 1)))
    out = place / "killed.jsonl"
    with started(place, "--source", f"npz:{place / 'long.npz'}", "--sink", f"jsonl:{out}", "--scores") as process:
        eventually(lambda: out.exists() and out.stat().st_size > 100_000, "some output")
        process.kill()
        process.wait(30)
        process.communicate()
    data = out.read_bytes()
    assert data.endswith(b"\n")
    assert len(lines_of(data)) > 100


def test_a_reader_that_goes_away_ends_the_run_quietly(place: Path) -> None:
    np.savez(place / "long.npz", samples=np.tile(motion(2000), (100, 1)))
    with started(place, "--source", f"npz:{place / 'long.npz'}") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(60)
    assert b"Traceback" not in err


def test_systemd_is_told_and_the_watchdog_fed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder))
        listener.settimeout(30)
        surroundings = {**environment(), "NOTIFY_SOCKET": str(folder), "WATCHDOG_USEC": "400000"}
        process = subprocess.Popen(
            command(place, "--source", f"udp:127.0.0.1:{free_port()}"), env=surroundings, stdout=subprocess.PIPE
        )
        with process:
            told = [listener.recv(100).decode() for _ in range(3)]
            process.terminate()
            process.communicate(timeout=30)
            while told[-1] != "STOPPING=1":
                told.append(listener.recv(100).decode())
    assert told[0] == "READY=1"
    assert set(told[1:-1]) == {"WATCHDOG=1"}


def test_from_broker_to_broker(place: Path, tmp_path: Path) -> None:
    import paho.mqtt.client as paho

    broker = Broker(tmp_path / "broker")
    broker.start()
    heard: list[dict[str, object]] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, data, message: heard.append(json.loads(message.payload))
    client.connect("127.0.0.1", broker.port)
    client.subscribe("decisions", 1)
    client.loop_start()
    with started(
        place, "--source", broker.address("imu/+?qos=1"), "--sink", broker.address("decisions?qos=1")
    ) as process:
        rows = motion(300)

        def talk() -> bool:
            times = [at / 50 for at in range(300)]
            client.publish("imu/rex", json.dumps({"t": times, "x": rows.tolist()}), qos=1).wait_for_publish(30)
            return any(line["type"] == "decision" for line in heard)

        eventually(talk, "decisions")
        process.terminate()
        assert process.wait(30) == 0
        process.communicate()
    eventually(lambda: heard[-1]["type"] == "end", "the end")
    assert {line["stream"] for line in heard if line["type"] == "decision"} == {"imu/rex"}
    client.disconnect()
    client.loop_stop()
    broker.kill()
