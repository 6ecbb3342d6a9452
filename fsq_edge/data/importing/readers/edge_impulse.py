"""Edge Impulse data acquisition files: one object, JSON or CBOR, with the sensors' names and units and the values.

Source: Edge Impulse, "Data acquisition format".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fsq_edge.data.importing.inputs import InputFile
from fsq_edge.data.importing.packages import need_package
from fsq_edge.data.importing.reader import BLOCK_ROWS, Block, Column, Content, Description
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import first_line
from fsq_edge_runtime.tables.dialect import Dialect

MAX_BYTES = 256 << 20
SHOWN = 200


class EdgeImpulseReader:
    """Reads acquisition files; the signature is not checked, since its key belongs to who recorded."""

    name = "edge-impulse"
    about = "Edge Impulse data acquisition files (.json, .cbor)"

    def recognizes(self, file: InputFile, head: bytes) -> bool:
        """Whether the first bytes name the parts of such a file."""
        return file.suffix in (".json", ".cbor") and b"protected" in head and b"payload" in head

    def describe(self, file: InputFile, dialect: Dialect | None) -> Description:
        """Read the payload's head."""
        payload, names, units, values = self._load(file)
        interval = payload.get("interval_ms")
        if not isinstance(interval, int | float) or not 0 < interval < 1e9:
            raise DataError(f"{file.name}: interval_ms is {interval!r}, expected milliseconds")
        columns = tuple(
            Column(name, unit, tuple(repr(float(value)) for value in values[:SHOWN, i]))
            for i, (name, unit) in enumerate(zip(names, units, strict=True))
        )
        facts = {key: payload[key] for key in ("device_name", "device_type") if isinstance(payload.get(key), str)}
        return Description(
            columns, rate_hz=1000 / interval, facts=facts, reasons={"reader": "it has protected and payload"}
        )

    def blocks(self, file: InputFile, description: Description, columns: Mapping[str, Content]) -> Iterator[Block]:
        """Yield the rows; errors as :class:`fsq_edge.data.importing.reader.Reader`."""
        _, names, _, values = self._load(file)
        for at in range(0, len(values), BLOCK_ROWS):
            part = values[at : at + BLOCK_ROWS]
            yield Block({name: part[:, i] for i, name in enumerate(names)}, at + 1)

    def _load(self, file: InputFile) -> tuple[dict[str, Any], list[str], list[str], Float64Array]:
        data = file.head(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise DataError(f"{file.name} is larger than {MAX_BYTES} bytes")
        try:
            document = (
                need_package("cbor2", "reading a CBOR file").loads(data)
                if data[:1] not in b"{[ \n"
                else json.loads(data)
            )
            payload = document["payload"]
            sensors = payload["sensors"]
            names, units = (
                [str(sensor["name"]) for sensor in sensors],
                [str(sensor.get("units", "")) for sensor in sensors],
            )
            rows = payload["values"]
            rows = [[row] if not isinstance(row, list) else row for row in rows]
            values = np.array(rows, np.float64).reshape(len(rows), -1)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError, OverflowError) as error:
            raise DataError(f"{file.name} is not an Edge Impulse file: {first_line(error)}") from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("cbor2", "_cbor2"):
                raise
            raise DataError(f"{file.name} is not readable CBOR: {first_line(error)}") from error
        if not len(values) or values.shape[1] != len(names):
            raise DataError(f"{file.name}: values have shape {values.shape}, the file names {len(names)} sensors")
        return payload, names, units, values
