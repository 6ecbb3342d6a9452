"""Time-series networks of public papers after ``check --fix``; ``make series`` has every opset and exporter."""

import numpy as np
import pytest

from fsq_edge_compile import check, fix
from fsq_edge_runtime.backends.onnx import open_onnx
from tests.factories.networks.exporting import export
from tests.factories.series_networks import SERIES


@pytest.mark.parametrize(
    ("name", "opset", "dynamo"),
    [*((name, 17, False) for name in SERIES), ("trial-cnn", 18, True), ("trial-autoencoder", 20, True)],
)
def test_the_rewritten_network_is_equal_and_runs_on_the_device(name, opset, dynamo):
    network = SERIES[name]
    model = export(network.build, network.shape, opset, dynamo, False)
    fixed = fix(model)
    report = check(fixed.model, "hailo8l")
    assert report.verdict == network.after, [finding.message for finding in report.errors]
    x = np.random.default_rng(0).normal(size=network.shape).astype(np.float32)
    before, after = (open_onnx(one.SerializeToString()) for one in (model, fixed.model))
    wanted, found = (one.run(None, {one.get_inputs()[0].name: x})[0] for one in (before, after))
    assert wanted.shape == found.shape
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    transposed = {finding.op for finding in report.findings if finding.support == "conditional"}
    assert ("ConvTranspose" in transposed) == (name == "trial-autoencoder")
