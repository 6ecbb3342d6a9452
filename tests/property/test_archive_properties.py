"""A damaged recording is read as it is or refused; it never ends in anything but the project's errors."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsq_edge.data.archive import read_npz, write_npz
from fsq_edge_runtime.errors import FsqEdgeError


@pytest.fixture(params=["ours", "numpy", "compressed"])
def content(request, tmp_path):
    arrays = {"samples": np.arange(60, dtype=np.float32).reshape(20, 3), "labels": np.zeros(20, np.int16)}
    save = {
        "ours": lambda path: write_npz(path, arrays),
        "numpy": lambda path: np.savez(path, **arrays),
        "compressed": lambda path: np.savez_compressed(path, **arrays),
    }
    save[request.param](tmp_path / "whole.npz")
    return (tmp_path / "whole.npz").read_bytes()


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_flipped_bytes_never_crash_the_reader(content, tmp_path, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "r.npz").write_bytes(damaged)
    message = ""
    try:
        arrays = read_npz(tmp_path / "r.npz", ("samples", "labels"))
    except FsqEdgeError as error:
        message, arrays = error.message, {}
    assert "\n" not in message
    assert all(isinstance(array, np.ndarray) and not array.dtype.hasobject for array in arrays.values())
