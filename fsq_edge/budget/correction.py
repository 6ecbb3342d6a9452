"""Shares corrected for the mistakes that a classifier is known to make, with an interval."""

from __future__ import annotations

from typing import ClassVar, Self

import pandas as pd
from pydantic import Field, model_validator

from fsq_edge.budget.decisions import ABSTAINED, MISSED
from fsq_edge.budget.habits import Habits
from fsq_edge.budget.truth import overlay
from fsq_edge_runtime.artefact import Artefact
from fsq_edge_runtime.errors import DataError

MAX_UNSEEN = 0.01  # share of a stream's time; less is left out
WITHOUT_ANSWER = (ABSTAINED, MISSED)


class Correction(Artefact):
    """How long each true class was answered by what, stream by stream (``correction.json``).

    Attributes:
        classes: K true classes.
        answers: A labels that decisions had, in the order of the columns.
        streams: names of the labelled streams; one wearer each, so that their differences say how sure the rest is.
        seconds: streams x K x A.
    """

    KIND: ClassVar[str] = "the correction"

    classes: tuple[str, ...] = Field(min_length=1, max_length=512)
    answers: tuple[str, ...] = Field(min_length=1, max_length=512)
    streams: tuple[str, ...] = Field(min_length=1, max_length=4096)
    seconds: tuple[tuple[tuple[float, ...], ...], ...]

    @model_validator(mode="after")
    def _shaped(self) -> Self:
        shape = (len(self.streams), len(self.classes), len(self.answers))
        rows = [row for table in self.seconds for row in table]
        if len(self.seconds) != shape[0] or any(len(table) != shape[1] for table in self.seconds):
            raise ValueError(f"seconds must be {shape}")
        if any(len(row) != shape[2] or min(row) < 0 for row in rows):
            raise ValueError(f"seconds must be {shape}, not negative")
        if len(set(self.classes)) < shape[1] or len(set(self.answers)) < shape[2]:
            raise ValueError("a class or an answer occurs twice")
        return self

    @classmethod
    def measure(cls, pieces: pd.DataFrame, truth: pd.DataFrame) -> Correction:
        """Measure it on streams that were labelled.

        Args:
            pieces: table of ``read_decisions``.
            truth: table of ``read_truth``.

        Raises:
            DataError: no labelled time has an answer.
        """
        both = overlay(pieces, truth)
        both = both[~both["state"].isin(WITHOUT_ANSWER)]
        if both.empty:
            raise DataError("no labelled time has an answer")
        both["length_s"] = both["end"] - both["start"]
        sums = both.groupby(["stream", "truth", "state"])["length_s"].sum()
        streams, classes, answers = (sorted(sums.index.unique(level=level)) for level in ("stream", "truth", "state"))
        whole = pd.MultiIndex.from_product([streams, classes, answers])
        table = sums.reindex(whole, fill_value=0.0).to_numpy().reshape(len(streams), len(classes), len(answers))
        seconds = tuple(tuple(tuple(float(cell) for cell in row) for row in rows) for rows in table)
        return cls(classes=tuple(classes), answers=tuple(answers), streams=tuple(streams), seconds=seconds)


def correct(pieces: pd.DataFrame, correction: Correction) -> pd.DataFrame:
    """Estimate the true shares of each stream's answered time.

    Undoing a classifier's mistakes helps where wearers are alike, and does harm where each has habits of its own. So
    the estimate lies between the decided shares and those under which the answers are most likely, where the labelled
    streams would have come nearest to the truth, each corrected by the others. The interval is that of one more wearer,
    whose habits differ from those of the labelled ones as they differ from each other.

    Args:
        pieces: table of ``read_decisions``.
        correction: measured on other streams.

    Returns:
        ``stream``, ``state``, ``percent`` (of the answered time, as decided), ``corrected`` and, 95 %, ``low`` and
        ``high``; those are NaN with fewer than three labelled streams, and where the answers do not tell the classes
        apart. ``corrected`` adds up to 100 a stream.

    Raises:
        DataError: more than ``MAX_UNSEEN`` of a stream's time has an answer that the correction has never seen.

    """
    habits = Habits(correction.classes, correction.answers, correction.seconds)
    answered = pieces[~pieces["state"].isin(WITHOUT_ANSWER)]
    parts = []
    for stream, own in answered.groupby("stream", sort=True):
        seconds = (own["end"] - own["start"]).groupby(own["state"]).sum()
        unseen = seconds[~seconds.index.isin(correction.answers)]
        if unseen.sum() > MAX_UNSEEN * seconds.sum():
            raise DataError(
                f"stream {stream!r} has the answer {unseen.idxmax()!r}, which the correction has never seen",
                hint="measure it again, on labelled streams of this bundle",
            )
        answers = seconds.reindex(list(correction.answers), fill_value=0.0).to_numpy()
        estimate, low, high = habits.estimate(answers / answers.sum())
        row = pd.DataFrame({"stream": stream, "state": habits.states})
        decided = dict(zip(correction.answers, answers / answers.sum(), strict=True))
        row["percent"] = [100 * decided.get(name, 0.0) for name in habits.states]
        row["corrected"] = 100 * estimate
        row["low"], row["high"] = 100 * low, 100 * high
        parts.append(row)
    return pd.concat(parts, ignore_index=True)
