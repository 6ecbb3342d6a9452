"""Files that hold whole arrays: npz, MATLAB ``.mat`` (versions 4 to 7), Parquet."""

from __future__ import annotations

import math
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.packages import need_package
from fsq_edge.data.importing.reader import BLOCK_ROWS, Block, Column, Content, Description
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.errors import DataError, FsqEdgeError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.tables.dialect import Dialect

MAX_BYTES = 4 << 30
MAX_COLUMNS = 1024
SHOWN = 200


class ArrayReader(ABC):
    """Reads files that are loaded whole; every array whose length is the usual one is a column, or several."""

    name = ""
    about = ""
    suffixes: tuple[str, ...] = ()

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether the name ends so; an archive's member is not read whole."""
        return file.suffix in self.suffixes and not file.member

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Load the file and name its columns."""
        columns = self._columns(file)
        shown = tuple(
            Column(name, cells=tuple(_text(value) for value in values[:SHOWN])) for name, values in columns.items()
        )
        return Description(shown, reasons={"reader": f"the name ends in {file.suffix}"})

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the rows; errors as :class:`fsq_edge.data.importing.reader.Reader`."""
        found = self._columns(file)
        rows = len(next(iter(found.values())))
        for at in range(0, rows, BLOCK_ROWS):
            part = {name: found[name][at : at + BLOCK_ROWS] for name in columns if name in found}
            yield Block(part or {"": np.arange(at, min(rows, at + BLOCK_ROWS))}, at + 1)

    def _columns(self, file: InputFile) -> dict[str, AnyArray]:
        try:
            arrays = self._load(file)
        except FsqEdgeError:
            raise
        except Exception as error:
            # Parsers of foreign formats end in errors of many kinds when a file is damaged.
            raise DataError(f"{file.name} is not a readable {self.name} file: {first_line(error)}") from error
        return as_columns(arrays, file.name)

    @abstractmethod
    def _load(self, file: InputFile) -> dict[str, AnyArray]:
        """Return the arrays of a file by name; any error is one of a damaged file."""


class NpzReader(ArrayReader):
    """Reads npz files: of the dataset folder's keys, or any arrays of one length."""

    name = "npz"
    about = "numpy archives (.npz)"
    suffixes = (".npz",)

    def _load(self, file: InputFile) -> dict[str, AnyArray]:
        with zipfile.ZipFile(file.path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        with np.load(file.path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}


class MatlabReader(ArrayReader):
    """Reads MATLAB files with scipy; structures become names with dots."""

    name = "mat"
    about = "MATLAB files of versions 4 to 7 (.mat)"
    suffixes = (".mat",)

    def _load(self, file: InputFile) -> dict[str, AnyArray]:
        if file.head(512).startswith(b"MATLAB 7.3") or file.head(600)[512:516] == b"\x89HDF":
            raise ValueError("version 7.3 is HDF5; save it with -v7 in MATLAB")
        matlab = need_package("scipy.io", "reading a MATLAB file")
        sizes = [math.prod(shape) for _, shape, _ in matlab.whosmat(file.path)]
        if sum(sizes) * 8 > MAX_BYTES:
            raise ValueError(f"its arrays are larger than {MAX_BYTES} bytes")
        loaded = matlab.loadmat(file.path, squeeze_me=True, struct_as_record=False, chars_as_strings=True)
        found: dict[str, AnyArray] = {}
        for name, value in loaded.items():
            if not name.startswith("__"):
                _flatten(name, value, found, 0)
        return found


class ParquetReader:
    """Reads Parquet files with pyarrow, batch by batch."""

    name = "parquet"
    about = "Parquet files (.parquet)"

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether it begins with the format's mark."""
        return head[:4] == b"PAR1" and not file.member

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Read the schema and the first rows."""
        parquet = self._open(file)
        batch = next(parquet.iter_batches(batch_size=SHOWN), None)
        columns = []
        for i, name in enumerate(parquet.schema_arrow.names[:MAX_COLUMNS]):
            cells = () if batch is None else tuple(_text(value) for value in _arrow(batch.column(i)))
            columns.append(Column(name, cells=cells))
        return Description(tuple(columns), reasons={"reader": "it begins with PAR1"})

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the rows; errors as :class:`fsq_edge.data.importing.reader.Reader`."""
        row = 1
        parquet = self._open(file)
        try:
            for batch in parquet.iter_batches(batch_size=BLOCK_ROWS, columns=list(columns)):
                found = {name: _arrow(batch.column(i)) for i, name in enumerate(batch.schema.names)}
                yield Block(found, row)
                row += batch.num_rows
        except (OSError, ValueError) as error:
            raise DataError(f"{file.name} is damaged after row {row - 1}: {first_line(error)}") from error

    def _open(self, file: InputFile) -> Any:
        parquet = need_package("pyarrow.parquet", "reading a Parquet file")
        try:
            return parquet.ParquetFile(file.path, memory_map=True)
        except (OSError, ValueError) as error:
            raise DataError(f"{file.name} is not a readable Parquet file: {first_line(error)}") from error


def as_columns(arrays: Mapping[str, AnyArray], name: str) -> dict[str, AnyArray]:
    """Return the arrays of the usual length as columns; (n, C) becomes C columns, named by ``channels`` where it fits.

    Raises:
        DataError: there is none, or too many.
    """
    usable = {key: np.asarray(value) for key, value in arrays.items() if np.asarray(value).dtype.kind in "fiubUS"}
    names = [str(value) for value in np.atleast_1d(usable.get("channels", np.empty(0, str)))]
    lengths = Counter(_rows(value) for value in usable.values() if value.ndim in (1, 2) and _rows(value) > 1)
    if not lengths:
        raise DataError(f"{name} holds no arrays of numbers", hint="it has " + (", ".join(arrays) or "nothing"))
    length = max(lengths, key=lambda rows: (lengths[rows], rows))
    columns: dict[str, AnyArray] = {}
    for key, value in usable.items():
        if value.ndim == 1 and len(value) == length:
            columns[key] = value
        elif value.ndim == 2 and _rows(value) == length and min(value.shape) <= MAX_COLUMNS:
            across = value if value.shape[0] == length else value.T
            fitting = names if len(names) == across.shape[1] else [f"{key}_{i + 1}" for i in range(across.shape[1])]
            columns |= {column: across[:, i] for i, column in enumerate(fitting)}
    if len(columns) > MAX_COLUMNS:
        raise DataError(f"{name} has {len(columns)} columns, at most {MAX_COLUMNS} are read")
    return {
        key: value.astype(str).astype(object) if value.dtype.kind in "US" else value for key, value in columns.items()
    }


def _rows(value: AnyArray) -> int:
    return 0 if value.ndim not in (1, 2) else max(value.shape)


def _flatten(name: str, value: Any, found: dict[str, AnyArray], depth: int) -> None:
    if depth > 4 or len(found) > MAX_COLUMNS:
        return
    fields = getattr(value, "_fieldnames", None)
    if fields:
        for field in fields:
            _flatten(f"{name}.{field}", getattr(value, field), found, depth + 1)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiubUS":
        found[name] = value


def _arrow(column: Any) -> AnyArray:
    values: AnyArray = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "M":
        return values.astype("datetime64[ns]").astype(np.int64)
    if values.dtype.kind in "fiub":
        return values
    return np.array(["" if value is None else str(value) for value in values], object)


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return str(value)
