"""Recognising how a text table is written. The first four heads are those of real loggers' files, shortened."""

import codecs

import pytest

from fsq_edge_runtime.tables.dialect import recognize_dialect, split_line

XSENS = (
    "// Start Time: 0\n// Sample rate: 120.0Hz\n// Firmware Version: 2.5.1\n"
    "Counter\tAcc_X\tAcc_Y\tAcc_Z\t\n"
    + "".join(f"{37328 + i}\t-9.404340\t-1.299929\t{-1.9 - i / 100:.6f}\t\n" for i in range(9))
)
SHIMMER = (
    '"sep=\t"\nShimmer_E1B5_Timestamp_CAL\tShimmer_E1B5_Accel_LN_X_CAL\tShimmer_E1B5_Gyro_Z_CAL\n'
    "ms\tm/(s^2)\tdeg/s\n" + "".join(f"{19.53 * i:.4f}\t0.{i}\t-9.8{i}\n" for i in range(9))
)
COUNTS = (
    "Start: 2000-01-27 19:00:00 GMT\n\nName:,Acceleration X+Y,Light\n\nGroup:,0,1\nType:,0+1,3\nSample rate:,10,10\n"
    "Bits:,8,8\n\nBinning mode:,Sum,Average\nAverages:,0,0\n\n"
    + "".join(f"2000-01-27 19:00:0{i},{20 + i},5{i}\n" for i in range(9))
)
ACTILIFE = (
    "------------ Data File Created By ActiGraph GT3X+ ActiLife v6.13.3 date format M/d/yyyy at 30 Hz -----------\n"
    "Serial Number: MOS2D09170398\nStart Time 09:00:00\n--------------------------------------------------\n"
    "Accelerometer X,Accelerometer Y,Accelerometer Z\n" + "0,0.021,-1.003\n0.003,0.024,-0.997\n" * 6
)


@pytest.mark.parametrize(
    ("text", "delimiter", "decimal", "header", "units", "first", "columns"),
    [
        (XSENS, "\t", ".", 4, 0, 5, ("Counter", "Acc_X", "Acc_Y", "Acc_Z")),
        (SHIMMER, "\t", ".", 2, 3, 4, ("Shimmer_E1B5_Timestamp_CAL", "Shimmer_E1B5_Accel_LN_X_CAL")),
        (COUNTS, ",", ".", 0, 0, 13, ("column_1", "column_2", "column_3")),
        (ACTILIFE, ",", ".", 5, 0, 6, ("Accelerometer X", "Accelerometer Y", "Accelerometer Z")),
        ("t;x;y\n" + "1,5;2,25;-3\n" * 9, ";", ",", 1, 0, 2, ("t", "x", "y")),
        ("1.5 2.5  -3\n" * 9, " ", ".", 0, 0, 1, ("column_1", "column_2", "column_3")),
        ("a,b,label\n" + '1,2,"stand, still"\n' * 9, ",", ".", 1, 0, 2, ("a", "b", "label")),
        ("a,a,b\n" + "1,2,3\n" * 9, ",", ".", 1, 0, 2, ("a", "a.1", "b")),
        ("x\n" + "1.5\n" * 9, ",", ".", 1, 0, 2, ("x",)),
    ],
)
def test_the_form_of_a_table(text, delimiter, decimal, header, units, first, columns):
    found = recognize_dialect(text.encode(), whole=True)
    dialect = found.dialect
    assert (dialect.delimiter, dialect.decimal) == (delimiter, decimal)
    assert (dialect.header_line, dialect.units_line, dialect.first_row_line) == (header, units, first)
    assert found.columns[: len(columns)] == columns
    assert set(found.reasons) >= {"encoding", "delimiter", "header_line"}


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8-sig", b""), ("utf-16", codecs.BOM_UTF16_LE), ("cp1252", b""), ("utf-16-le", b"")],
)
def test_encodings_are_recognised(encoding, mark):
    text = "Zeit;Wert °\n" + "1,5;2,5\n" * 9
    data = text.encode(encoding) if encoding != "utf-16" else mark + text.encode("utf-16-le")
    found = recognize_dialect(data, whole=True)
    assert found.dialect.encoding == encoding
    assert found.columns == ("Zeit", "Wert °")


def test_a_comment_mark_is_kept():
    assert recognize_dialect(XSENS.encode(), whole=True).dialect.comment == "//"


@pytest.mark.parametrize("data", [b"", b"\n\n", bytes(range(256)) * 4, b"only words here\nand here\n"])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(ValueError, match=r"no|not"):
        recognize_dialect(data, whole=True)


def test_quoted_cells_keep_their_delimiter():
    assert split_line('1, "a, b" ,2', ",") == ["1", "a, b", "2"]
    assert split_line("  1   2\t3 ", " ") == ["1", "2", "3"]
