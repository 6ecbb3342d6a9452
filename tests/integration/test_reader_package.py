"""The example package with a reader of its own: found by its entry point, used, and named when it cannot be loaded."""

from __future__ import annotations

import importlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fsq_edge.cli.main import run
from fsq_edge.data import open_dataset
from fsq_edge.data.importing.reader import Reader, known_readers
from fsq_edge_runtime.errors import UnavailableError

EXAMPLE = Path(__file__).parents[2] / "examples" / "fsq-edge-reader-demo"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the package as an installer would: its module and its entry points on the path."""
    info = tmp_path / "site" / "fsq_edge_reader_demo-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fsq-edge-reader-demo\nVersion: 0.1.0\n")
    text = (EXAMPLE / "pyproject.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("imu6 = "))
    (info / "entry_points.txt").write_text("[fsq_edge.readers]\n" + line.replace('"', "") + "\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    yield info
    sys.modules.pop("fsq_edge_reader_demo", None)


def test_an_installed_reader_is_known_and_imports(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(known_readers()["imu6"], Reader)
    steps = np.random.default_rng(0).integers(-400, 400, (500, 6)).astype("<i2")
    steps[:, 2] += 4096
    path = tmp_path / "rex.imu6"
    path.write_bytes(struct.pack("<4sfd", b"IMU6", 50.0, 1717236000.0) + steps.tobytes() + b"\0\0\0")
    assert run(["data", "import", str(path), "--out", str(tmp_path / "out")]) == 0
    assert "1 row that is cut short" in " ".join(capsys.readouterr().out.split())
    dataset = open_dataset(f"folder:{tmp_path / 'out'}")
    assert [channel.unit for channel in dataset.channels] == ["g"] * 3 + ["deg/s"] * 3
    assert (dataset.recordings[0].samples[:, 0] == (steps[:, 0] / 4096).astype(np.float32)).all()


def test_a_reader_that_cannot_be_loaded_is_named(site: Path) -> None:
    (site / "entry_points.txt").write_text("[fsq_edge.readers]\nimu6 = fsq_edge_reader_demo:NoSuchReader\n")
    importlib.invalidate_caches()
    with pytest.raises(
        UnavailableError, match="the reader 'imu6' of fsq_edge_reader_demo:NoSuchReader cannot be loaded"
    ):
        known_readers()
