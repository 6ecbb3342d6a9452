"""Which intervals belong to which recording: by subject, observation, file name, or since there is only one."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from fsq_edge.data.labels.interval import LabelFile, LabelSpan
from fsq_edge.data.recording import Recording
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.files import read_bounded

MAX_TABLE_BYTES = 16 << 20


def read_subject_table(path: Path) -> dict[str, str]:
    """Read a table of two columns: a label file, observation or subject as written, and the recording or subject here.

    Raises:
        MissingInputError: it cannot be read.
        DataError: a row has fewer than two columns.
    """
    text = read_bounded(path, MAX_TABLE_BYTES, what="the table").decode("utf-8-sig", "replace")
    delimiter = max((",", ";", "\t"), key=text.count)
    table = {}
    for number, cells in enumerate(csv.reader(text.splitlines(), delimiter=delimiter), 1):
        if not any(cells):
            continue
        if len(cells) < 2:
            raise DataError(
                f"{path.name}, line {number}: expected two columns: as written, and the recording or subject"
            )
        table[cells[0].strip()] = cells[1].strip()
    return table


class Matcher:
    """Finds the recordings of intervals.

    Args:
        recordings: of the data set.
        table: as written -> recording id or subject.
    """

    def __init__(self, recordings: Sequence[Recording], table: Mapping[str, str]) -> None:
        self._recordings, self._table = recordings, table

    def candidates(self, file: LabelFile, interval: LabelSpan) -> list[int]:
        """Return positions of the recordings that an interval may belong to.

        Raises:
            DataError: a subject or recording that the data set does not have.
        """
        found = list(range(len(self._recordings)))
        decided = False
        for word, strict in ((interval.recording, False), (file.name, False), (interval.subject, True)):
            if not word:
                continue
            narrowed = self._named(self._table.get(word, word), found)
            if narrowed:
                found, decided = narrowed, True
            elif word in self._table or (strict and not decided and len(self._recordings) > 1):
                raise self._unknown(file, interval, self._table.get(word, word))
        if interval.tier and not interval.subject:
            found = self._named(self._table.get(interval.tier, interval.tier), found) or found
        return found

    def _named(self, word: str, among: Sequence[int]) -> list[int]:
        """Recordings whose id, subject or session is the word, or whose id the word's file name holds."""
        stem = PurePosixPath(word).name.lower()
        stem = stem.rpartition(".")[0] or stem
        exact = [i for i in among if stem in self._names(i) or word.lower() in self._names(i)]
        if exact:
            return exact
        parts = stem.replace("-", "_").replace(" ", "_").replace(".", "_").split("_")
        return [i for i in among if self._recordings[i].subject.lower() in parts] or [
            i
            for i in among
            if len(self._recordings[i].recording_id) > 3 and self._recordings[i].recording_id.lower() in stem
        ]

    def _names(self, position: int) -> set[str]:
        recording = self._recordings[position]
        return {recording.recording_id.lower(), recording.subject.lower(), recording.session.lower()} - {""}

    def _unknown(self, file: LabelFile, interval: LabelSpan, word: str) -> DataError:
        subjects = sorted({recording.subject for recording in self._recordings})
        near = difflib.get_close_matches(word, subjects, 3, 0.4) or subjects[:8]
        line = f", line {interval.line}" if interval.line else ""
        return DataError(
            f"{file.name}{line}: the data set has no subject or recording {word!r}; near it are {', '.join(near)}",
            hint="give --subjects TABLE with two columns: as written, and as the data set calls it",
        )
