"""The graph with its preprocessing inside gives what numpy and the device graph give, or is not used."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper

from fsq_edge_runtime.backends import window_graph
from fsq_edge_runtime.backends.onnx import OnnxBackend, bound_run, open_onnx
from fsq_edge_runtime.backends.window_graph import WindowGraph, open_window_graph
from fsq_edge_runtime.errors import DataError
from fsq_edge_runtime.onnx_fusion import fuse_preprocess
from fsq_edge_runtime.preprocess import Preprocessor, quiet_product
from fsq_edge_runtime.protobuf import FieldBudget, Message
from fsq_edge_runtime.stream import batch, inference
from fsq_edge_runtime.stream.head import NEAR, DecisionHead
from fsq_edge_runtime.tail import BOUNDARY_MARGIN, FsqCodebook, FsqTail
from tests.factories.bundles import LEVELS, device_graph, motion, preprocess_config, random_bundle


def windows_of(config, n=12, seed=3):
    rows = motion(n * config.window_samples, len(config.channels), seed=seed)
    return np.ascontiguousarray(rows.reshape(n, config.window_samples, -1).transpose(0, 2, 1))


def with_opset(model, opset):
    """Change the opset of a graph whose operators are the same in all that are asked for."""
    changed = onnx.load_from_string(model)
    changed.opset_import[0].version = opset
    return changed.SerializeToString()


@pytest.mark.parametrize("zscore", [True, False])
@pytest.mark.parametrize("fold", [1, 2, 4])
@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_the_fused_graph_is_valid_and_gives_t(zscore, fold, opset):
    config = preprocess_config(window_zscore=zscore, fold=fold)
    encoder = with_opset(device_graph(config.frame_shape), opset)
    fused = fuse_preprocess(encoder, config)
    onnx.checker.check_model(onnx.load_from_string(fused), full_check=True)
    windows = windows_of(config)
    expected = OnnxBackend(encoder).infer_batch(Preprocessor(config).frames(windows))
    found = WindowGraph(fused, Preprocessor(config), len(LEVELS)).infer_batch(windows)
    bounded = FsqCodebook(LEVELS).bounded
    assert np.abs(bounded(found) - bounded(expected)).max() < 0.25 * BOUNDARY_MARGIN


def test_features_beside_t_are_left_out_and_change_no_bit():
    config = preprocess_config()
    windows = windows_of(config)
    found = []
    for features in (False, True):
        fused = fuse_preprocess(device_graph(config.frame_shape, features=features), config)
        onnx.checker.check_model(onnx.load_from_string(fused), full_check=True)
        assert [output.name for output in onnx.load_from_string(fused).graph.output] == ["t"]
        found.append(WindowGraph(fused, Preprocessor(config), len(LEVELS)).infer_batch(windows))
    assert np.array_equal(*found)


def test_a_channel_at_rest_far_from_zero_keeps_its_digits():
    config = preprocess_config()
    windows = windows_of(config)
    windows[:, 2] = 1013.25  # what a pressure reads in hectopascals; a mean rounded otherwise would show at once
    windows[:, 2, 40:] += np.float32(1e-4)
    encoder = device_graph(config.frame_shape)
    expected = OnnxBackend(encoder).infer_batch(Preprocessor(config).frames(windows))
    fused = WindowGraph(fuse_preprocess(encoder, config), Preprocessor(config), len(LEVELS))
    assert np.abs(fused.infer_batch(windows) - expected).max() < 1e-5


@pytest.mark.parametrize("zscore", [True, False])
def test_means_are_those_of_numpy_to_the_bit_and_squares_come_with_them(zscore):
    config = preprocess_config(window_zscore=zscore)
    preprocessor = Preprocessor(config)
    fused = WindowGraph(fuse_preprocess(device_graph(config.frame_shape), config), preprocessor, len(LEVELS))
    for window in windows_of(config) + np.float32(1013.25):
        fused.windows[:] = window
        fused.measure()
        means = np.empty((len(window), 1, 1), np.float32)
        preprocessor.means_into(window[:, None], means)()
        if zscore:
            assert np.array_equal(fused.center.ravel()[len(window) :], means.ravel())
        np.testing.assert_allclose(fused.squares, (window.astype(np.float64) ** 2).sum(axis=1), rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("version", [np.__version__, "1.26.4"])
def test_a_quiet_product_says_nothing_of_what_overflows_and_leaves_the_settings_alone(version, monkeypatch):
    monkeypatch.setattr(np, "__version__", version)
    before = np.geterr()
    rows, out = np.zeros((3, 4), np.float32), np.empty(3, np.float32)
    measure = quiet_product(rows, np.ones_like(rows), out)
    rows[0], rows[1, :2], rows[2] = 3e38, (np.inf, -np.inf), (1, 2, 3, np.nan)
    measure()
    assert np.isinf(out[0])
    assert np.isnan(out[1:]).all()
    assert np.geterr() == before


def test_where_onnxruntime_has_other_inner_names_its_own_method_serves():
    config = preprocess_config()
    session = open_onnx(device_graph(config.frame_shape))
    frame, found = np.ones((1, *config.frame_shape), np.float32), np.zeros((1, len(LEVELS)), np.float32)
    binding = session.io_binding()
    binding.bind_input("input", "cpu", 0, np.float32, frame.shape, frame.ctypes.data)
    binding.bind_output("t", "cpu", 0, np.float32, found.shape, found.ctypes.data)
    expected = session.run(None, {"input": frame})[0]
    for one in (session, SimpleNamespace(run_with_iobinding=session.run_with_iobinding)):
        found[:] = 0
        bound_run(one, binding)()
        assert np.array_equal(found, expected)


def test_a_clash_of_names_an_old_opset_and_a_tiny_spread_are_said():
    config = preprocess_config()
    encoder = device_graph(config.frame_shape)
    model = onnx.load_from_string(encoder)
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "window"
    with pytest.raises(DataError, match="names that begin with fsq_preprocess_"):
        fuse_preprocess(model.SerializeToString(), config)
    old = onnx.load_from_string(encoder)
    old.opset_import[0].version = 9
    with pytest.raises(DataError, match="opset 9, tried are 11 to 21"):
        fuse_preprocess(old.SerializeToString(), config)
    with pytest.raises(DataError, match="too small"):
        fuse_preprocess(encoder, config.model_copy(update={"std": (1e-9, *config.std[1:])}))
    with pytest.raises(DataError, match="not that of its preprocessing"):
        fuse_preprocess(encoder, preprocess_config(window_samples=80))


def test_a_graph_that_differs_is_not_used_and_the_session_answers_all_the_same(monkeypatch):
    bundle = random_bundle()
    other = bundle.preprocess.model_copy(update={"clip_sigma": 1.0})
    monkeypatch.setattr(window_graph, "fuse_preprocess", lambda encoder, _: fuse_preprocess(encoder, other))
    graph, reason = open_window_graph(bundle, OnnxBackend(bundle.read("encoder")))
    assert graph is None
    assert "differs from the reference by" in reason
    with bundle.open_session("onnx") as session:
        assert session.backend.window_graph is None
        assert session.push(motion(100))[0].code is not None


def test_a_large_network_is_loaded_once(monkeypatch):
    bundle = random_bundle()
    monkeypatch.setattr(window_graph, "MOST_BYTES", len(bundle.read("encoder")) - 1)
    graph, reason = open_window_graph(bundle, OnnxBackend(bundle.read("encoder")))
    assert graph is None
    assert reason.startswith(f"of {len(bundle.read('encoder'))} bytes")
    with bundle.open_session("onnx") as session:
        plain = [decision.code for decision in session.push(motion(1000))]
    monkeypatch.undo()
    with bundle.open_session("onnx") as session:
        assert session.backend.window_graph is not None
        assert [decision.code for decision in session.push(motion(1000))] == plain


def test_a_session_asks_the_fused_graph_and_only_near_a_boundary_the_reference():
    bundle = random_bundle()
    with bundle.open_session("onnx") as session:
        asked = []
        whole = session.backend.infer
        session.backend.infer = lambda frame: asked.append(1) or whole(frame)
        codes = [decision.code for decision in session.push(motion(5000, seed=8))]
        assert session.backend.window_graph is not None
    assert len(codes) == 99
    assert len(asked) <= 3  # 1e-4 on either side of 16 boundaries: some windows in a thousand


def test_a_few_windows_one_by_one_have_the_codes_of_many(monkeypatch):
    bundle, found = random_bundle(), []
    for few, near in ((0, False), (16, False), (16, True)):
        for module in (inference, batch):
            monkeypatch.setattr(module, "FEW", few)
        if near:
            monkeypatch.setattr(DecisionHead, "sure_code", lambda _, t: NEAR)
        with bundle.open_session("onnx") as session:
            pushed = {str(seed): motion(100, seed=seed) for seed in range(5)}
            found.append([decision.code for _ in range(4) for decision in session.push_many(pushed)])
    assert len(found[0]) == 35
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("levels", [(8, 6, 5), (3, 3), (256, 255)])
def test_a_sure_code_is_the_code_and_near_means_near(levels):
    table = np.zeros((int(np.prod(levels)), 2), dtype=np.float32)
    head = DecisionHead(FsqTail(levels, table), 1.0)
    book = FsqCodebook(levels)
    draw = np.random.default_rng(0)
    digits = draw.integers(0, np.asarray(levels), (400, len(levels)))
    edges = (digits - np.asarray(levels) // 2 + 0.5 + book.offset) / book.half
    near = edges + draw.normal(0, 1e-4, edges.shape) / book.half
    for t in np.concatenate([near, draw.uniform(-1.01, 1.01, near.shape)]).astype(np.float32):
        sure, distance = head.sure_code(t), float(book.boundary_distance(np.clip(t, -1, 1)).min())
        assert sure in (head.code(t), NEAR)
        if abs(distance - BOUNDARY_MARGIN) > 2e-5:  # float32 rounds b by up to that with 256 levels
            assert (sure == NEAR) == (distance < BOUNDARY_MARGIN)
    assert head.sure_code(np.asarray([np.nan] * len(levels), np.float32)) == -1


def test_a_message_is_written_as_it_was_read():
    encoder = device_graph(preprocess_config().frame_shape)
    message = Message(memoryview(encoder), "onnx", FieldBudget())
    assert onnx.load_from_string(message.encoded()) == onnx.load_from_string(encoder)
    without = onnx.load_from_string(message.encoded(without=(8,)))
    assert not without.opset_import
    assert helper.printable_graph(without.graph) == helper.printable_graph(onnx.load_from_string(encoder).graph)
