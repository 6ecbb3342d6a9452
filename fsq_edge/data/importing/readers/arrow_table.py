"""Blocks of even, unquoted rows parsed by pyarrow, which is quicker; what it refuses is for pandas."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fsq_edge.data.importing.packages import need_package
from fsq_edge.data.importing.reader import Content
from fsq_edge_runtime.arrays import AnyArray
from fsq_edge_runtime.tables.dialect import Dialect

# What pandas takes for a missing value, so that both parsers read a file alike.
MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
LARGEST_BLOCK = (1 << 31) - 1


class ArrowTable:
    """Parses blocks of one file.

    Args:
        dialect: of the table.
        names: of all columns, in the order of the file.
        columns: those that are wanted, and as what.
    """

    def __init__(self, dialect: Dialect, names: Sequence[str], columns: Mapping[str, Content]) -> None:
        self._csv: Any = need_package("pyarrow.csv", "reading a text table")
        arrow: Any = need_package("pyarrow", "reading a text table")
        self._invalid = (arrow.ArrowInvalid, arrow.ArrowNotImplementedError, arrow.ArrowKeyError)
        self._columns = columns
        texts = [name for name, content in columns.items() if content == "text"]
        ascii_like = dialect.encoding.startswith(("utf-", "ascii"))
        # Numbers are ASCII in every encoding that a table comes in; texts must be decoded.
        self.fits = (
            len(dialect.delimiter) == 1
            and dialect.delimiter != " "
            and len(set(names)) == len(names)
            and bool(columns)
            and (ascii_like or not texts)
        )
        if not self.fits:
            return
        self._spaced = f"{dialect.delimiter} ".encode()
        self._parse = self._csv.ParseOptions(delimiter=dialect.delimiter, quote_char=False)
        self._convert = self._csv.ConvertOptions(
            include_columns=list(columns),
            column_types={name: arrow.string() for name in texts}
            | {name: arrow.float64() for name, content in columns.items() if content == "number"},
            null_values=list(MISSING),
            strings_can_be_null=True,
            decimal_point=dialect.decimal,
        )
        self._names = list(names)

    def columns(self, data: bytes, rows: int) -> dict[str, AnyArray] | None:
        """Return the wanted columns of a block of whole lines without quotes; None where another parser must look.

        Args:
            data: the lines.
            rows: how many there are.
        """
        if not self.fits or self._spaced in data or len(data) > LARGEST_BLOCK or data.startswith(b" "):
            return None
        read = self._csv.ReadOptions(column_names=self._names, use_threads=False, block_size=max(len(data), 1))
        try:
            table = self._csv.read_csv(io.BytesIO(data), read, self._parse, self._convert)
        except self._invalid:  # rows of uneven width, a cell that is no number, bytes that are no UTF-8
            return None
        if table.num_rows != rows:
            return None
        found = {}
        for name, content in self._columns.items():
            values = _values(table.column(name), content)
            if values is None:
                return None
            found[name] = values
        return found


def _values(column: Any, content: Content) -> AnyArray | None:
    """Return a column as an array; None where it was not read as numbers."""
    if content == "text":
        texts: AnyArray = column.fill_null("").to_numpy()
        return texts.astype(object)
    kind = str(column.type)
    if kind not in ("double", "int64"):
        return None
    if column.null_count:
        column, kind = column.cast("double").fill_null(np.nan), "double"
    # Not to_numpy(), which imports pandas: that takes longer than a whole small file.
    parts = [
        np.frombuffer(part.buffers()[1], np.float64 if kind == "double" else np.int64, len(part), part.offset * 8)
        for part in column.chunks
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
