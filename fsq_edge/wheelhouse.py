"""A folder of wheels with their hashes, from which a device installs fsq-edge without a network."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fsq_edge import __version__
from fsq_edge.device_wheel import EXTRAS, device_wheel
from fsq_edge_runtime.errors import UnavailableError, UsageError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import new_folder, write_errors

DISTRIBUTION = "fsq-edge"
PLATFORMS = ("aarch64", "x86_64")
# Debian 12 (Bookworm, Raspberry Pi OS of 2023) has Python 3.11 and glibc 2.36; Debian 13 (Trixie) 3.13 and 2.41.
GLIBC = {"3.11": 36, "3.12": 39, "3.13": 41, "3.14": 42}
OLDEST_GLIBC = 17
_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of the folder.

    Attributes:
        name: of the file.
        bytes: its size.
        unpacked_bytes: sizes of its members added up.
        sha256: of the file, hex.
    """

    name: str
    bytes: int
    unpacked_bytes: int
    sha256: str

    @property
    def requirement(self) -> str:
        """Return ``NAME==VERSION --hash=sha256:...``."""
        distribution, version = self.name.split("-")[:2]
        return f"{distribution.replace('_', '-')}=={version} --hash=sha256:{self.sha256}"


def make_wheelhouse(
    folder: Path, *, platform: str, python: str, extras: Sequence[str] = (), also: Sequence[str] = ()
) -> list[Wheel]:
    """Download the wheels of a device install, and write ``requirements.txt`` with hashes and ``INSTALL.txt``.

    Needs pip and the package index that pip is configured for. An fsq-edge that was installed from a folder is built
    from that folder; any other is downloaded in this version. The folder holds the small wheel of
    :mod:`fsq_edge.device_wheel`, or the whole one where an extra needs it, such as ``train``.

    Args:
        folder: must not exist, or be empty.
        platform: machine of the device, one of ``PLATFORMS``.
        python: its Python, such as ``3.11``.
        extras: of fsq-edge, such as ``serial``.
        also: further requirements, such as ``numpy<2``, which a device with HailoRT 4.x needs.

    Raises:
        UsageError: an unknown platform or Python; the folder holds something.
        UnavailableError: pip is missing, or it found no wheels; the folder cannot be written.
    """
    if platform not in PLATFORMS or python not in GLIBC:
        raise UsageError(f"no wheels for {platform}, Python {python}", hint=f"{PLATFORMS} and Python {tuple(GLIBC)}")
    need("pip", "", "a wheelhouse")
    with write_errors(folder), new_folder(folder) as building:
        whole = whole_wheel(building)
        own = whole
        if set(extras) <= EXTRAS:
            own = device_wheel(whole, building)
            whole.unlink()
        wanted = f"{own}[{','.join(extras)}]" if extras else str(own)
        _pip("download", "--dest", str(building), *_target(platform, python), wanted, *also)
        wheels = [_describe(path) for path in sorted(building.glob("*.whl"))]
        lines = "".join(f"{wheel.requirement}\n" for wheel in wheels)
        (building / "requirements.txt").write_text(lines, encoding="utf-8")
        (building / "INSTALL.txt").write_text(_instructions(python), encoding="utf-8")
    return wheels


def whole_wheel(folder: Path) -> Path:
    """Put the wheel of this fsq-edge into a folder, built or downloaded, and return its path."""
    source = _source_folder()
    if source is not None:
        _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(source))
    else:
        _pip("download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), f"{DISTRIBUTION}=={__version__}")
    return next(folder.glob("*.whl"))


def _target(platform: str, python: str) -> list[str]:
    digits = python.replace(".", "")
    tags = [f"manylinux_2_{minor}_{platform}" for minor in range(GLIBC[python], OLDEST_GLIBC - 1, -1)]
    tags += [f"manylinux2014_{platform}", f"linux_{platform}", "any"]
    words = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for tag in tags:
        words += ["--platform", tag]
    for abi in (f"cp{digits}", "abi3", "none"):
        words += ["--abi", abi]
    return words


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(
            f"pip {words[0]} did not end well: {error}", hint="is the package index there?"
        ) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        last = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {done.returncode}"
        raise UnavailableError(f"pip {words[0]}: {last}", hint="is the package index there? pip config list shows it")


def _source_folder() -> Path | None:
    """Return the folder that fsq-edge runs or was installed from; None where it came from an index."""
    checkout = Path(__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return checkout
    text = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    address = urlsplit(json.loads(text)["url"]) if text else None
    place = Path(unquote(address.path)) if address and address.scheme == "file" else None
    return place if place is not None and (place / "pyproject.toml").is_file() else None


def _describe(path: Path) -> Wheel:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    return Wheel(path.name, path.stat().st_size, unpacked, hashlib.sha256(path.read_bytes()).hexdigest())


def _instructions(python: str) -> str:
    return f"""Install fsq-edge {__version__} from this folder, without a network, with Python {python}:

    python3 -m venv --system-site-packages /opt/fsq-edge
    /opt/fsq-edge/bin/python -m pip install --no-index --find-links . --require-hashes -r requirements.txt
    /opt/fsq-edge/bin/fsq-edge doctor

--system-site-packages lets it see Hailo's own Python package (python3-hailort); leave it out where there is none.
"""
