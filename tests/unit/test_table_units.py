"""What a column's name says. The names are those that loggers and phone apps write."""

import pytest

from fsq_edge_runtime.tables.units import conversion, name_column, spell_unit


@pytest.mark.parametrize(
    ("name", "unit", "channel"),
    [
        ("AccX [g]", "g", "acc_x"),
        ("Gyroscope X (deg/s)", "deg/s", "gyro_x"),
        ("Accelerometer Z (g)", "g", "acc_z"),
        ("Magnetometer Y (uT)", "uT", "mag_y"),
        ("Magnetometer X (G)", "gauss", "mag_x"),
        ("Linear Acceleration x (m/s^2)", "m/s2", "lin_acc_x"),
        ("Acceleration y (m/s^2)", "m/s2", "acc_y"),
        ("X-axis acceleration (g)", "g", "acc_x"),
        ("Acc_X", "", "acc_x"),
        ("accelerationX", "", "acc_x"),
        ("userAcceleration.z", "", "lin_acc_z"),
        ("rotationRate.y", "", "gyro_y"),
        ("gFx", "", "acc_x"),
        ("ax", "", "acc_x"),
        ("wz", "", "gyro_z"),
        ("Shimmer_E1B5_Gyro_Z_CAL", "", "gyro_z"),
        ("Accelerometer X (m/(s^2))", "m/s2", "acc_x"),
        ("%float(RawAccelY)", "", "acc_y"),
        ("Barometer (hPa)", "hPa", ""),
        ("Counter", "", ""),
        ("Latitude", "", ""),
        ("label", "", ""),
    ],
)
def test_names_of_columns(name, unit, channel):
    read = name_column(name)
    assert (read.unit, read.channel) == (unit, channel)


def test_a_row_of_units_counts():
    assert name_column("Shimmer_E1B5_Accel_LN_X_CAL", "m/(s^2)").unit == "m/s2"


@pytest.mark.parametrize(
    ("word", "unit"),
    [("m/s²", "m/s2"), ("m/(s^2)*", "m/s2"), ("[G]", "g"), ("deg/sec", "deg/s"), ("μT", "uT"), ("V", "")],
)
def test_spellings(word, unit):
    assert spell_unit(word) == unit


def test_conversions():
    assert conversion("g", "m/s2") == pytest.approx(9.80665)
    assert conversion("mg", "g") == pytest.approx(0.001)
    assert conversion("deg/s", "rad/s") == pytest.approx(0.0174532925)
    assert conversion("gauss", "uT") == pytest.approx(100.0)
    with pytest.raises(ValueError, match="g measures acceleration"):
        conversion("g", "rad/s")
    with pytest.raises(ValueError, match="furlong"):
        conversion("furlong", "g")
