"""The overlay's file: verified, bound to a network, signed, installed, and whole after a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.data import write_folder
from fsq_edge_runtime.bundle.archive import encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import with_files
from fsq_edge_runtime.bundle.install import install
from fsq_edge_runtime.bundle.selftest import run_selftest
from fsq_edge_runtime.bundle.signature import sign_bundle
from fsq_edge_runtime.decision import DecisionSettings
from fsq_edge_runtime.errors import DataError, UsageError
from fsq_edge_runtime.personal.installing import install_overlays, installed_overlays
from fsq_edge_runtime.personal.overlay import Overlay
from fsq_edge_runtime.preprocess import ChannelSpec
from fsq_edge_runtime.score_tails import SoftmaxTail
from tests.factories.bundles import random_bundle
from tests.factories.golden_bundle import private_key, public_key
from tests.factories.wearers import (
    knowing_bundle,
    wearer_dataset,
    wearers_overlay,
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return knowing_bundle()


@pytest.fixture(scope="module")
def overlay(bundle: Bundle) -> Overlay:
    return wearers_overlay(bundle)


# The file.


def test_an_overlay_reads_back_and_every_flipped_byte_is_seen(bundle: Bundle, overlay: Overlay) -> None:
    data = overlay.to_bytes()
    again = Overlay.from_bytes(data)
    again.require(bundle)
    assert again.to_bytes() == data
    for at in range(0, len(data), 97):
        with pytest.raises(DataError):
            Overlay.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(DataError, match="damaged"):
        Overlay.from_bytes(data[: len(data) // 2])


def test_overlays_of_other_networks_and_other_channels_are_refused(bundle: Bundle, overlay: Overlay) -> None:
    other = knowing_bundle()
    other = with_files(other, {("features", None): None})
    with pytest.raises(DataError, match="another network"):
        other.open_session("onnx", overlay=overlay)
    config = bundle.preprocess
    renamed = (ChannelSpec(name="mag_x", unit="uT"), *config.channels[1:])
    changed = random_bundle(preprocess=config.model_copy(update={"channels": renamed}), classes=4, features=True)
    with pytest.raises(DataError, match=r"for the channels acc_x \[g\]"):
        overlay.require(changed)


def test_a_tuned_or_signed_bundle_keeps_its_overlays(bundle: Bundle, overlay: Overlay) -> None:
    settings = DecisionSettings(smoothing="ema", smoothing_ms=1000.0)
    tuned = with_files(bundle, {("decision", None): ("decision.json", settings.to_json().encode())})
    overlay.require(sign_bundle(tuned, private_key()))


def test_a_signature_is_checked(bundle: Bundle, overlay: Overlay) -> None:
    signed = Overlay.from_bytes(overlay.signed(private_key()).to_bytes())
    signed.check_signature(public_key())
    with pytest.raises(DataError, match="not signed"):
        overlay.check_signature(public_key())
    forged = dataclasses.replace(signed, record=signed.record.model_copy(update={"wearer": "max"}))
    with pytest.raises(DataError, match="was not made with this key"):
        forged.check_signature(public_key())


def test_a_head_without_codes_takes_no_overlay(overlay: Overlay) -> None:
    plain = random_bundle(classes=3)
    changed = with_files(
        plain,
        {
            ("head", None): ("head.json", SoftmaxTail(3).to_bytes()),
            ("fingerprint", None): ("fingerprint.json", b'{"schema_version": 1, "counts": [1, 1, 1], "windows": 3}'),
        },
    )
    with pytest.raises(UsageError, match="takes no overlay"):
        changed.open_session("onnx", overlay=overlay)


# Installed.


def test_installed_overlays_are_found_by_stream_and_network(bundle: Bundle, overlay: Overlay, tmp_path: Path) -> None:
    root = tmp_path / "dog"
    bundle.save(tmp_path / "dog.fsqb")
    install(tmp_path / "dog.fsqb", root, selftest=run_selftest)
    opened = Bundle.open(root)
    assert installed_overlays(root, opened) == {}
    install_overlays(root, opened, {"rex": overlay, "": overlay})
    assert set(installed_overlays(root, opened)) == {"rex", ""}
    install_overlays(root, opened, {"": None})
    found = installed_overlays(root, opened)
    assert list(found) == ["rex"]
    assert Overlay.open(found["rex"]).to_bytes() == overlay.to_bytes()
    index = next(root.glob("overlays/*/index.json"))
    index.write_text('{"schema_version": 1, "streams": {"rex": "../../../etc/passwd"}}')
    with pytest.raises(DataError, match="outside its folder"):
        installed_overlays(root, opened)


LOOP = """
import sys
from pathlib import Path
from typing import Any
from fsq_edge_runtime.bundle.archive import encode_archive
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.personal.installing import install_overlays
from fsq_edge_runtime.personal.overlay import Overlay
root, one, other = map(Path, sys.argv[1:])
bundle, overlays = Bundle.open(root), [Overlay.open(one), Overlay.open(other)]
print("ready", flush=True)
for turn in range(1_000_000):
    install_overlays(root, bundle, {"rex": overlays[turn % 2]})
