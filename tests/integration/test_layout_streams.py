"""Every layout and normalisation of a foreign network, through a bundle to a stream: the labels of its own file."""

import numpy as np
import onnxruntime
import pytest

from fsq_edge_compile.own.building import build_bundle
from fsq_edge_runtime.bundle.bundle import Bundle
from tests.factories.plain_networks import CLASSES, SHAPES, described, motion, network


def zscores(x: np.ndarray, floor: float) -> np.ndarray:
    return np.asarray((x - x.mean(axis=-1, keepdims=True)) / (x.std(axis=-1, keepdims=True) + floor))


KINDS = {
    "none": lambda x: x,
    "window-zscore": lambda x: zscores(x, 1e-8),
    # The floor of a channel whose unit is not known: a thousandth of the spread, here 1.
    "z-copies": lambda x: np.concatenate([x, zscores(x, 1e-3)], axis=-2),
}


@pytest.mark.parametrize("batched", [True, False], ids=["batch", "no batch"])
@pytest.mark.parametrize("layout", SHAPES, ids="".join)
@pytest.mark.parametrize("kind", KINDS)
def test_the_stream_has_the_labels_of_the_file(tmp_path, kind, layout, batched):
    channels = 12 if kind == "z-copies" else 6
    shape = tuple(channels if size == 6 else size for size in SHAPES[layout][0 if batched else 1 :])
    path = network(tmp_path / "n.onnx", shape=shape, channels=channels, seed=2)
    made = build_bundle(path, described(layout, kind=kind), motion(), classes=CLASSES, min_label_agreement=0.5)
    assert made.bundle is not None, made.shut
    assert made.exact.label_agreement.value == 1.0
    made.bundle.save(tmp_path / "n.fsqb")

    long = np.random.default_rng(7).normal(0, 0.4, (400, 6)).cumsum(axis=0).astype(np.float32)
    with Bundle.open(tmp_path / "n.fsqb").open_session(backend="onnx") as session:
        decisions = session.push(long, np.arange(400) / 50.0)
    file = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = []
    for at in range(0, 400 - 40 + 1, 20):
        x = KINDS[kind](long[at : at + 40].T.astype(np.float64)).astype(np.float32)
        x = x.T if layout.index("T") < layout.index("C") else x
        wanted.append(file.run(None, {"x": np.ascontiguousarray(x).reshape(shape)})[0].ravel())
    shares = np.exp(wanted - np.max(wanted, axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    labels = [CLASSES[int(row.argmax())] for row in shares]
    assert len(set(labels)) > 1
    assert [decision.raw_label for decision in decisions] == labels
    np.testing.assert_allclose([decision.probabilities for decision in decisions], shares, atol=1e-4)
