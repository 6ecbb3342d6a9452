"""Forms of time: recognised from names and values, read exactly, with zones and clock changes."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsq_edge_runtime.tables.times import TextClock, TimeForm, numbers_to_seconds, recognize_time
from fsq_edge_runtime.tables.zones import LocalTimeError, open_zone

VIENNA = open_zone("Europe/Vienna")


@pytest.mark.parametrize(
    ("name", "cells", "kind", "pattern"),
    [
        ("Time (s)", ["0.000", "0.020", "0.041"], "s", ""),
        ("Timestamp (us)", ["392093562", "392113596"], "us", ""),
        ("time_ms", ["0", "20", "40"], "ms", ""),
        ("seconds_elapsed", ["0.01", "0.02"], "s", ""),
        ("time", ["1697040000000000000", "1697040000010000000"], "ns", ""),
        ("ts", ["1697040000123", "1697040000133"], "ms", ""),
        ("t", ["1697040000.25", "1697040000.35"], "s", ""),
        ("timestamp", ["2023-10-11T16:00:00.250Z", "2023-10-11T16:00:00.350Z"], "iso", ""),
        ("study-local", ["2014-05-07 13:29:50.439000+0100 [Europe/London]"], "iso", ""),
        ("Time", ["23:59:59.5", "00:00:00.0"], "clock", ""),
        ("Time", ["23:59:59:500", "00:00:00:000"], "clock", ""),
        ("time", ["59:59.9", "00:00.0"], "clock", ""),
        ("Timestamp", ["10/22/2019 12:01:00.033", "10/22/2019 12:01:00.066"], "pattern", "%m/%d/%Y %H:%M:%S.%f"),
        ("Zeit", ["22.10.2019 12:01:00", "22.10.2019 12:01:01"], "pattern", "%d.%m.%Y %H:%M:%S"),
        ("T", ["1/13/20 1:01:00 PM", "1/13/20 1:01:01 PM"], "pattern", "%m/%d/%y %I:%M:%S %p"),
    ],
)
def test_forms_are_recognised(name, cells, kind, pattern):
    form = recognize_time(name, cells)
    assert form is not None
    assert (form.kind, form.pattern) == (kind, pattern)
    assert form.reason


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("Counter", ["37328", "37329", "37330"]),
        ("acc_x", ["0.1", "0.2", "0.1"]),
        ("label", ["walk", "run"]),
        ("time", ["10:15", "10:16"]),
        ("subject", ["1", "1", "1"]),
    ],
)
def test_other_columns_are_no_times(name, cells):
    assert recognize_time(name, cells) is None


def test_the_order_of_day_and_month_is_decided_by_the_values_or_doubted():
    assert recognize_time("t", ["13/01/2020 10:00:00"]).pattern == "%d/%m/%Y %H:%M:%S"
    assert recognize_time("t", ["01/02/2020 10:00:00"]).doubt
    assert not recognize_time("t", ["02/02/2020 10:00:00"]).doubt


def test_whole_nanoseconds_lose_nothing_before_the_division():
    values = np.array([1697040000000000001, 1697040000500000000])
    assert numbers_to_seconds(values, "ns").tolist() == [1697040000.0, 1697040000.5]


MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1))


@given(st.lists(MOMENTS, min_size=1, max_size=6), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_iso_equals_the_standard_library(moments, precision):
    cells = [moment.isoformat(sep=" ", timespec=precision) for moment in moments]
    truth = [datetime.fromisoformat(cell).replace(tzinfo=UTC).timestamp() for cell in cells]
    np.testing.assert_allclose(TextClock(TimeForm("iso")).seconds(cells), truth, rtol=0, atol=5e-7)
    mixed = [*cells, "2020-01-01T00:00:00.25"]  # another length takes the slow way
    np.testing.assert_allclose(TextClock(TimeForm("iso")).seconds(mixed)[:-1], truth, rtol=0, atol=5e-7)


@pytest.mark.parametrize("zone", ["Z", "+02:00", "-0530", " +02:00"])
def test_a_stated_zone_is_subtracted(zone):
    cell = f"2023-10-11T16:00:00.250{zone}"
    truth = datetime.fromisoformat(cell.replace(" ", "")).timestamp()
    assert TextClock(TimeForm("iso", zoned=True)).seconds([cell])[0] == pytest.approx(truth, abs=1e-6)
    assert np.isnan(TextClock(TimeForm("iso", zoned=True)).seconds([cell, "nonsense"])[1])


@pytest.mark.parametrize(
    ("cell", "truth"),
    [
        ("2014-05-07 13:29:50.439000+0100 [Europe/London]", "2014-05-07T12:29:50.439+00:00"),
        ("2012-05-23 16:47:50:250", "2012-05-23T16:47:50.250+00:00"),
        ("2012-5-3 6:07:08,5", "2012-05-03T06:07:08.500+00:00"),
        ("2012-05-03T06:07Z", "2012-05-03T06:07:00+00:00"),
    ],
)
def test_spellings_of_iso_that_files_hold(cell, truth):
    form = recognize_time("time", [cell])
    assert form is not None
    assert form.kind == "iso"
    for cells in ([cell], [cell, "2020-01-01"]):
        assert TextClock(form).seconds(cells)[0] == datetime.fromisoformat(truth).timestamp()


def test_impossible_dates_are_missing():
    got = TextClock(TimeForm("iso")).seconds(["2023-02-29T10:00:00", "2023-02-28T10:00:00", "2023-13-01T10:00:00"])
    assert np.isnan(got).tolist() == [True, False, True]


def test_a_clock_passes_midnight_between_blocks():
    clock = TextClock(TimeForm("clock"))
    assert clock.seconds(["23:59:59.5"]).tolist() == [86399.5]
    assert clock.seconds(["00:00:00,5", "00:00:01"]).tolist() == [86400.5, 86401.0]


def test_a_clock_of_minutes_passes_the_hour_between_blocks():
    clock = TextClock(TimeForm("clock"))
    assert clock.seconds(["59:59.9", "00:00.1"]).tolist() == pytest.approx([3599.9, 3600.1])
    assert clock.seconds(["30:00.0", "59:59.5", "0:00.5"]).tolist() == pytest.approx([5400.0, 7199.5, 7200.5])


def test_local_times_take_the_zone_of_their_date():
    cells = ["2024-01-15T12:00:00", "2024-07-15T12:00:00"]
    got = TextClock(TimeForm("iso"), VIENNA).seconds(cells)
    truth = [datetime.fromisoformat(cell).replace(tzinfo=VIENNA).timestamp() for cell in cells]
    assert got.tolist() == truth


def test_the_hour_that_occurs_twice_is_refused_or_decided():
    cells = ["2024-10-27T01:59:59", "2024-10-27T02:30:00"]
    with pytest.raises(LocalTimeError, match="2024-10-27 02:30:00 occurs twice in Europe/Vienna") as error:
        TextClock(TimeForm("iso"), VIENNA).seconds(cells)
    assert error.value.position == 1
    earlier = TextClock(TimeForm("iso"), VIENNA, "earlier").seconds(cells)
    later = TextClock(TimeForm("iso"), VIENNA, "later").seconds(cells)
    assert (later - earlier).tolist() == [0.0, 3600.0]


def test_the_order_of_rows_decides_the_repeated_hour():
    cells = ["2024-10-27T02:30:00", "2024-10-27T02:59:59", "2024-10-27T02:00:00", "2024-10-27T03:00:00"]
    got = TextClock(TimeForm("iso"), VIENNA, "order").seconds(cells)
    assert np.diff(got).tolist() == [1799.0, 1.0, 3600.0]


def test_the_hour_that_never_was_is_refused():
    with pytest.raises(LocalTimeError, match="does not exist"):
        TextClock(TimeForm("iso"), VIENNA, "earlier").seconds(["2024-03-31T02:30:00"])
