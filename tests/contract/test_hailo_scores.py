"""A device whose network ends in scores or in a map: the range is the HEF's own, a map is read channels first."""

import numpy as np
import pytest

from fsq_edge_runtime.backends.hailo.backend import HailoBackend
from fsq_edge_runtime.errors import BackendError
from fsq_edge_runtime.testing import TensorSpec, fake_hailo_platform, hef_bytes

FRAME = np.zeros((1, 6, 1, 40), np.float32)


def device(shape: tuple[int, ...], answer: np.ndarray, low: float, high: float) -> HailoBackend:
    fake = fake_hailo_platform(4)
    fake.chip.compute_with(lambda frame: answer)
    source, sink = TensorSpec("in", (1, 40, 6)), TensorSpec("out", shape, low, high)
    hef = hef_bytes(arch="hailo8l", inputs=[source], outputs=[sink])
    return HailoBackend({"hailo8l": hef}, (6, 1, 40), answer.size, binding=fake)


def test_scores_beyond_one_are_answers_within_the_range_of_the_hef():
    scores = np.asarray([-7.5, 0.0, 12.0], np.float32)
    backend = device((3,), scores, -10.0, 15.0)
    np.testing.assert_array_equal(backend.infer(FRAME), scores)
    np.testing.assert_array_equal(backend.infer_batch(np.repeat(FRAME, 5, axis=0)), np.tile(scores, (5, 1)))
    backend.close()


@pytest.mark.parametrize("wrong", [16.5, -11.5, np.nan, np.inf])
def test_what_the_hef_cannot_give_is_no_answer(wrong):
    backend = device((3,), np.asarray([0.0, wrong, 1.0], np.float32), -10.0, 15.0)
    with pytest.raises(BackendError, match=r"outside \[-11.25, 16.25\], the HEF's range"):
        backend.infer(FRAME)
    backend.close()


def test_a_map_comes_channels_first_as_onnxruntime_has_it():
    chw = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    backend = device((3, 4, 2), chw.ravel(), 0.0, 24.0)
    held = backend._link._free[0]
    assert held.y[0].shape == (3, 4, 2), "the device writes channels last"
    np.testing.assert_array_equal(backend.infer(FRAME), chw.ravel())
    np.testing.assert_array_equal(held.y[0], chw.transpose(1, 2, 0))
    np.testing.assert_array_equal(backend.infer_batch(np.repeat(FRAME, 3, axis=0))[2], chw.ravel())
    backend.close()
