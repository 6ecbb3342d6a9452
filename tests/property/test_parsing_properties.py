"""Lines from outside are counted or understood, and never break the reader."""

import json
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.sources.lines import LineBuffer, LineParser
from fsq_edge_runtime.sources.named_values import JsonRows
from fsq_edge_runtime.sources.parsing import RowError
from tests.factories.bundles import random_bundle

OFTEN = settings(max_examples=150, deadline=None, derandomize=True)
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")

number = st.one_of(
    st.floats(), st.integers(), st.integers(10**300, 10**320), st.none(), st.booleans(), st.text(max_size=3)
)
value = st.one_of(number, st.lists(number, max_size=8), st.lists(st.lists(number, max_size=7), max_size=3))
objects = st.dictionaries(st.sampled_from(["t", "x", "stream", "y"]), value, max_size=4).map(json.dumps)
line = st.one_of(
    st.binary(max_size=60),
    objects.map(str.encode),
    st.lists(number, max_size=9).map(lambda cells: ",".join(map(str, cells)).encode("utf-8", "replace")),
)


@OFTEN
@given(lines=st.lists(line, max_size=20), header=st.booleans())
def test_no_line_breaks_the_parser(lines, header):
    counters: dict[str, int] = {}
    parser = LineParser(CHANNELS, counters, header=header, origin="test")
    for one in lines:
        try:
            chunks = parser.parse([one])
        except DataError:
            assert header  # the only line that may be refused for good is a header
            continue
        for chunk in chunks:
            assert chunk.samples.shape[1] == 6
            assert chunk.samples.dtype == np.float32
            assert chunk.timestamps is None or np.isfinite(chunk.timestamps).all()
            assert chunk.stream
            assert chunk.stream.isprintable()


several = st.one_of(
    st.floats(width=32), st.sampled_from([0.5, 1e300, float("nan"), 3, 10**320, None, True, "1", [1.0]])
)
plain = st.floats(-10, 10)


@OFTEN
@given(
    x=st.lists(
        st.one_of(st.lists(plain, min_size=6, max_size=6), st.lists(several, min_size=5, max_size=7)), max_size=5
    ),
    t=st.one_of(st.none(), st.lists(st.one_of(plain, several), max_size=5)),
)
def test_several_samples_in_an_object_are_what_they_are_one_by_one(x, t):
    rows = JsonRows(6)

    def read(samples, times):
        try:
            return rows.rows(json.dumps({"stream": "rex", "t": times, "x": samples}))
        except RowError:
            return None

    singly = [read(sample, None if t is None else at) for sample, at in zip(x, t or [None] * len(x), strict=False)]
    if not x or (t is not None and len(t) != len(x)) or None in singly:
        expected = None
    else:
        expected = [row for found in singly for row in found]
    assert repr(read(x, t)) == repr(expected)  # NaN is NaN there


@OFTEN
@given(lines=st.lists(st.binary(max_size=50).map(lambda data: data.replace(b"\n", b"")), max_size=20), data=st.data())
def test_lines_are_whole_however_the_bytes_come(lines, data):
    text, buffer, found, at = b"\n".join(lines), LineBuffer(), [], 0
    while at < len(text):
        size = data.draw(st.integers(1, 40))
        found += buffer.feed(text[at : at + size])
        at += size
    found += buffer.finish()
    assert [one.strip() for one in found] == [one.strip() for one in lines if one.strip()]


@OFTEN
@given(
    times=st.lists(
        st.one_of(st.floats(), st.floats(0, 10), st.sampled_from([0.0, 1e300, -1e300, 5e-324, 1.6e9, 2.0**53])),
        min_size=1, max_size=60,
    )
)  # fmt: skip
def test_no_timestamp_breaks_a_session(times):
    samples = np.ones((len(times), 6), np.float32)
    with random_bundle().open_session(backend="onnx") as session:
        for decision in session.push(samples, times):
            assert math.isfinite(decision.t_start)
        totals = session.totals
    assert totals.received == len(times)
    assert totals.accepted + totals.duplicate + totals.late + totals.bad_time == len(times)
