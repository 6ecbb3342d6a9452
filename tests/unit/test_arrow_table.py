"""The quick parser of even blocks gives what pandas gives, or leaves the block to it."""

import io
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsq_edge.data.importing.readers.arrow_table import ArrowTable
from fsq_edge_runtime.tables.dialect import Dialect

NAMES = ["t", "x", "label"]
WANTED = {"t": "time", "x": "number", "label": "text"}


def parse(text, delimiter=",", decimal=".", wanted=WANTED, encoding="utf-8"):
    table = ArrowTable(Dialect(encoding, delimiter, decimal), NAMES, wanted)
    return table.columns(text.encode(encoding), text.count("\n"))


@pytest.mark.parametrize("missing", ["", "NA", "nan", "null", "None", "<NA>", "#N/A"])
def test_missing_values_are_those_of_pandas(missing):
    text = f"1,{missing},{missing}\n2,0.5,walk\n"
    found = parse(text)
    frame = pd.read_csv(io.StringIO(text), header=None, names=NAMES, dtype={"label": str})
    np.testing.assert_array_equal(found["x"], frame["x"].to_numpy())
    assert found["label"].tolist() == ["", "walk"]
    assert frame["label"].isna().tolist() == [True, False]
    assert found["t"].dtype == np.int64


@given(st.lists(st.decimals(-(10**9), 10**9, places=6), min_size=1, max_size=30), st.sampled_from([",", "."]))
@settings(deadline=None, max_examples=40)
def test_numbers_are_the_nearest_doubles(values, decimal):
    rows = "".join(f"{i};{str(value).replace('.', decimal)};a\n" for i, value in enumerate(values))
    found = parse(rows, ";", decimal)
    assert found["x"].tolist() == [float(Decimal(value)) for value in values]


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n1,2,a\n",  # a short row
        "1,2,a,b\n1,2,a\n",  # a long one
        "1,x,a\n",  # no number
        "1, 2,a\n",  # spaces, which pandas skips
        "1,2,a\n\n",  # a blank line
        "2024-06-01T10:00:00,2,a\n",  # a date where a number of seconds is expected
    ],
)
def test_what_is_not_plain_is_left_to_pandas(text):
    assert parse(text) is None


def test_texts_in_a_byte_encoding_are_left_to_pandas_and_numbers_are_not():
    assert parse("1,2,ü\n", encoding="latin-1") is None
    assert parse("1,2,ü\n", encoding="latin-1", wanted={"x": "number"})["x"].tolist() == [2.0]
    assert not ArrowTable(Dialect("utf-8", ",", "."), ["a", "a"], {"a": "number"}).fits
