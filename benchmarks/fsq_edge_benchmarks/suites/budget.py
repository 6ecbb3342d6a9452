"""Time budgets of stitched recordings against their truth, as decided and corrected, each subject by the others.

    python -m fsq_edge_benchmarks.suites.budget BUNDLE... --data watch --days 6

The streams are the labelled recordings of the subjects that the bundle was not trained on. How often each true class
got each answer is measured on all but one of them. The budgets of that one's days, stitched of recordings in random
shares, are corrected by it and held against their truth.
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
from fsq_edge.tuning.streams import LabelledStream, make_streams, open_recordings
from fsq_edge_runtime import Bundle
from fsq_edge_runtime.errors import UsageError

LEAST_SUBJECTS = 4  # three to measure, one to correct
DAY_S = 900.0
ALIKE = (0.3, 1.0, 5.0)  # of the shares of a day, in turns: the Dirichlet's concentration, from few classes to all


def decided_streams(bundle: Bundle, data: str, subjects: list[str], seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stream the recordings of subjects; return the pieces and the truth, a stream a subject.

    Raises:
        UsageError: too few subjects.
    """
    dataset = open_recordings(data, bundle)
    chosen = [one for one in dataset.recordings if one.subject in subjects]
    if len({one.subject for one in chosen}) < LEAST_SUBJECTS:
        raise UsageError(f"{LEAST_SUBJECTS} held-out subjects are needed", hint="train with more --test-subjects")
    return _decide(bundle, make_streams(chosen, dataset, bundle, seed)[0])


def decided_days(
    bundle: Bundle, data: str, subjects: list[str], seed: int, days: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stream days of each subject, whose behaviors have random shares; streams are called ``SUBJECT/DAY``."""
    dataset = open_recordings(data, bundle)
    made: list[LabelledStream] = []
    for subject in subjects:
        streams, _ = make_streams([one for one in dataset.recordings if one.subject == subject], dataset, bundle, seed)
        samples = np.concatenate([one.samples for one in streams])
        labels = np.concatenate([one.labels for one in streams])
        edges = np.flatnonzero(np.diff(labels, prepend=-9, append=-9))
        blocks = {k: [pair for pair in pairwise(edges) if labels[pair[0]] == k] for k in np.unique(labels) if k >= 0}
        draw = np.random.default_rng([seed, dataset.subjects.index(subject)])
        for day in range(days):
            shares, parts, length = draw.dirichlet([ALIKE[day % len(ALIKE)]] * len(blocks)), [], 0
            while length < DAY_S * bundle.preprocess.sample_rate_hz:
                own = blocks[draw.choice(list(blocks), p=shares)]
                begin, end = own[draw.integers(len(own))]
                parts.append(np.arange(begin, end))
                length += end - begin
            at = np.concatenate(parts)
            made.append(LabelledStream(f"{subject}/{day}", samples[at], labels[at], None))
    return _decide(bundle, made)


def _decide(bundle: Bundle, streams: list[LabelledStream]) -> tuple[pd.DataFrame, pd.DataFrame]:
    windows: list[tuple[str, float, float, str]] = []
    truth: list[tuple[str, float, float, str]] = []
    rate = bundle.preprocess.sample_rate_hz
    with bundle.open_session("onnx", deadline_ms=0.0) as session:
        for stream in streams:
            for one in session.push(stream.samples, stream.timestamps, stream.name):
                state = MISSED if one.missed else ABSTAINED if one.label is None else one.label
                windows.append((stream.name, one.t_start, one.t_end, state))
            edges = np.flatnonzero(np.diff(stream.labels, prepend=-9, append=-9))
            for begin, end in pairwise(edges):
                if 0 <= stream.labels[begin] < len(bundle.classes):
                    truth.append((stream.name, begin / rate, end / rate, bundle.classes[stream.labels[begin]]))
    pieces = join_pieces(pd.DataFrame(windows, columns=["stream", "start", "end", "state"]))
    return pieces, pd.DataFrame(truth, columns=["stream", "start", "end", "truth"])


Table = tuple[pd.DataFrame, pd.DataFrame]


def corrected_by_others(measured: Table, days: Table) -> pd.DataFrame:
    """Return, a day and class: the true share, the decided and the corrected one with its interval, percent.

    Args:
        measured: pieces and truth of ``decided_streams``: what the correction is measured on.
        days: pieces and truth of ``decided_days``; a subject's days are corrected by the other subjects.
    """
    (pieces, truth), (day_pieces, day_truth) = measured, days
    owner = {stream: stream.rpartition("/")[0] for stream in day_truth["stream"].unique()}
    parts = []
    for subject in dict.fromkeys(owner.values()):
        others = f"subject {subject}, stitched"
        correction = Correction.measure(pieces[pieces["stream"] != others], truth[truth["stream"] != others])
        mine = [stream for stream, whose in owner.items() if whose == subject]
        own, labelled = day_pieces[day_pieces["stream"].isin(mine)], day_truth[day_truth["stream"].isin(mine)]
        found = correct(own, correction)
        answered = own[~own["state"].isin(WITHOUT_ANSWER)]
        true = compare(answered, labelled).set_index(["stream", "state"])["true_percent"]
        pairs = pd.MultiIndex.from_frame(found[["stream", "state"]])
        found["true"] = true.reindex(pairs).fillna(0.0).to_numpy()
        parts.append(found[found["state"].isin(correction.classes)].assign(subject=subject))
    table = pd.concat(parts, ignore_index=True)
    table["inside"] = (table["low"] <= table["true"]) & (table["true"] <= table["high"])
    return table[["subject", "stream", "state", "true", "percent", "corrected", "low", "high", "inside"]]


def main() -> None:
    """Print how often the truth is inside the interval, a bundle a line and over all."""
    parser = argparse.ArgumentParser(prog="python -m fsq_edge_benchmarks.suites.budget", description=__doc__)
    parser.add_argument("bundles", type=Path, nargs="+", help="trained bundles of the data set")
    parser.add_argument("--data", default="watch", help="watch or folder:PATH (default watch)")
    parser.add_argument("--days", type=int, default=6, help="days a held-out subject (default 6)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of stitching and of the days (default 0)")
    options = parser.parse_args()
    tables = []
    for path in options.bundles:
        bundle = Bundle.open(path)
        split = bundle.manifest.provenance.get("split") or {}
        held_out = [*split.get("test_subjects", ()), *split.get("val_subjects", ())]
        measured = decided_streams(bundle, options.data, held_out, options.seed)
        days = decided_days(bundle, options.data, held_out, options.seed, options.days)
        tables.append(corrected_by_others(measured, days).assign(bundle=path.name))
        print(f"{path.name}: {_summary(tables[-1])}", flush=True)
    print(f"all: {_summary(pd.concat(tables, ignore_index=True))}")


def _summary(table: pd.DataFrame) -> str:
    inside = table.groupby(["bundle", "subject"])["inside"].mean()  # a subject's days are no independent tries
    error = 100 * inside.std() / np.sqrt(len(inside))
    off, raw = (table["corrected"] - table["true"]).abs().mean(), (table["percent"] - table["true"]).abs().mean()
    width = (table["high"] - table["low"]).median()
    return (
        f"{table['inside'].sum()} of {len(table)} true shares inside ({100 * inside.mean():.1f} % +- {error:.1f}), "
        f"median width {width:.1f}, mean distance {off:.2f} corrected, {raw:.2f} as decided (points)"
    )


if __name__ == "__main__":
    main()
