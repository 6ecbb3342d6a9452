from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from fsq_edge_compile.int8.layer_errors import LayerError, layer_errors, short_name, snr_db, worst_layers
from fsq_edge_compile.int8.quantize import quantize_preview
from fsq_edge_runtime.preprocess import Preprocessor
from fsq_edge_runtime.tail import FsqTail
from tests.factories.device_graph import make_device_graph
from tests.factories.motion import make_motion

MOTION = make_motion(400)
FRAMES = Preprocessor(MOTION.preprocess).frames(MOTION.windows)
ENCODER = make_device_graph()
TAIL = FsqTail([8, 6, 5], np.random.default_rng(0).normal(size=(240, 4)).astype(np.float32))


@pytest.fixture(scope="module")
def errors() -> tuple[LayerError, ...]:
    return layer_errors(ENCODER, quantize_preview(ENCODER, FRAMES), FRAMES, TAIL)


def test_every_rounded_tensor_is_listed_once(errors: tuple[LayerError, ...]) -> None:
    assert [(error.layer, error.kind) for error in errors] == [
        ("input", "activation"), ("relu1", "activation"), ("relu2", "activation"), ("gap", "activation"),
        ("tanh", "activation"), ("conv1", "weight"), ("conv2", "weight"), ("projection", "weight"),
    ]  # fmt: skip


def test_the_input_loses_what_eight_bits_over_its_range_lose(errors: tuple[LayerError, ...]) -> None:
    step = (FRAMES.max() - FRAMES.min()) / 255
    wanted = snr_db(float((FRAMES**2).mean()), float(step**2 / 12))
    assert errors[0].own_snr_db == pytest.approx(wanted, abs=0.5)
    assert errors[0].snr_db == pytest.approx(errors[0].own_snr_db, abs=1e-3)
    assert errors[0].low == pytest.approx(float(FRAMES.min()), abs=float(step))


def test_error_grows_along_the_network_and_a_tensor_alone_flips_less(errors: tuple[LayerError, ...]) -> None:
    inner = [error for error in errors if error.kind == "activation"][1:]
    assert all(error.snr_db < error.own_snr_db for error in inner)
    assert all(error.flip_rate_alone is not None and error.flip_rate_alone < 0.1 for error in errors)
    assert any(error.flip_rate_alone for error in errors)


def test_weights_are_rounded_per_output_channel(errors: tuple[LayerError, ...]) -> None:
    stored = {e.name: numpy_helper.to_array(e) for e in onnx.load_from_string(ENCODER).graph.initializer}
    weight = stored["projection.weight"]
    scale = np.abs(weight).max(axis=1, keepdims=True) / 127
    rounded = np.rint(weight / scale) * scale
    wanted = snr_db(float((weight**2).sum()), float(((weight - rounded) ** 2).sum()))
    assert errors[-1].own_snr_db == pytest.approx(wanted, abs=0.6)


def test_a_range_stretched_by_one_outlier_is_named_the_worst() -> None:
    stretched = FRAMES.copy()
    stretched[0, 0, 0, 0] = 200.0
    found = layer_errors(ENCODER, quantize_preview(ENCODER, stretched), FRAMES, TAIL)
    assert worst_layers(found, 1)[0].tensor == "input"


def test_without_a_tail_there_are_no_flips() -> None:
    found = layer_errors(ENCODER, quantize_preview(ENCODER, FRAMES, sixteen_bit_output=True), FRAMES)
    assert {error.flip_rate_alone for error in found} == {None}
    assert found[4].own_snr_db > 80


def test_exporters_names_are_shortened() -> None:
    assert short_name("/device_part/features/features.0/Conv") == "features.0/Conv"
    assert short_name("conv1") == "conv1"
