"""The true behavior beside the decisions, where somebody labelled it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fsq_edge.budget.calendar import cut_at
from fsq_edge.data import UNLABELLED
from fsq_edge.data.folder import read_folder
from fsq_edge_runtime.arrays import Float64Array
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import first_line, read_bounded

MAX_CSV_BYTES = 256 << 20
HOLE_STEPS = 3  # a longer step between two samples is a hole
TOUCH = 1e-6  # two intervals that meet may overlap by the rounding of a text, seconds


def read_csv(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Return the named columns of a CSV file as text.

    Raises:
        MissingInputError: it cannot be read.
        DataError: no CSV file, a column is missing, or it has no row.
    """
    try:
        data = io.BytesIO(read_bounded(path, MAX_CSV_BYTES))
        table = pd.read_csv(data, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path} is no CSV file: {first_line(error)}") from error
    table.columns = [str(name).strip() for name in table.columns]
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}", hint=f"its header must have {', '.join(columns)}")
    if table.empty:
        raise DataError(f"{path} has no row")
    return table[[*columns, *(name for name in optional if name in table.columns)]]


def read_truth(path: Path, streams: Sequence[str]) -> pd.DataFrame:
    """Read what was labelled.

    Args:
        path: CSV with ``start`` and ``end`` (seconds of the source), ``label`` and, where the logs have several
            streams, ``stream``; or a dataset folder, whose recordings are streams of the logs by their names, with or
            without ``.npz``, or by being the only ones.
        streams: of the logs.

    Returns:
        ``stream``, ``start``, ``end``, ``truth``, sorted; intervals of a stream do not overlap.

    Raises:
        MissingInputError: it cannot be read.
        DataError: it is no such file, two intervals overlap, or it names no stream where there are several.
    """
    if path.is_dir():
        return _dataset_truth(path, streams)
    table = read_csv(path, ("start", "end", "label"), ("stream",)).rename(columns={"label": "truth"})
    if "stream" not in table:
        if len(set(streams)) != 1:
            raise DataError(f"{path} has no column 'stream', and the logs have {len(set(streams))} streams")
        table["stream"] = streams[0]
    try:
        table = table.astype({"start": float, "end": float})
    except ValueError as error:
        raise DataError(f"{path}: {first_line(error)}", hint="start and end are seconds of the source") from error
    wrong = ~(np.isfinite(table["start"]) & np.isfinite(table["end"]) & (table["start"] < table["end"]))
    if wrong.any():
        raise DataError(f"{path}, row {int(np.flatnonzero(wrong)[0]) + 1}: start and end are no interval")
    table = table.sort_values(["stream", "start"], ignore_index=True)
    before = table.groupby("stream")["end"].shift()
    overlap = table["start"] < before - TOUCH
    if overlap.any():
        row = table[overlap].iloc[0]
        raise DataError(f"{path}: two intervals of stream {row.stream!r} overlap at {row.start} s")
    table["start"] = np.fmax(table["start"], before)
    return table[["stream", "start", "end", "truth"]]


def _dataset_truth(path: Path, streams: Sequence[str]) -> pd.DataFrame:
    dataset, known = read_folder(path), set(streams)
    parts = []
    for recording in dataset.recordings:
        names = {recording.recording_id, f"{recording.recording_id}.npz"} & known
        if not names and len(dataset.recordings) == len(known) == 1:
            names = known
        step, given = 1.0 / dataset.sample_rate_hz, recording.timestamps
        times: Float64Array = np.asarray(
            np.arange(len(recording.labels)) * step if given is None else given, dtype=np.float64
        )
        edges = np.flatnonzero(np.diff(recording.labels, prepend=UNLABELLED - 1, append=UNLABELLED - 1))
        first, last = edges[:-1], edges[1:] - 1
        labelled = recording.labels[first] >= 0
        ends = np.where(last + 1 < len(times), times[np.minimum(last + 1, len(times) - 1)], times[last] + step)
        # A label does not reach across a hole in the recording.
        ends = np.minimum(ends, times[last] + HOLE_STEPS * step)
        names_of = [dataset.classes[label] for label in recording.labels[first][labelled]]
        part = pd.DataFrame({"start": times[first][labelled], "end": ends[labelled], "truth": names_of})
        parts += [part.assign(stream=name) for name in sorted(names)]
    if not parts:
        raise DataError(
            f"no stream of the logs is named like a recording of {path}",
            hint=f"streams: {', '.join(sorted(known)[:5])}; recordings: "
            f"{', '.join(recording.recording_id for recording in dataset.recordings[:5])}",
        )
    return pd.concat(parts, ignore_index=True)[["stream", "start", "end", "truth"]]


def overlay(pieces: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Cut pieces where the truth changes.

    Args:
        pieces: table of ``read_decisions``.
        truth: table of ``read_truth``.

    Returns:
        The pieces with ``truth``; what nobody labelled is left out.
    """
    parts = []
    for stream, own in truth.groupby("stream", sort=True):
        mine = pieces[pieces["stream"] == stream]
        if mine.empty:
            continue
        edges = np.unique(np.concatenate([[-np.inf, np.inf], own["start"], own["end"]]))
        cut = cut_at(mine, edges)
        label = np.full(len(edges) - 1, None, dtype=object)
        label[np.searchsorted(edges, own["start"])] = own["truth"]
        cut["truth"] = label[cut["part"]]
        parts.append(cut[cut["truth"].notna()].drop(columns="part"))
    if not parts:
        raise DataError("no decision lies in a labelled time", hint="are the truth's times those of the source?")
    return pd.concat(parts, ignore_index=True)


def compare(pieces: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Put the true shares beside those of the decisions, over the time that was labelled and covered.

    Returns:
        ``stream``, ``state``, ``true_s``, ``total_s``, ``true_percent``, ``percent`` and ``agreed_s`` (both at once).
    """
    both = overlay(pieces, truth)
    both["length_s"] = both["end"] - both["start"]
    keys = ["stream", "state"]
    shown = both.groupby(keys)["length_s"].sum().rename("total_s")
    true = both.groupby(["stream", "truth"])["length_s"].sum().rename("true_s")
    true.index.names = keys
    agreed = both[both["state"] == both["truth"]].groupby(keys)["length_s"].sum().rename("agreed_s")
    table = pd.concat([true, shown, agreed], axis=1).fillna(0.0).reset_index()
    whole = table.groupby("stream")["true_s"].transform("sum")
    table["true_percent"], table["percent"] = 100 * table["true_s"] / whole, 100 * table["total_s"] / whole
    table = table.sort_values(keys, ignore_index=True)
    return table[["stream", "state", "true_s", "total_s", "true_percent", "percent", "agreed_s"]]
