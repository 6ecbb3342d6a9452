"""Growing arrays on the disk, so that a recording need not fit into memory while it is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

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
        descriptors = [tempfile.mkstemp(dir=folder, prefix=kind) for kind in ("times-", "samples-", "labels-")]
        self.paths = tuple(Path(name) for _, name in descriptors)
        self._files = [open(descriptor, "wb") for descriptor, _ in descriptors]  # noqa: PTH123, SIM115 - descriptors

    def append(self, times: Float64Array, samples: Float32Array, labels: Int16Array) -> None:
        """Add n samples: float64 (n,), float32 (n, C), int16 (n,)."""
        for file, part, dtype in zip(self._files, (times, samples, labels), ("<f8", "<f4", "<i2"), strict=True):
            file.write(np.ascontiguousarray(part, dtype=dtype).tobytes())
        self.length += len(times)

    def close(self) -> None:
        """Finish writing; reading is possible from now on."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Spool:
        """Return the spool."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

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
        self.close()
        for path in self.paths:
            path.unlink(missing_ok=True)


def _part(path: Path, dtype: str, start: int, stop: int) -> AnyArray:
    size = np.dtype(dtype).itemsize
    with path.open("rb") as file:
        file.seek(start * size)
        return np.frombuffer(file.read((stop - start) * size), dtype)
