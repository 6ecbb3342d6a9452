"""The verdict, the cut and the report on small graphs."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from fsq_edge_compile import check
from fsq_edge_compile.checker.targets import ARCHES
from fsq_edge_runtime.errors import DataError, MissingInputError, UsageError
from tests.factories.onnx_graphs import GraphFactory, fsq_model, imu_encoder


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_projects_own_encoder_is_full_for_every_chip(arch: str, batch_norm: bool) -> None:
    graph = imu_encoder(batch_norm=batch_norm)
    report = check(graph.model(graph.last), arch)
    assert report.verdict == "full"
    assert report.end_nodes == (graph.nodes[-1].name,)
    assert not report.errors
    assert not report.warnings


def test_the_host_tail_is_cut_off_before_round() -> None:
    report = check(fsq_model())
    assert report.verdict == "cut"
    (end,) = report.end_nodes
    assert end.startswith("/Sub")
    assert {finding.rule for finding in report.errors} >= {"op.round", "cast.float-to-integer", "gather.embedding"}
    behind = [node for node in report.nodes if node.accepted and not node.device]
    assert behind, "accepted nodes behind a cut stay on the host"


def test_several_heads_are_cut_each_at_its_end() -> None:
    graph = GraphFactory("x", [1, 8, 16, 16])
    stem = graph.unary("Relu", graph.conv("x", 16))
    heads = [graph.conv(stem, 4, (1, 1)), graph.conv(stem, 2, (1, 1))]
    flat = [graph.add("Selu", head) for head in heads]
    report = check(graph.model(*flat))
    assert report.verdict == "cut"
    assert report.end_nodes == ("/Conv_2", "/Conv_3")
    assert report.start_nodes == ("/Conv_0",)


def test_a_refused_front_moves_the_start() -> None:
    graph = GraphFactory("ids", [1, 16], TensorProto.INT64)
    rows = graph.add("Gather", graph.weights(100, 32), "ids")
    hidden = graph.add("MatMul", rows, graph.weights(32, 32))
    report = check(graph.model(graph.add("Relu", hidden)))
    assert report.verdict == "cut"
    assert report.start_nodes == ("/MatMul_1",)
    assert report.end_nodes == ("/Relu_2",)


def test_nothing_on_the_device_is_none() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    report = check(graph.model(graph.add("Selu", "x")))
    assert (report.verdict, report.end_nodes, report.exit_code) == ("none", (), 2)


def test_the_report_is_one_json_object_of_schema_version_1() -> None:
    report = check(fsq_model(), "hailo10h", "5.3")
    value = json.loads(json.dumps(report.to_dict()))
    assert list(value) == [
        "schema_version",
        "model",
        "arch",
        "dfc",
        "verdict",
        "confidence",
        "start_nodes",
        "end_nodes",
        "nodes",
        "findings",
        "macs",
        "lowered_by",
        "chips",
    ]
    assert value["schema_version"] == 1
    assert (value["arch"], value["dfc"]) == ("hailo10h", "5.3")
    assert value["nodes"]["total"] == value["nodes"]["device"] + value["nodes"]["host"]
    for finding in value["findings"]:
        assert set(finding) == {
            "rule",
            "severity",
            "support",
            "stage",
            "node",
            "op",
            "message",
            "limit",
            "actual",
            "fix",
            "source",
            "confidence",
        }
        assert finding["source"]


def test_the_callers_model_is_not_changed() -> None:
    model = fsq_model()
    before = model.SerializeToString()
    check(model)
    assert model.SerializeToString() == before


def test_wrong_calls_and_files_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        check(tmp_path / "missing.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"\x08\x08garbage that is no protobuf")
    with pytest.raises(DataError):
        check(damaged)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    with pytest.raises(DataError, match="holds no graph"):
        check(empty)
    with pytest.raises(UsageError, match="unknown architecture"):
        check(fsq_model(), "hailo9")
    with pytest.raises(UsageError, match="does not serve"):
        check(fsq_model(), "hailo8", "5.3")
    with pytest.raises(UsageError, match=r"first that does is 5\.2"):
        check(fsq_model(), "hailo15l", "5.1")


def test_an_invalid_graph_is_a_data_error() -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    with pytest.raises(DataError, match="not a valid ONNX graph"):
        check(graph.model(graph.add("Relu", "nobody makes this")))


def test_a_symbolic_batch_is_one_and_a_warning() -> None:
    graph = GraphFactory("x", ["N", 4, 8, 8])
    report = check(graph.model(graph.conv("x", 4)))
    assert report.verdict == "full"
    assert [finding.rule for finding in report.warnings] == ["file.symbolic-batch"]


def test_other_open_sizes_are_refused_unless_given() -> None:
    graph = GraphFactory("x", [1, 4, "height", 8])
    model = graph.model(graph.conv("x", 4))
    assert check(model).verdict == "none"
    assert check(model, input_shapes={"x": (1, 4, 8, 8)}).verdict == "full"


def test_importing_the_package_does_not_import_onnx() -> None:
    import subprocess
    import sys

    code = "import sys, fsq_edge_compile, fsq_edge.cli.check; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_file_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    graph = imu_encoder()
    onnx.save(graph.model(graph.last), path)
    assert check(path).model == "encoder.onnx"
