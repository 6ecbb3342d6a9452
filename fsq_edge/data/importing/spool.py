"""Growing arrays on the disk, so that a recording need not fit into memory while it is read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fsq_edge_runtime.arrays import AnyArray, Float32Array, Float64Array, Int16Array

CHUNK = 1 << 17  # samples


class Spool:
    """Times, samples and labels of one series, appended block by block.

    Args:
        folder: of the files; it must outlive the spool.
        channels: C.
    """

    def __init__(self, folder: Path, channels: int) -> None:
        self.channels = channels
        self.length = 0
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self.paths = tuple(self._folder / name for name in ("times", "samples", "labels"))
        for path in self.paths:
            path.touch()

    def append(self, times: Float64Array, samples: Float32Array, labels: Int16Array) -> None:
        """Add n samples: float64 (n,), float32 (n, C), int16 (n,). No file stays open between calls."""
        for path, part, dtype in zip(self.paths, (times, samples, labels), ("<f8", "<f4", "<i2"), strict=True):
            with path.open("ab") as file:
                file.write(np.ascontiguousarray(part, dtype=dtype).data)
        self.length += len(times)

    def read(self, start: int, stop: int) -> tuple[Float64Array, Float32Array, Int16Array]:
        """Return a part, copied."""
        return self.times(start, stop), self.samples(start, stop), self.labels(start, stop)

    def times(self, start: int, stop: int) -> Float64Array:
        """Return times, float64 (n,)."""
        return _part(self.paths[0], "<f8", start, stop)

    def samples(self, start: int, stop: int) -> Float32Array:
        """Return samples, float32 (n, C)."""
        return _part(self.paths[1], "<f4", start * self.channels, stop * self.channels).reshape(-1, self.channels)

    def labels(self, start: int, stop: int) -> Int16Array:
        """Return labels, int16 (n,)."""
        return _part(self.paths[2], "<i2", start, stop)

    def chunks(self, size: int = CHUNK) -> Iterator[tuple[Float64Array, Float32Array, Int16Array]]:
        """Yield the series in parts."""
        for at in range(0, self.length, size):
            yield self.read(at, min(self.length, at + size))

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _part(path: Path, dtype: str, start: int, stop: int) -> AnyArray:
    size = np.dtype(dtype).itemsize
    with path.open("rb") as file:
        file.seek(start * size)
        return np.frombuffer(file.read((stop - start) * size), dtype)
