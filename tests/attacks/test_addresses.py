"""Addresses that are wrong, and hold a secret all the same: one line, a code, and never the secret."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge_runtime.addresses import redacted
from tests.factories.bundles import motion, random_bundle

SECRET = "hunter2"  # noqa: S105 - that it is one is the point
LEAKY = [
    f"mqtt://dog:{SECRET}@broker",
    f"mqtt://dog:{SECRET}@broker/",
    f"mqtt://dog:{SECRET}@broker:port/t",
    f"mqtt://dog:{SECRET}@broker:99999/t",
    f"mqt://dog:{SECRET}@broker/t",
    f"mqtt:dog:{SECRET}@broker/t",
    f"mqtt://dog:{SECRET}@broker/t?qos=9",
    f"mqtt://dog:{SECRET}@broker/t?password={SECRET}",
    f"mqtts//dog:{SECRET}@broker/t",
    f"mqtt://dog:a@b?{SECRET}@broker/t",
    f"mqtt://dog:[{SECRET}@broker/t",
    f"http:dog:{SECRET}@broker:port",
    f"dog:{SECRET}@broker/t",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("addresses")
    random_bundle().save(folder / "dog.fsqb")
    np.savez(folder / "walk.npz", samples=motion(200))
    (folder / "no.pem").write_text("not a certificate")
    return folder


def refused(place: Path, option: str, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    source = [] if option == "--source" else ["--source", f"npz:{place / 'walk.npz'}"]
    code = run(["run", str(place / "dog.fsqb"), *source, "--backend", "onnx", option, text])
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) <= 2
    return code, error


@pytest.mark.parametrize("option", ["--source", "--sink"])
@pytest.mark.parametrize("text", LEAKY)
def test_no_message_holds_a_password(option: str, text: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = refused(place, option, text, capsys)
    assert code == 64
    assert SECRET not in error
    assert SECRET not in redacted(text)


@pytest.mark.parametrize(
    ("option", "text", "code"),
    [
        ("--sink", "mqtt://localhost/t?ca=x.pem", 64),
        ("--sink", "mqtts://localhost/t?ca=none.pem", 66),
        ("--sink", "mqtts://localhost/t?ca=no.pem", 65),
        ("--sink", "mqtt://localhost/t?client_id=" + "x" * 70_000, 64),
        ("--sink", "mqtt://localhost/t?client_id=a%00b", 64),
        ("--sink", "mqtt://local..host/t", 64),
        ("--sink", "mqtt://" + "x" * 64 + "/t", 64),
        ("--sink", "mqtt://localhost/a/+", 64),
        ("--source", "mqtt://localhost/a/b%23", 64),
        ("--source", "mqtt://localhost/%23/a", 64),
        ("--source", "mqtt://localhost/a%00", 64),
        ("--metrics", "local..host:1", 64),
        ("--metrics", "x" * 64 + ":1", 64),
        ("--metrics", "localhost:\u0661", 64),
        ("--sink", "http:local..host:1", 64),
    ],
)
def test_a_bad_part_is_one_line(
    option: str, text: str, code: int, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert refused(place, option, text, capsys)[0] == code
