"""Time-series networks of public papers after ``check --fix``; ``make series`` has every opset and exporter."""

import numpy as np
import pytest

from fsq_edge_compile import check, fix
from fsq_edge_runtime.backends.onnx import open_onnx
from tests.factories.networks.exporting import export
from tests.factories.series_networks import SERIES
from tests.programs.series_survey import PAGE, TABLE, Verdicts, table_of

ROWS = {line.split(" | ")[0].strip("| "): line for line in TABLE.search(PAGE.read_text())[0].splitlines()[2:]}


@pytest.mark.parametrize(
    ("name", "opset", "dynamo"),
    [*((name, 17, False) for name in SERIES), ("trial-cnn", 18, True), ("trial-autoencoder", 20, True)],
)
def test_the_rewritten_network_is_equal_and_runs_on_the_device(name, opset, dynamo):
    network = SERIES[name]
    model = export(network.build, network.shape, opset, dynamo, False)
    before, _, after = ROWS[name].strip(" |").split(" | ")[2 + dynamo].partition(": ")
    assert check(model, "hailo8l").verdict in before.split(", "), "the page is older than the checker: make series"
    assert after == (network.after_dynamo if dynamo and network.after_dynamo else network.after)
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


def test_the_page_has_every_network_with_its_source():
    assert list(ROWS) == list(SERIES)
    assert all(f"| {SERIES[name].source} |" in row for name, row in ROWS.items())


def test_a_row_says_each_verdict_of_an_exporter_once():
    exports = [Verdicts(False, "none", "full"), Verdicts(False, "cut", "full"), Verdicts(True, "none", "cut")]
    source = SERIES["fcn"].source
    assert table_of({"fcn": exports}).splitlines()[2] == f"| fcn | {source} | none, cut: full | none: cut |"
