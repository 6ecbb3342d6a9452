"""Maps that ship: one YAML file each, beside this module."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from fsq_edge.data.importing.guess import guess_map
from fsq_edge.data.importing.import_map import ImportMap, parse_map
from fsq_edge.data.importing.inputs import find_inputs
from fsq_edge.data.importing.reader import choose_reader, known_readers
from fsq_edge_runtime.errors import UsageError

PRESETS = {
    "generic": "a CSV with timestamp, acc_x ... gyro_z (or AccX, ax, ...), label; m/s2 or g by gravity is not guessed",
    "xsens": "Xsens MTw and Awinda text exports (tab, Counter, Acc_X, Gyr_X, Mag_X); the rate stands in the preamble",
    "xio": "x-io x-IMU3: Inertial.csv with Magnetometer.csv beside it",
    "ngimu": "x-io NGIMU: sensors.csv",
    "shimmer": "Shimmer Consensys exports with a row of units",
    "geneactiv": "GENEActiv CSV exports (100 lines of header)",
    "sensor-logger": "Sensor Logger (phone): a zip with Accelerometer.csv and Gyroscope.csv",
    "phyphox": "phyphox (phone): a zip with Accelerometer.csv and Gyroscope.csv",
    "edge-impulse": "Edge Impulse data acquisition files, JSON or CBOR",
    "movebank": "Movebank acceleration CSV with raw samples in a row",
    "actigraph-csv": "ActiLife raw CSV exports (10 lines of header, no times)",
}


def load_preset(name: str) -> ImportMap:
    """Return a map that ships.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}", hint=f"one of {', '.join(PRESETS)}")
    return parse_map((files(__package__) / f"{name}.yaml").read_bytes(), f"the preset {name}")


def self_explaining_map(paths: Iterable[Path]) -> ImportMap:
    """Return the map of files whose format says all that a map would say.

    Raises:
        UsageError: a file needs a map.
        DataError: no reader knows a file.
    """
    paths = list(paths)
    readers = known_readers()
    for file in find_inputs(paths):
        reader = choose_reader(file, "", readers)
        if not reader.describe(file, None).time:
            raise UsageError(
                f"{file.name} does not say what its columns are",
                hint=f"fsq-edge data import {shlex.quote(str(paths[0]))} --guess writes a map; then --map map.yaml",
            )
    return parse_map(guess_map(paths).text.encode(), "the map of the files")
