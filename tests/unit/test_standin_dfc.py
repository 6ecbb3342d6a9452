"""The stand-in compiler is as strict as the real one is documented to be: each misuse raises the documented text."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.factories.build_folders import frames_nhwc
from tests.factories.bundles import random_bundle

STANDINS = Path(__file__).parents[1] / "standins"
SHAPES = {"input": [1, 12, 2, 50]}


@pytest.fixture
def dfc(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(STANDINS)
    import hailo_sdk_client

    yield hailo_sdk_client
    for name in [name for name in sys.modules if name.startswith("hailo_sdk_client")]:
        del sys.modules[name]


@pytest.fixture
def runner(dfc: ModuleType, tmp_path: Path) -> Any:
    (tmp_path / "m.onnx").write_bytes(random_bundle().read("encoder"))
    made = dfc.ClientRunner(hw_arch="hailo8")
    made.translate_onnx_model(str(tmp_path / "m.onnx"), "dog", ["input"], ["tanh"], SHAPES)
    return made


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return frames_nhwc(random_bundle(), 64)


def test_it_has_the_documented_calls_and_no_others(dfc: ModuleType) -> None:
    public = {name for name in vars(dfc.ClientRunner) if not name.startswith("_")}
    assert public == {
        "translate_onnx_model",
        "load_model_script",
        "optimize_full_precision",
        "optimize",
        "compile",
        "save_har",
        "load_har",
        "infer_context",
        "infer",
        "get_hn_dict",
    }
    assert list(inspect.signature(dfc.ClientRunner).parameters) == ["hw_arch", "har"]
    assert [context.name for context in dfc.InferenceContext] == ["SDK_NATIVE", "SDK_FP_OPTIMIZED", "SDK_QUANTIZED"]


def test_a_bad_net_name_is_refused(dfc: ModuleType, tmp_path: Path) -> None:
    """Case F53."""
    (tmp_path / "m.onnx").write_bytes(random_bundle().read("encoder"))
    with pytest.raises(ValueError, match="Invalid scope name"):
        dfc.ClientRunner(hw_arch="hailo8").translate_onnx_model(
            str(tmp_path / "m.onnx"), "my-model.v1", ["input"], ["tanh"], SHAPES
        )


def test_an_input_that_is_not_declared_is_refused(dfc: ModuleType, tmp_path: Path) -> None:
    """Case F54."""
    (tmp_path / "m.onnx").write_bytes(random_bundle().read("encoder"))
    with pytest.raises(ValueError, match=re.escape("Unspecified inputs: {'input'}")):
        dfc.ClientRunner(hw_arch="hailo8").translate_onnx_model(
            str(tmp_path / "m.onnx"), "dog", ["input"], ["tanh"], {}
        )


def test_channels_first_calibration_is_refused(dfc: ModuleType, runner: Any, frames: np.ndarray) -> None:
    """Case F58."""
    text = "Data shape (12, 2, 50) for layer dog/input_layer1 doesn't match network's input shape (2, 50, 12)"
    with pytest.raises(dfc.BadInputsShape, match=re.escape(text)):
        runner.optimize(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))


def test_calibration_keyed_by_onnx_names_is_refused(runner: Any, frames: np.ndarray) -> None:
    """Case F59."""
    with pytest.raises(KeyError, match="dog/input_layer1"):
        runner.optimize({"input": frames})
    runner.optimize({"dog/input_layer1": frames})


def test_calibration_as_a_list_is_refused(runner: Any, frames: np.ndarray) -> None:
    """Case F60."""
    with pytest.raises(ValueError, match="Couldn't detect CalibrationDataType"):
        runner.optimize(list(frames))


def test_compiling_before_optimising_is_refused(runner: Any, frames: np.ndarray) -> None:
    """Case F71."""
    with pytest.raises(RuntimeError, match="Model requires quantized weights in order to run on HW"):
        runner.compile()
    runner.optimize_full_precision(calib_data=frames)
    with pytest.raises(RuntimeError, match="but none were given"):
        runner.compile()


def test_a_script_may_not_ask_for_more_than_there_is(runner: Any, frames: np.ndarray) -> None:
    runner.load_model_script("model_optimization_config(calibration, calibset_size=65)\n")
    with pytest.raises(ValueError, match="larger than the calibration set"):
        runner.optimize(frames)
    runner.load_model_script("model_optimization_config(calibration, calibset_size=64)\n")
    runner.optimize(frames)
    with pytest.raises(ValueError, match="model script parsing failed"):
        runner.load_model_script("import numpy")
    with pytest.raises(ValueError, match="float64"):
        runner.optimize(frames.astype(np.float64))
