"""The windows of a run read back from the Parquet files of ``--sink parquet:DIR``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from fsq_edge_runtime.errors import DataError, MissingInputError
from fsq_edge_runtime.extras import need
from fsq_edge_runtime.files import first_line

MAX_ROWS: Final = 20_000_000  # of a file: about two years of one stream at one decision in three seconds
BATCH_ROWS: Final = 65_536
HINT: Final = "give files or folders of fsq-edge run --sink parquet:DIR"


def is_parquet(path: Path) -> bool:
    """Return whether a log is a Parquet file, or a folder of them."""
    return path.suffix == ".parquet" or path.is_dir()


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[tuple[Path, Any]]:
    """Give the rows of a file, or of every file of a folder in the order of the hours, as record batches of pyarrow.

    Args:
        path: a file, or a folder of ``*.parquet``.
        columns: what is read of them; each must be there.

    Raises:
        MissingInputError: a file is not there.
        DataError: a file is not of ``run``, or holds more than ``MAX_ROWS`` rows.
        UnavailableError: pyarrow is not installed.
    """
    parquet: Any = need("pyarrow.parquet", "parquet", "a log in Parquet")
    arrow: Any = need("pyarrow", "parquet", "a log in Parquet")
    for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
        try:
            with parquet.ParquetFile(file) as opened:
                if opened.metadata.num_rows > MAX_ROWS:  # before anything is allocated
                    raise DataError(f"{file} holds more than {MAX_ROWS:,} decisions", hint="give fewer logs")
                missing = [name for name in columns if name not in opened.schema_arrow.names]
                if missing:
                    raise DataError(f"{file} has no column {missing[0]!r}", hint=HINT)
                for batch in opened.iter_batches(BATCH_ROWS, columns=list(columns)):
                    yield file, batch
        except FileNotFoundError as error:
            raise MissingInputError(f"cannot read {file}: no such file") from error
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{file} is no Parquet file of run: {first_line(error)}", hint=HINT) from error


def read_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Give the windows of a file or folder as dictionaries, as a JSON line has them, each with where it stands.

    Raises:
        MissingInputError: a file is not there.
        DataError: a file is not of ``run``.
        UnavailableError: pyarrow is not installed.
    """
    columns = ("type", "seq", "stream", "t_start", "t_end", "label", "reason")
    number, before = 0, path
    for file, batch in read_batches(path, columns):
        number, before = (number if file == before else 0), file
        for row in batch.to_pylist():
            number += 1
            yield row, f"{file}, row {number}"