"""


def test_a_kill_while_installing_leaves_an_overlay_that_is_whole(
    bundle: Bundle, overlay: Overlay, tmp_path: Path
) -> None:
    root = tmp_path / "dog"
    bundle.save(tmp_path / "dog.fsqb")
    install(tmp_path / "dog.fsqb", root, selftest=run_selftest)
    other = dataclasses.replace(overlay, record=overlay.record.model_copy(update={"wearer": "max"}))
    paths = [tmp_path / "rex.fsqo", tmp_path / "max.fsqo"]
    for path, one in zip(paths, (overlay, other), strict=True):
        one.save(path)
    install_overlays(root, bundle, {"rex": overlay})
    for delay_s in (0.003, 0.011, 0.029):
        process = subprocess.Popen([sys.executable, "-c", LOOP, str(root), *map(str, paths)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = Overlay.open(installed_overlays(root, bundle)["rex"])
        assert found.record.wearer in ("rex", "max")


# Hostile and unlucky.


def forged(
    overlay: Overlay, weights: np.ndarray | None = None, points: np.ndarray | None = None, **facts: Any
) -> bytes:
    """The bytes of an overlay whose own hashes agree, whatever is in it."""
    buffer = io.BytesIO()
    found = overlay.range
    np.savez(
        buffer,
        weights=overlay.weights if weights is None else weights,
        directions=found.directions,
        points=found.points if points is None else points,
    )
    record = {**overlay.record.to_dict(), "arrays_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(), **facts}
    return encode_archive({"overlay.json": json.dumps(record).encode(), "arrays.npz": buffer.getvalue()})


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.full((17, 4), np.nan, np.float32)},
        {"weights": np.full((17, 4), 1e30, np.float32)},
        {"weights": np.zeros((17, 5), np.float32)},
        {"weights": np.zeros((17, 4), np.float64)},
        {"weights": np.zeros((0, 4), np.float32)},
        {"points": np.zeros((129, 16), np.float16)},
        {"points": np.full((3, 16), np.inf, np.float16)},
        {"points": np.zeros((3, 15), np.float16)},
        {"reach": -1.0},
        {"reach": float("1e300")},
        {"scale": 0.0},
        {"margin": 1e9},
        {"wearer": "\x1b[2J"},
        {"wearer": ""},
        {"classes": ["walk", "walk", "eat", "rest"]},
        {"known": 9},
        {"method": "magic"},
        {"schema_version": 2},
        {"network_sha256": "00"},
        {"more": 1},
    ],
    ids=lambda change: f"{next(iter(change))}",
)
def test_forged_overlays_are_refused(overlay: Overlay, change: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        Overlay.from_bytes(forged(overlay, **change))


def test_a_forged_overlay_that_is_sound_in_itself_must_still_fit_the_bundle(bundle: Bundle, overlay: Overlay) -> None:
    Overlay.from_bytes(forged(overlay)).require(bundle)
    short = Overlay.from_bytes(forged(overlay, weights=np.zeros((9, 4), np.float32)))
    with pytest.raises(DataError, match="do not fit"):
        short.require(bundle)
    other = Overlay.from_bytes(forged(overlay, classes=["walk", "trot", "eat", "fly"]))
    with pytest.raises(DataError, match="are not the bundle's"):
        other.require(bundle)


def test_a_kill_while_it_fits_leaves_the_old_overlay(bundle: Bundle, overlay: Overlay, tmp_path: Path) -> None:
    bundle.save(tmp_path / "dog.fsqb")
    write_folder(wearer_dataset(bundle), tmp_path / "own")
    out = tmp_path / "rex.fsqo"
    words = ["--recordings", f"folder:{tmp_path / 'own'}", "--subject", "rex", "--out", str(out)]
    command = [sys.executable, "-u", "-m", "fsq_edge", "personalize", str(tmp_path / "dog.fsqb"), *words]
    overlay.save(out)
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"windows"), "it has fitted, and has not written yet"
        process.kill()
        process.communicate()
        Overlay.open(out).require(bundle)
    assert {path.name for path in tmp_path.iterdir()} == {"dog.fsqb", "own", "rex.fsqo"}
