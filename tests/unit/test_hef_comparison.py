"""A HEF against the bundle it shall serve: every way of not fitting is named."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import pytest

from fsq_edge_compile.packing.bundle import build_bundle
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.findings import Finding
from fsq_edge_runtime.hef import HefRecord, compare_hef, inspect_hef
from fsq_edge_runtime.testing.hef_writer import TensorSpec, hef_bytes
from tests.factories.build_folders import random_build
from tests.factories.bundles import random_bundle

INPUT = TensorSpec("input_layer1", (2, 50, 12), -5.0, 5.0, original_names=("conv",))
OUTPUT = TensorSpec("fc1", (3,), -1.0, 1.0, original_names=("projection", "tanh"))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle()


def findings(bundle: Bundle, **changes: object) -> dict[str, Finding]:
    values: dict[str, object] = {"inputs": (INPUT,), "outputs": (OUTPUT,), "network": tagged(bundle)}
    report = inspect_hef(hef_bytes(**{**values, **changes}))  # type: ignore[arg-type]
    return {finding.rule: finding for finding in compare_hef(report, bundle)}


def tagged(bundle: Bundle) -> str:
    encoder = hashlib.sha256(bundle.read("encoder")).hexdigest()
    return f"dog_{bundle.manifest.preprocess_sha256[:8]}_{encoder[:8]}"


def changed(spec: TensorSpec, **values: object) -> tuple[TensorSpec, ...]:
    return (dataclasses.replace(spec, **values),)  # type: ignore[arg-type]


def errors(found: dict[str, Finding]) -> set[str]:
    return {rule for rule, finding in found.items() if finding.severity == "error"}


def test_the_right_file_fits_without_a_word(bundle: Bundle) -> None:
    assert findings(bundle) == {}


def test_calibration_with_noise_is_called_out(bundle: Bundle) -> None:
    """The published mistake: limits [0, 1) for z-scores; half the input is clipped to 0."""
    found = findings(bundle, inputs=changed(INPUT, limit_min=0.0, limit_max=1.0, scale=0.00392, zero_point=0.0))
    assert errors(found) == {"input-noise", "input-limits"}
    assert "uniform noise" in found["input-noise"].message
    assert found["input-noise"].actual == (0.0, 1.0)
    assert "clips" in found["input-limits"].message


def test_the_limits_are_compared_with_the_calibration_audit(bundle: Bundle) -> None:
    narrow = findings(bundle, inputs=changed(INPUT, limit_min=-0.5, limit_max=0.5))
    assert errors(narrow) == {"input-limits"}
    wide = findings(bundle, inputs=changed(INPUT, limit_min=-40.0, limit_max=40.0))
    assert (wide["input-limits"].severity, errors(wide)) == ("warning", set())


@pytest.mark.parametrize(
    ("shape", "message"),
    [((12, 2, 50), r"that is \(C, H, W\)"), ((2, 50, 9), "9 channels"), ((2, 100, 12), "frames are")],
)
def test_a_wrong_input_shape(bundle: Bundle, shape: tuple[int, ...], message: str) -> None:
    found = findings(bundle, inputs=changed(INPUT, shape=shape))
    assert errors(found) == {"input-shape"}
    assert re.search(message, found["input-shape"].message)


def test_a_wrong_output_width(bundle: Bundle) -> None:
    assert errors(findings(bundle, outputs=changed(OUTPUT, shape=(8,)))) == {"output-width"}


def test_output_limits_that_lose_codes_or_are_not_of_a_tanh(bundle: Bundle) -> None:
    lost = findings(bundle, outputs=changed(OUTPUT, limit_min=-0.7, limit_max=0.7))
    assert "can never occur" in lost["output-limits"].message
    elsewhere = findings(bundle, outputs=changed(OUTPUT, limit_min=-3.03, limit_max=3.0))
    assert "the network ends elsewhere" in elsewhere["output-limits"].message
    assert errors(lost) == errors(elsewhere) == {"output-limits"}


def test_a_coarse_output_step_is_a_warning(bundle: Bundle) -> None:
    found = findings(bundle, outputs=changed(OUTPUT, scale=0.05))
    assert found["output-step"].severity == "warning"
    assert "a16_w16" in found["output-step"].fix


def test_the_output_node_must_be_the_last(bundle: Bundle) -> None:
    inner = findings(bundle, outputs=changed(OUTPUT, original_names=("projection",)))
    assert "not from its last node (tanh, Tanh)" in inner["output-node"].message
    foreign = findings(bundle, outputs=changed(OUTPUT, original_names=("/other/Tanh",)))
    assert "does not have" in foreign["output-node"].message
    unknown = findings(bundle, outputs=changed(OUTPUT, original_names=()))
    assert unknown["output-node"].severity == "info"


def test_hashes_in_the_network_name_are_compared(bundle: Bundle) -> None:
    assert findings(bundle, network="dog")["origin"].severity == "info"
    other = findings(bundle, network="dog_00000000_" + tagged(bundle)[-8:])
    assert "another preprocessing" in other["origin"].message
    other = findings(bundle, network=tagged(bundle)[:-8] + "00000000")
    assert "another encoder.onnx" in other["origin"].message


def test_more_than_one_stream_is_refused(bundle: Bundle) -> None:
    found = findings(bundle, outputs=(OUTPUT, dataclasses.replace(OUTPUT, name="fc2")))
    assert set(found) == {"streams"}


def test_a_record_beside_the_file_is_compared_in_full(bundle: Bundle) -> None:
    encoder = hashlib.sha256(bundle.read("encoder")).hexdigest()
    record = HefRecord(
        network="dog",
        arch="hailo8",
        sha256={"encoder.onnx": encoder},
        preprocess_sha256=bundle.manifest.preprocess_sha256,
        hef_sha256="0" * 64,
    )
    report = inspect_hef(hef_bytes(inputs=(INPUT,), outputs=(OUTPUT,), network="dog"))
    assert compare_hef(report, bundle, record) == ()
    other = record.model_copy(update={"preprocess_sha256": bundle.manifest.preprocess_sha256[:63] + "x"})
    assert [finding.rule for finding in compare_hef(report, bundle, other)] == ["origin"]
    nothing = record.model_copy(update={"sha256": {}})
    assert "hash missing" in compare_hef(report, bundle, nothing)[0].message


def test_the_calibration_audit_of_the_bundle_is_what_limits_are_compared_with(tmp_path: Path) -> None:
    audited = build_bundle(random_build(tmp_path / "build", windows=64))
    report = inspect_hef(hef_bytes(inputs=changed(INPUT, limit_min=0.0, limit_max=1.0), outputs=(OUTPUT,)))
    found = {finding.rule: finding for finding in compare_hef(report, audited)}
    assert "calibration set [" in found["input-noise"].message
    assert found["input-limits"].severity == "error"
    assert "input-limits" not in {finding.rule for finding in compare_hef(inspect_hef(fitting()), audited)}


def fitting() -> bytes:
    return hef_bytes(inputs=(INPUT,), outputs=(OUTPUT,))
