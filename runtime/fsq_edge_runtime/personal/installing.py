"""Overlays beside an installed bundle: which stream has which, for each network that was ever installed there.

    /opt/dog/overlays/NETWORK/index.json      stream -> file; the empty name stands for all other streams
    /opt/dog/overlays/NETWORK/1a2b3c4d5e6f.fsqo

An overlay belongs to one network, so a new bundle starts without, and a rollback finds those of the older one again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field

from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.bundle.archive import CURRENT
from fsq_edge_runtime.bundle.install import locked_install
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.personal.overlay import Overlay, network_digest

if TYPE_CHECKING:
    from fsq_edge_runtime.bundle.bundle import Bundle

OVERLAYS: Final = "overlays"
INDEX: Final = "index.json"
MAX_STREAMS: Final = 4096


class OverlayIndex(Artefact):
    """``index.json``: the overlays of one network.

    Attributes:
        streams: stream -> file name in the folder; the empty name stands for all others.
    """

    KIND: ClassVar[str] = INDEX

    streams: dict[str, str] = Field(default_factory=dict, max_length=MAX_STREAMS)


def install_overlays(root: Path, bundle: Bundle, overlays: dict[str, Overlay | None]) -> None:
    """Give streams of an installed bundle their overlays; all of them or none.

    Files are written under the hash of their content first; the index, replaced whole, makes them the ones in use. A
    kill at any moment leaves the old index and its files.

    Args:
        root: the install folder.
        bundle: in use there.
        overlays: by stream, the empty name for all others; None takes a stream's overlay away.

    Raises:
        DataError: an overlay is for another network.
        UnavailableError: no space or no permission, or another installation is running.
    """
    for overlay in overlays.values():
        if overlay is not None:
            overlay.require(bundle)
    folder = root / OVERLAYS / network_digest(bundle)[:16]
    with locked_install(root):
        streams = _read_index(folder).streams if (folder / INDEX).exists() else {}
        for stream, overlay in overlays.items():
            if overlay is None:
                streams = {name: file for name, file in streams.items() if name != stream}
                continue
            data = overlay.to_bytes()
            file = f"{hashlib.sha256(data).hexdigest()[:16]}.fsqo"
            write_file(folder / file, data)
            streams = {**streams, stream: file}
        write_file(folder / INDEX, OverlayIndex(streams=streams).to_json().encode())
        for path in folder.glob("*.fsqo"):
            if path.name not in streams.values():
                path.unlink(missing_ok=True)
    for path in (root / OVERLAYS, folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)  # whoever runs a bundle is seldom who installs it


def installed_overlays(root: Path, bundle: Bundle) -> dict[str, Path]:
    """Return the overlays of an installed bundle by stream; empty where ``root`` is no install folder or has none.

    Raises:
        DataError: the index is damaged.
    """
    folder = root / OVERLAYS / network_digest(bundle)[:16]
    if not (root / CURRENT).is_symlink() or not (folder / INDEX).exists():
        return {}
    return {stream: folder / file for stream, file in _read_index(folder).streams.items()}


def _read_index(folder: Path) -> OverlayIndex:
    index = OverlayIndex.load(folder / INDEX)
    if any(Path(file).name != file or not file.endswith(".fsqo") for file in index.streams.values()):
        raise DataError(f"{folder / INDEX} names files outside its folder", hint="fsq-edge bundle install again")
    return index
