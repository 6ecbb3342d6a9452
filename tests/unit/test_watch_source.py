"""The real data set: what it holds, and that it costs nothing until it is asked for."""

import subprocess
import sys

import numpy as np
import pytest

from fsq_edge.data import cut_windows, open_dataset


@pytest.fixture(scope="module")
def watch():
    return open_dataset("watch")


def test_watch_holds_what_it_says(watch):
    assert len(watch.recordings) == 140
    assert watch.subjects == tuple(str(number) for number in range(1, 11))
    assert watch.sample_rate_hz == 50
    assert [channel.unit for channel in watch.channels] == ["g"] * 3 + ["rad/s"] * 3
    assert watch.mirror == (-1, 1, 1, 1, -1, -1)
    assert len(watch.classes) == 7
    assert len({(r.subject, r.session, int(r.labels[0])) for r in watch.recordings}) == 140


def test_watch_accelerometer_is_in_g(watch):
    norms = [np.median(np.linalg.norm(r.samples[:, :3], axis=1)) for r in watch.recordings]
    assert 0.95 < np.median(norms) < 1.1


def test_watch_windows_by_subject(watch):
    held_out = cut_windows(watch.select(["5", "6"]), 100, 50)
    assert set(held_out.subject) == {"5", "6"}
    assert held_out.gather().shape == (len(held_out), 6, 100)
    assert held_out.n_mixed == held_out.n_unlabelled == 0


def test_importing_the_data_package_loads_no_trainer():
    code = "import sys, fsq_edge.data; print({'torch', 'sklearn', 'seglearn', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
