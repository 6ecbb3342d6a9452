"""Read = kept + dropped, whatever is wrong with the rows; and the samples that are kept are those of the good rows."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.data import read_folder
from fsq_edge.data.importing.import_map import parse_map
from fsq_edge.data.importing.importer import import_files

MAP = parse_map(
    b"files: [{pattern: '*', table: {delimiter: ',', comment: '#'}, time: {column: t, form: s},"
    b" channels: {a: {column: a}, b: {column: b}}}]\nmax_dropped_percent: 100\n",
    "map",
)
DAMAGE = st.sampled_from(
    [
        "good",
        "good",
        "good",
        "repeat",
        "word",
        "short",
        "long",
        "comment",
        "blank",
        "no time",
        "back",
        "missing",
        "quoted",
    ]
)


@settings(max_examples=60, deadline=None)  # each example waits for the disk (fsync)
@given(st.lists(DAMAGE, min_size=1, max_size=40))
def test_every_row_is_kept_or_counted(kinds):
    lines, good, rows, sound = ["t,a,b"], [], 0, ""
    for i, kind in enumerate(["good", *kinds, "good"]):
        row = f"{i}.5,{i}.25,-{i}"
        text = {
            "repeat": sound,
            "word": f"{i}.5,walk,-{i}",
            "short": f"{i}.5,{i}.25",
            "long": f"{row},7",
            "comment": f"# {row}",
            "blank": "",
            "no time": f",{i}.25,-{i}",
            "back": f"-{i}.5,1,2",
            "missing": f"{i}.5,,-{i}",
            "quoted": f'"{i}.5","{i}.25","-{i}"',
        }.get(kind, row)
        lines.append(text)
        rows += kind not in ("comment", "blank")
        if kind in ("good", "missing", "quoted"):
            sound = text
            good.append((i + 0.5, np.nan if kind == "missing" else i + 0.25, -float(i)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rex.csv").write_text("\n".join(lines) + "\n")
        record = import_files([Path(folder) / "rex.csv"], MAP, Path(folder) / "out")
        entry = record.inputs[0]
        assert entry.rows_read == rows
        assert entry.rows_read == entry.rows_kept + sum(entry.dropped.values())
        recording = read_folder(Path(folder) / "out").recordings[0]
        assert entry.rows_kept == len(recording)
        np.testing.assert_array_equal(recording.timestamps, [time for time, _, _ in good])
        np.testing.assert_array_equal(recording.samples, np.array([row[1:] for row in good], np.float32))
