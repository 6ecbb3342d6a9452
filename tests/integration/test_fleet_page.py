"""The shell blocks of docs/fleets.md and the examples for job arrays, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsq_edge.cli.main import run
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.signature import sign_bundle
from tests.factories.bundles import motion, random_bundle

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(sh|ini)\n(.*?)```", re.DOTALL)
# Stands in for the service manager: it notes what it is asked, and says that the unit runs unless told otherwise.
SYSTEMCTL = '#!/bin/sh\necho "$*" >>"$NOTES"\n[ "$1" != is-active ] || [ ! -e "$BROKEN" ]\n'


def blocks() -> dict[str, str]:
    found = {}
    for _, text in BLOCK.findall((ROOT / "docs/fleets.md").read_text()):
        name = re.search(r"^# file: (\S+)$", text, re.MULTILINE)
        assert name is not None, text
        found[name[1]] = text
    return found


class Device:
    """A folder that stands for a device: programs, key, install folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dog = folder, folder / "opt" / "dog"
        (folder / "bin").mkdir()
        roots = os.pathsep.join(path for path in sys.path if path)
        self.write("fsq-edge", f'#!/bin/sh\nPYTHONPATH="{roots}" exec {sys.executable} -m fsq_edge "$@"\n')
        self.write("systemctl", SYSTEMCTL)
        for name, text in blocks().items():
            self.write(name, text)
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        (folder / "key.pub").write_bytes(public)
        private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        self.bundles = [folder / f"{number}.fsqb" for number in range(2)]
        for number, path in enumerate(self.bundles):
            sign_bundle(random_bundle(seed=number), private).save(path)
        self.notes, self.broken = folder / "notes", folder / "broken"

    def write(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def call(self, program: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "DOG": str(self.dog),
            "KEY": str(self.folder / "key.pub"), "NOTES": str(self.notes), "BROKEN": str(self.broken), "SETTLE": "0",
            "OMP_NUM_THREADS": "1", **more,
        }  # fmt: skip
        return subprocess.run(
            [str(self.folder / "bin" / program), *words], env=environment, capture_output=True, text=True, check=False
        )

    def in_use(self) -> int:
        files = Bundle.open(self.dog).files
        return next(number for number, path in enumerate(self.bundles) if Bundle.open(path).files == files)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_the_script_installs_goes_back_and_refuses(device: Device) -> None:
    assert device.call("fsq-edge-update", str(device.bundles[0])).returncode == 0
    assert device.in_use() == 0
    assert device.notes.read_text().splitlines() == ["restart dog.service", "is-active --quiet dog.service"]
    assert device.call("fsq-edge-update", str(device.bundles[0])).returncode == 0  # in use already: no restart
    assert len(device.notes.read_text().splitlines()) == 2
    device.broken.touch()
    assert device.call("fsq-edge-update", str(device.bundles[1])).returncode == 1
    assert device.in_use() == 0
    device.broken.unlink()
    random_bundle(seed=3).save(device.folder / "unsigned.fsqb")
    assert device.call("fsq-edge-update", str(device.folder / "unsigned.fsqb")).returncode == 65
    assert device.in_use() == 0


def test_menders_states_install_and_roll_back(device: Device) -> None:
    tree = device.folder / "tree"
    (tree / "files").mkdir(parents=True)
    (tree / "tmp").mkdir()
    assert device.call("fsq-edge-bundle", "SupportsRollback", str(tree)).stdout == "Yes\n"
    assert device.call("fsq-edge-bundle", "NeedsArtifactReboot", str(tree)).stdout == "No\n"
    assert device.call("fsq-edge-update", str(device.bundles[0])).returncode == 0
    shutil.copy(device.bundles[1], tree / "files/dog.fsqb")
    for state in ("Download", "ArtifactInstall", "ArtifactCommit", "Cleanup"):
        assert device.call("fsq-edge-bundle", state, str(tree)).returncode == 0, state
    assert device.in_use() == 1
    assert device.call("fsq-edge-bundle", "ArtifactRollback", str(tree)).returncode == 0
    assert device.in_use() == 0
    assert (
        device.call("fsq-edge-bundle", "ArtifactRollback", str(tree)).returncode == 0
    )  # a second call changes nothing
    assert device.in_use() == 0


def test_swupdates_script_acts_after_the_files_are_there(device: Device) -> None:
    incoming = str(device.bundles[1])
    assert device.call("install-bundle.sh", "preinst", INCOMING=incoming).returncode == 0
    assert not device.dog.exists()
    assert device.call("install-bundle.sh", "postinst", INCOMING=incoming).returncode == 0
    assert device.in_use() == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_are_sound(tmp_path: Path) -> None:
    for name, text in blocks().items():
        if name.endswith((".service", ".timer")):
            (tmp_path / name).write_text(text.replace("/usr/local/bin/fsq-edge-update", "/bin/true"))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "fsq-edge-update.timer")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "fsq-edge-update" not in said.stderr, said.stderr


def test_the_slurm_array_scores_an_archive(device: Device) -> None:
    archive, out = device.folder / "archive", device.folder / "scored"
    archive.mkdir()
    for number in range(5):
        np.savez(archive / f"{number}.npz", samples=motion(600, seed=number))
    (archive / "bad.npz").write_bytes(b"bad")
    shutil.copy(ROOT / "examples/slurm/score.sbatch", device.folder / "bin/score.sbatch")
    device.write("score.sbatch", (ROOT / "examples/slurm/score.sbatch").read_text())
    for task in ("1", "2"):
        array = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2"}
        done = device.call("score.sbatch", str(device.bundles[0]), str(archive), str(out), **array)
        assert done.returncode == 0, done.stderr
    assert run(["score", "collate", str(out), "--quiet"]) == 1
    assert len(list((out / "recordings").iterdir())) == 6
    assert len((out / "all.jsonl").read_text().splitlines()) > 50
