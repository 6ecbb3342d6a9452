"""The examples run: the reader with its simulated bus, the gateway through a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from tests.factories.bundles import preprocess_config, random_bundle
from tests.factories.live import Broker, eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    config = preprocess_config(window_samples=50, hop_samples=25)  # the first window after a second
    random_bundle(preprocess=config).save(tmp_path / "dog.fsqb")
    return tmp_path / "dog.fsqb"


def start(example: str, *arguments: str) -> subprocess.Popen[str]:
    roots = os.pathsep.join(str(ROOT / part) for part in (".", "runtime"))
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / example), *arguments],
        env={**os.environ, "PYTHONPATH": roots, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_reader_classifies_its_simulated_bus(bundle: Path) -> None:
    out, err = start("pi_mpu6050.py", str(bundle), "--bus", "simulated", "--seconds", "4").communicate(timeout=60)
    assert err == ""
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["type"] == "end"
    assert lines[-1]["windows"] >= 1
    assert lines[-1]["sources"][0]["samples"] == lines[-1]["received"]
    assert any(line["type"] == "decision" for line in lines)


@pytest.mark.parametrize("short", ["gyro", "gyr"])
def test_the_reader_takes_both_names_of_the_gyroscope(short: str, tmp_path: Path) -> None:
    """Bundles that were trained on `watch` call it gyro_x, many loggers gyr_x."""
    channels = [(f"acc_{axis}", "g") for axis in "xyz"] + [(f"{short}_{axis}", "deg/s") for axis in "xyz"]
    config = preprocess_config(window_samples=50, hop_samples=25, channels=channels)
    random_bundle(preprocess=config).save(tmp_path / "dog.fsqb")
    out, err = start("pi_mpu6050.py", str(tmp_path / "dog.fsqb"), "--bus", "simulated", "--seconds", "1.5").communicate(
        timeout=60
    )
    assert err == ""
    assert json.loads(out.splitlines()[-1])["received"] > 0


def test_the_reader_without_its_hardware_says_what_is_missing(bundle: Path) -> None:
    process = start("pi_mpu6050.py", str(bundle), "--bus", str(bundle.parent / "i2c-9"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 69
    assert out == ""
    assert err.startswith("error: cannot open")
    assert "hint:" in err
    assert len(err.splitlines()) == 2


def test_the_gateway_serves_many_sensors_and_publishes_changes(bundle: Path, tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    broker.start()
    heard: list[dict[str, object]] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = lambda client, data, message: heard.append(json.loads(message.payload))
    client.connect("127.0.0.1", broker.port)
    client.subscribe("decisions", 1)
    client.loop_start()
    process = start("gateway.py", str(bundle), "--broker", f"127.0.0.1:{broker.port}", "--simulated", "20")
    with process:
        eventually(lambda: len({line["stream"] for line in heard if line["type"] == "decision"}) == 20, "20 sensors")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert err == ""
    assert out.startswith("20 sensors, ")
    labels: dict[object, list[object]] = {}
    for line in heard:
        if line["type"] == "decision":
            labels.setdefault(line["stream"], []).append(line["label"])
    assert all(one != two for said in labels.values() for one, two in pairwise(said))
    client.disconnect()
    client.loop_stop()
    broker.kill()
