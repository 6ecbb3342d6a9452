"""The graph's second output on its way to the host: side by side with t, the same values by every road."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from fsq_edge_compile.int8.quantize import quantize_preview
from fsq_edge_compile.onnx_file import cut_device_part
from fsq_edge_runtime.backends import OnnxBackend
from fsq_edge_runtime.backends.selection import open_backend, select_backend
from fsq_edge_runtime.bundle.agreement import check_evidence
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.bundle.edit import add_hef, with_files
from fsq_edge_runtime.errors import BackendError, BundleError, DataError, UsageError
from fsq_edge_runtime.feature_statistics import FeatureStatistics, in_steps
from fsq_edge_runtime.testing import fake_hailo_platform
from tests.factories.bundles import LEVELS, device_graph, random_bundle
from tests.factories.hailo_rig import bundle_with_hefs, frames_of, hef_for

D, F = len(LEVELS), 16


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(features=True)


def test_t_is_the_same_with_and_without_features(bundle: Bundle) -> None:
    frames = frames_of(bundle, 5)
    alone = open_backend(bundle, "onnx").infer_batch(frames)
    rows = open_backend(bundle, "onnx", features=True).infer_batch(frames)
    assert alone.shape == (5, D)
    assert rows.shape == (5, D + F)
    assert np.array_equal(rows[:, :D], alone)
    assert rows[:, D:].min() >= 0.0  # what comes out of a ReLU and a mean
    assert rows[:, D:].std() > 0.0


def test_a_batch_has_the_features_of_single_windows(bundle: Bundle) -> None:
    frames = frames_of(bundle, 7)
    backend = OnnxBackend(bundle.read("encoder"), batched=bundle.read("encoder-batch"), features=True)
    together = backend.infer_batch(frames)
    single = np.stack([backend.infer(frame[None]).copy() for frame in frames])
    np.testing.assert_allclose(together, single, atol=1e-5)
    assert np.array_equal(in_steps(together[:, D:]), in_steps(single[:, D:]))


def test_the_int8_preview_keeps_both_outputs_and_flips_no_more(bundle: Bundle) -> None:
    frames = frames_of(bundle, 64)
    with_features = quantize_preview(bundle.read("encoder"), frames)
    without = quantize_preview(device_graph(bundle.preprocess.frame_shape), frames)
    rows = OnnxBackend(with_features, features=True).infer_batch(frames)
    assert np.array_equal(rows[:, :D], OnnxBackend(without).infer_batch(frames))
    exact = open_backend(bundle, "onnx", features=True).infer_batch(frames)[:, D:]
    assert np.abs(rows[:, D:] - exact).max() < 0.05 * exact.max()


def test_cutting_with_features_puts_out_what_the_dense_layer_reads(bundle: Bundle) -> None:
    model = onnx.load_from_string(device_graph(bundle.preprocess.frame_shape))
    cut = cut_device_part(model, features=True)
    assert [output.name for output in cut.graph.output] == ["t", "features"]
    frames = frames_of(bundle, 2)
    wanted = open_backend(bundle, "onnx", features=True).infer_batch(frames)
    assert np.array_equal(OnnxBackend(cut.SerializeToString(), features=True).infer_batch(frames), wanted)
    with pytest.raises(DataError, match="does not follow a dense layer"):
        cut_device_part(model, "Relu", features=True)


def test_a_graph_without_features_cannot_be_asked_for_them() -> None:
    plain = random_bundle()
    assert plain.features == 0
    assert plain.statistics is None
    with pytest.raises(DataError, match="no output 'features'"):
        OnnxBackend(plain.read("encoder"), features=True)
    with pytest.raises(UsageError, match="puts out no features"):
        open_backend(plain, "onnx", features=True)


def test_a_bundle_refuses_graphs_that_differ_in_their_features(bundle: Bundle) -> None:
    plain = random_bundle()
    with pytest.raises(BundleError, match="this bundle needs"):
        with_files(bundle, {("encoder-int8", None): ("encoder_int8.onnx", plain.read("encoder"))})
    with pytest.raises(BundleError, match="puts out none"):
        with_files(plain, {("features", None): ("features.npz", bundle.read("features"))})


@pytest.mark.parametrize("generation", [4, 5])
def test_the_device_gives_both_outputs_in_the_graphs_order(bundle: Bundle, generation: int) -> None:
    arch = {4: "hailo8l", 5: "hailo10h"}[generation]
    full = bundle_with_hefs(arch, bundle=bundle)
    fake = fake_hailo_platform(generation, graph=full.read("encoder"))
    frames = frames_of(full, 5)
    wanted = open_backend(full, "onnx", features=True).infer_batch(frames)
    device = open_backend(full, "hailo", binding=fake, features=True)
    try:
        np.testing.assert_allclose(device.infer_batch(frames), wanted, atol=1e-5)
        np.testing.assert_allclose(device.infer(frames[:1]), wanted[0], atol=1e-5)
    finally:
        device.close()
    plain = open_backend(full, "hailo", binding=fake_hailo_platform(generation, graph=full.read("encoder")))
    try:
        np.testing.assert_allclose(plain.infer(frames[:1]), wanted[0, :D], atol=1e-5)
    finally:
        plain.close()


def test_the_fallback_answers_with_features_too(bundle: Bundle) -> None:
    full = bundle_with_hefs("hailo8l", bundle=bundle)
    fake = fake_hailo_platform(4, graph=full.read("encoder"))
    backend = select_backend(full, "auto", binding=fake, features=True).backend
    try:
        frames = frames_of(full, 3)
        wanted = open_backend(full, "onnx", features=True).infer_batch(frames)
        for frame, row in zip(frames, wanted, strict=True):
            np.testing.assert_allclose(backend.infer(frame[None]), row, atol=1e-5)
        assert backend.name == "hailo-fake"
    finally:
        backend.close()


def test_a_hef_with_another_number_of_outputs_is_refused(bundle: Bundle) -> None:
    one_output = hef_for("hailo8l", bundle.preprocess.frame_shape)
    added = add_hef(bundle, one_output)
    assert added.bundle is None
    assert "expected one input and 2 outputs" in added.findings[0].message
    other = hef_for("hailo8l", bundle.preprocess.frame_shape, features=F + 1)
    assert "features-width" in {finding.rule for finding in add_hef(bundle, other).findings}
    parts = {(entry.role, entry.arch): (entry.path, bundle.files[entry.path]) for entry in bundle.manifest.files}
    parts["hef", "hailo8l"] = ("hailo8l.hef", one_output)
    forced = with_files(bundle, {("hef", "hailo8l"): ("hailo8l.hef", one_output)})
    with pytest.raises(BackendError, match="expected one input and 2 outputs"):
        open_backend(forced, "hailo", binding=fake_hailo_platform(4, graph=forced.read("encoder")), features=True)


def test_statistics_are_those_of_the_windows(bundle: Bundle) -> None:
    draw = np.random.default_rng(3)
    features = draw.uniform(0, 2, (50, F)).astype(np.float32)
    labels = draw.integers(0, 4, 50)
    found = FeatureStatistics.from_bytes(FeatureStatistics.of(features, labels, 4).to_bytes(), F, 4)
    steps = in_steps(features).astype(float)
    assert found.windows == 50
    np.testing.assert_allclose(found.products, steps.T @ steps)
    np.testing.assert_allclose(found.sums[2], steps[labels == 2].sum(axis=0))
    np.testing.assert_allclose(found.overall(), np.cov(steps.T, bias=True), atol=1e-6)
    centred = steps - np.stack([steps[labels == label].mean(axis=0) for label in labels])
    np.testing.assert_allclose(found.within_class(), centred.T @ centred / 50, atol=1e-6)
    check_evidence(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-7], "cannot be read"),
        (lambda data: FeatureStatistics.of(np.ones((3, F + 1), np.float32), np.arange(3), 7).to_bytes(), "expected"),
        (lambda data: FeatureStatistics.of(np.ones((3, F), np.float32), np.arange(3), 6).to_bytes(), "expected"),
        (
            lambda data: FeatureStatistics.of(np.full((3, F), np.nan, np.float32), np.arange(3), 7).to_bytes(),
            "no train",
        ),
    ],
)
def test_damaged_statistics_are_refused(bundle: Bundle, change, message: str) -> None:  # type: ignore[no-untyped-def]
    changed = with_files(bundle, {("features", None): ("features.npz", change(bundle.read("features")))})
    with pytest.raises(DataError, match=message):
        check_evidence(changed)
