"""Time budgets of stitched recordings against their truth, as decided and corrected, each subject by the others.

    python -m fsq_edge_benchmarks.suites.budget BUNDLE --data watch

The streams are the labelled recordings of the subjects that the bundle was not trained on. How often each true class
got each answer is measured on all but one of them; the budget of that one is corrected by it and held against its
truth.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from fsq_edge.budget import Correction, compare, correct
from fsq_edge.budget.correction import WITHOUT_ANSWER
from fsq_edge.budget.decisions import ABSTAINED, MISSED, join_pieces
from fsq_edge.tuning.streams import make_streams, open_recordings
from fsq_edge_runtime import Bundle
from fsq_edge_runtime.errors import UsageError

LEAST_SUBJECTS = 4  # three to measure, one to correct


def decided_streams(bundle: Bundle, data: str, subjects: list[str], seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stream the recordings of subjects; return the pieces and the truth, a stream a subject.

    Raises:
        UsageError: too few subjects.
    """
    dataset = open_recordings(data, bundle)
    chosen = [one for one in dataset.recordings if one.subject in subjects]
    if len({one.subject for one in chosen}) < LEAST_SUBJECTS:
        raise UsageError(f"{LEAST_SUBJECTS} held-out subjects are needed", hint="train with more --test-subjects")
    windows: list[tuple[str, float, float, str]] = []
    truth: list[tuple[str, float, float, str]] = []
    rate = bundle.preprocess.sample_rate_hz
    with bundle.open_session("onnx", deadline_ms=0.0) as session:
        for stream in make_streams(chosen, dataset, bundle, seed)[0]:
            for one in session.push(stream.samples, stream.timestamps, stream.name):
                state = MISSED if one.missed else ABSTAINED if one.label is None else one.label
                windows.append((stream.name, one.t_start, one.t_end, state))
            edges = np.flatnonzero(np.diff(stream.labels, prepend=-9, append=-9))
            for begin, end in pairwise(edges):
                if 0 <= stream.labels[begin] < len(bundle.classes):
                    truth.append((stream.name, begin / rate, end / rate, bundle.classes[stream.labels[begin]]))
    pieces = join_pieces(pd.DataFrame(windows, columns=["stream", "start", "end", "state"]))
    return pieces, pd.DataFrame(truth, columns=["stream", "start", "end", "truth"])


def corrected_by_others(pieces: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return, a stream and class: the true share, the decided and the corrected one with its interval, percent."""
    parts = []
    for stream in truth["stream"].unique():
        mine, others = pieces["stream"] == stream, truth["stream"] != stream
        correction = Correction.measure(pieces[~mine], truth[others])
        found = correct(pieces[mine], correction)
        answered = pieces[mine & ~pieces["state"].isin(WITHOUT_ANSWER)]
        true = compare(answered, truth[~others]).set_index("state")["true_percent"]
        found["true"] = found["state"].map(true).fillna(0.0)
        parts.append(found[found["state"].isin(correction.classes)])
    table = pd.concat(parts, ignore_index=True)
    table["inside"] = (table["low"] <= table["true"]) & (table["true"] <= table["high"])
    return table[["stream", "state", "true", "percent", "corrected", "low", "high", "inside"]]


def main() -> None:
    """Print the table and its summary."""
    parser = argparse.ArgumentParser(prog="python -m fsq_edge_benchmarks.suites.budget", description=__doc__)
    parser.add_argument("bundle", type=Path, help="trained bundle of the data set")
    parser.add_argument("--data", default="watch", help="watch, quadruped or folder:PATH (default watch)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of stitching (default 0)")
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    split = bundle.manifest.provenance.get("split") or {}
    held_out = [*split.get("test_subjects", ()), *split.get("val_subjects", ())]
    table = corrected_by_others(*decided_streams(bundle, options.data, held_out, options.seed))
    print(table.round(1).to_string(index=False))
    off, raw = (table["corrected"] - table["true"]).abs().mean(), (table["percent"] - table["true"]).abs().mean()
    print(f"{table['inside'].sum()} of {len(table)} true shares are inside the interval")
    print(f"mean distance from the truth: {off:.2f} corrected, {raw:.2f} as decided (percentage points)")


if __name__ == "__main__":
    main()
