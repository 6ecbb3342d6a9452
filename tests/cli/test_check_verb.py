"""``fsq-edge check``: exit codes, the JSON, and what --report, --fix, --split and --explain write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fsq_edge.cli.main import run
from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_runtime.backends.onnx import open_onnx
from tests.factories.onnx_graphs import GraphFactory, fsq_model, imu_encoder

Capture = pytest.CaptureFixture[str]


def save(model: onnx.ModelProto, path: Path) -> str:
    onnx.save(model, path)
    return str(path)


@pytest.fixture
def full(tmp_path: Path) -> str:
    graph = imu_encoder()
    return save(graph.model(graph.last), tmp_path / "encoder.onnx")  # type: ignore[attr-defined] # the factory's note


@pytest.fixture
def cut(tmp_path: Path) -> str:
    return save(fsq_model(), tmp_path / "fsq.onnx")


@pytest.fixture
def none(tmp_path: Path) -> str:
    graph = GraphFactory("x", [1, 4, 8, 8])
    return save(graph.model(graph.add("Ceil", "x")), tmp_path / "none.onnx")


@pytest.fixture
def mendable(tmp_path: Path) -> str:
    graph = GraphFactory("x", [1, 6, 50])
    x = graph.unary("Relu", graph.batch_norm(graph.conv("x", 16, (9,))))
    flat = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    return save(graph.model(graph.gemm(flat, 16, 5)), tmp_path / "conv1d.onnx")


def as_json(arguments: list[str], capsys: Capture) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["check", *arguments, "--json", "-"])
    return code, json.loads(capsys.readouterr().out)


def test_the_exit_code_is_the_verdict(full: str, cut: str, none: str, capsys: Capture) -> None:
    for path, code, verdict in ((full, 0, "full"), (cut, 1, "cut"), (none, 2, "none")):
        assert run(["check", path]) == code
        assert verdict in capsys.readouterr().out
        found, value = as_json([path], capsys)
        assert (found, value["verdict"]) == (code, verdict)
        assert "fix" not in value
        assert "split" not in value


def test_every_error_is_one_line_and_a_hint(tmp_path: Path, full: str, capsys: Capture) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    half = tmp_path / "half.onnx"
    half.write_bytes(Path(full).read_bytes()[:-100])
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, code in (
        ([str(tmp_path / "gone.onnx")], 66),
        ([str(empty)], 66),
        ([str(text)], 65),
        ([str(half)], 65),
        ([], 64),
        ([full, "--arch", "hailo9"], 64),
        ([full, "--dfc", "5.3"], 64),
        ([full, "--dfc", "new"], 64),
        ([full, "--input-shape", "input"], 64),
        ([full, "--input-shape", "other=1,2"], 64),
        ([full, "--explain", "op.relu"], 64),
        ([full, "--fix", full], 64),
        ([full, "--report", str(tmp_path / "text.onnx" / "r.html")], 69),
        ([full, "--split", str(tmp_path / "text.onnx" / "parts")], 69),
        ([full, "--json", str(tmp_path / "text.onnx" / "r.json")], 69),
        ([full, "--fix", "/dev/null"], 65),
        (["--explain", "no such rule"], 64),
    ):
        assert run(["check", *arguments]) == code, arguments
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[0].startswith("error: ")
        assert len(lines) <= 2
        assert all(line.startswith("hint: ") for line in lines[1:])
    assert Path(full).stat().st_size > 1000


def test_a_device_is_written_to_and_not_replaced(full: str, capsys: Capture) -> None:
    assert run(["check", full, "--json", "/dev/null", "--report", "/dev/null", "--quiet"]) == 0
    assert Path("/dev/null").is_char_device()
    # Standard output says that its device is full.
    assert run(["check", full, "--json", "/dev/full", "--quiet"]) == 69
    assert "cannot write /dev/full" in capsys.readouterr().err


def test_names_from_the_file_cannot_speak_to_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    odd = graph.add("Selu", graph.conv("x", 8), name="[/bold] [red]x\x1b[31m\n[link=y]")
    path = save(graph.model(odd), tmp_path / "odd.onnx")
    page = tmp_path / "odd.html"
    assert run(["check", path, "--report", str(page), "--split", str(tmp_path / "parts")]) == 1
    out = capsys.readouterr().out
    assert "[/bold] [red]x" in out
    assert "\x1b" not in out
    broken = GraphFactory("x", [1, 4, 8, 8])
    path = save(broken.model(broken.add("Relu", "a\nb\x1b[31m")), tmp_path / "broken.onnx")
    assert run(["check", path]) == 65
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert len(err.strip().splitlines()) <= 2


def test_the_fixed_copy_is_full_and_the_model_stays(mendable: str, tmp_path: Path, capsys: Capture) -> None:
    before = Path(mendable).read_bytes()
    out = tmp_path / "fixed.onnx"
    code, value = as_json([mendable, "--fix", str(out)], capsys)
    # The exit code speaks of the model as given.
    assert (code, value["verdict"]) == (2, "none")
    assert value["fix"]["file"] == str(out)
    assert value["fix"]["verdict"] == "full"
    assert "conv1d-as-conv2d" in {change["rewrite"] for change in value["fix"]["changes"]}
    assert all(change["nodes"] for change in value["fix"]["changes"])
    assert Path(mendable).read_bytes() == before
    assert run(["check", str(out)]) == 0
    capsys.readouterr()
    run(["check", mendable, "--fix", str(out)])
    assert "fix: conv1d-as-conv2d" in capsys.readouterr().out


def _run(path: str, known: dict[str, Any]) -> dict[str, Any]:
    session = open_onnx(Path(path).read_bytes())
    names = [output.name for output in session.get_outputs()]
    feeds = {entry.name: known[entry.name] for entry in session.get_inputs()}
    return dict(zip(names, session.run(names, feeds), strict=True))


def test_the_parts_are_written_and_compose(cut: str, tmp_path: Path, capsys: Capture) -> None:
    code, value = as_json([cut, "--split", str(tmp_path / "parts")], capsys)
    assert code == 1
    assert list(value["split"]["files"]) == ["device", "host"]
    assert value["split"]["difference"] == 0.0
    known: dict[str, Any] = {"input": np.random.default_rng(5).standard_normal((1, 12, 2, 50)).astype(np.float32)}
    expected = _run(cut, known)
    for path in value["split"]["files"].values():
        known |= _run(path, known)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(known[name], wanted)
    assert run(["check", value["split"]["files"]["device"]]) == 0


def test_fix_and_split_together_split_the_copy(mendable: str, tmp_path: Path, capsys: Capture) -> None:
    _, value = as_json([mendable, "--fix", str(tmp_path / "f.onnx"), "--split", str(tmp_path / "parts")], capsys)
    assert list(value["split"]["files"]) == ["device"]


def test_nothing_to_split_writes_nothing(none: str, tmp_path: Path, capsys: Capture) -> None:
    code, value = as_json([none, "--split", str(tmp_path / "parts")], capsys)
    assert (code, value["split"]) == (2, None)
    assert not (tmp_path / "parts").exists()


def test_given_sizes_count_everywhere(tmp_path: Path, capsys: Capture) -> None:
    graph = GraphFactory("x", [1, 4, "height", "width"])
    path = save(graph.model(graph.add("Selu", graph.conv("x", 8))), tmp_path / "open.onnx")
    assert run(["check", path]) == 2
    options = ["--input-shape", "x=1,4,8,16", "--split", str(tmp_path / "p"), "--report", str(tmp_path / "r.html")]
    code, value = as_json([path, *options], capsys)
    assert (code, value["verdict"]) == (1, "cut")
    device = onnx.load(value["split"]["files"]["device"])
    assert [dim.dim_value for dim in device.graph.input[0].type.tensor_type.shape.dim] == [1, 4, 8, 16]
    code, value = as_json([path, *options[:2], "--fix", str(tmp_path / "f.onnx")], capsys)
    assert value["fix"]["verdict"] == "full"


@pytest.mark.parametrize("rule", sorted(rulebook().rules))
def test_every_rule_can_be_explained(rule: str, capsys: Capture) -> None:
    assert run(["check", "--explain", rule]) == 0
    out = capsys.readouterr().out
    assert out.startswith(rule)
    assert "sources:" in out
    assert "fix:" in out or rulebook().rules[rule].severity == "info"


def test_an_operator_is_explained_by_its_rows(capsys: Capture) -> None:
    assert run(["check", "--explain", "conv"]) == 0
    out = capsys.readouterr().out
    assert all(row in out for row in ("Conv/1d", "Conv/2d", "Conv/3d"))
    assert run(["check", "--explain", "Round", "--json", "-"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["rule"], card["support"], card["confidence"]) == ("op.round", "unsupported", "high")
    assert card["sources"]


def test_a_node_that_only_a_subgraph_reads_is_an_end_node(tmp_path: Path, capsys: Capture) -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    condition = graph.input("c", [], TensorProto.BOOL)
    maps = graph.conv("x", 8)
    branches = {
        name: helper.make_graph(
            [helper.make_node(op, [maps], [f"{name}_out"])],
            name,
            [],
            [helper.make_empty_tensor_value_info(f"{name}_out")],
        )
        for name, op in (("then_branch", "Relu"), ("else_branch", "Neg"))
    }
    graph.nodes.append(helper.make_node("If", [condition], ["y"], name="choice", **branches))
    code, value = as_json([save(graph.model("y"), tmp_path / "if.onnx")], capsys)
    assert (code, value["end_nodes"]) == (1, ["/Conv_0"])


def test_nodes_of_one_name_are_told_apart(tmp_path: Path, capsys: Capture) -> None:
    graph = GraphFactory("x", [1, 4, 8, 8])
    model = graph.model(graph.add("Selu", graph.unary("Relu", graph.conv("x", 8))))
    for node in model.graph.node:
        node.name = "same"
    path = save(model, tmp_path / "same.onnx")
    code, value = as_json([path, "--fix", str(tmp_path / "fixed.onnx")], capsys)
    assert (code, value["start_nodes"], value["end_nodes"]) == (1, ["same"], ["Relu_1"])
    assert "file.unnamed-nodes" in {finding["rule"] for finding in value["findings"]}
    assert len({node.name for node in onnx.load(tmp_path / "fixed.onnx").graph.node}) == 4


def test_missing_external_data_ends_with_65_and_an_answer_in_json(full: str, tmp_path: Path, capsys: Capture) -> None:
    model = onnx.load(full)
    onnx.save(model, tmp_path / "side.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    code, value = as_json([str(tmp_path / "side.onnx")], capsys)
    assert (code, value["exit_code"], value["model"]) == (65, 65, "side.onnx")
    assert "weights.bin" in value["error"]
