"""The survey of foreign networks: its table, its way to name nodes, its judging. ``make networks`` runs it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.factories.onnx_graphs import GraphFactory
from tests.survey.judging import after_fix, chips_of, ends_agree, judge, rate
from tests.survey.refusals import read_refusals
from tests.survey.reliability import level_of
from tests.survey.scopes import scoped_name
from tests.survey.truth import Answer, Network, expand, read_networks


def node(name: str, op: str, scopes: str = "") -> onnx.NodeProto:
    made = onnx.NodeProto(name=name, op_type=op)
    if scopes:
        made.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
    return made


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (node("/model.22/cv2.0/cv2.0.2/Conv", "Conv"), "model.22.cv2.0.2/Conv"),
        (node("/model.22/proto/cv3/act/Mul", "Mul"), "model.22.proto.cv3.act/Mul"),
        (node("/model.23/Mul_2", "Mul"), "model.23/Mul"),
        (node("Conv_303", "Conv"), "Conv_303"),
        (
            node("node_Conv_9", "Conv", "['', 'model.22', 'model.22.cv2', 'model.22.cv2.0.2', 'conv2d_9']"),
            "model.22.cv2.0.2/Conv",
        ),
        (node("node_mul_3", "Mul", "['', 'model.22.proto', 'cv3', 'act', 'silu_3']"), "model.22.proto.cv3.act/Mul"),
    ],
)
def test_a_node_has_one_name_whichever_exporter_wrote_it(made: onnx.NodeProto, expected: str) -> None:
    assert scoped_name(made) == expected


def test_braces_expand_as_in_a_shell() -> None:
    assert expand("a{1,2}.b{3,4}/Conv") == ["a1.b3/Conv", "a1.b4/Conv", "a2.b3/Conv", "a2.b4/Conv"]
    assert expand("/a/Mul") == ["/a/Mul"]


def test_the_table_is_as_large_and_as_mixed_as_it_says() -> None:
    networks = read_networks()
    counted = [network for network in networks if network.counted]
    assert len(counted) >= 120
    assert all(network.sources for network in counted)
    held_out = [network for network in counted if network.held_out]
    assert 0.25 < len(held_out) / len(counted) < 0.42
    opsets = {int(spelling.partition("-")[2]) for network in networks for spelling in network.exports}
    assert opsets >= set(range(11, 21))
    exporters = {spelling.partition("-")[0] for network in networks for spelling in network.exports}
    assert exporters == {"script", "dynamo", "file", "tf2onnx"}


def test_no_family_is_on_both_sides() -> None:
    parts: dict[str, set[str]] = {}
    for network in read_networks():
        parts.setdefault(network.family, set()).add(network.part)
    assert all(len(sides) == 1 for sides in parts.values())
    assert {network.family for network in read_networks() if network.name.startswith("yolo11")} == {"yolo11"}


def test_a_level_of_confidence_counts_exports_and_families() -> None:
    level = level_of([("a", True), ("a", True), ("b", True), ("b", False), ("c", True)])
    assert (level.right, level.count, level.families_right, level.families) == (4, 5, 2, 3)
    assert level.without == (pytest.approx(2 / 3), 1.0)
    assert level_of([("a", True)]).without is None
    assert level_of([]).text() == "none"


def test_any_of_the_recorded_sets_of_end_nodes_is_right() -> None:
    answer = Answer("cut", (("head.0/Conv", "head.1/Conv"), ("/a", "/b")))
    assert ends_agree(answer, ["/x", "/y"], ["head.1/Conv", "head.0/Conv"])
    assert ends_agree(answer, ["/b", "/a"], ["head/Mul", "head/Sigmoid"])
    assert not ends_agree(answer, ["/a"], ["head.0/Conv"])


def test_a_network_is_judged_for_the_chips_that_its_record_speaks_of() -> None:
    cut, none = Answer("cut"), Answer("")
    first, second = "script-11", "dynamo-18"
    for answers, expected in (
        ({"hailo8": cut, "hailo10h": cut}, [["hailo8", "hailo10h"], ["hailo10h"]]),
        ({"hailo8": cut, "hailo10h": none}, [["hailo8"], ["hailo8"]]),
        ({"hailo8": cut, "hailo10h": Answer("full")}, [["hailo8", "hailo10h"]] * 2),
    ):
        network = Network("n", "timm", "m", {}, (first, second), answers, ())
        assert [list(chips_of(network, spelling)) for spelling in (first, second)] == expected


def test_a_file_is_judged_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "selu.onnx"
    onnx.save(next(refusal for refusal in read_refusals() if refusal.id == "selu").model, path)
    network = Network("selu", "x", "x", {}, ("file-13",), {"hailo8": Answer("cut", (("/Conv_0",),))}, ())
    outcome = judge(network, "file-13", path, "hailo8")
    assert outcome.right
    assert outcome.ends_right
    assert outcome.cpu_s > 0
    assert outcome.peak_mb > 1
    path.write_bytes(b"no model")
    assert judge(network, "file-13", path, "hailo8").verdict == "error"


def test_where_no_record_decides_on_a_file_the_copy_of_fix_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "stack.onnx"
    graph = GraphFactory("x", [1, 4, 8, 8])
    stack = [graph.add("Unsqueeze", graph.conv("x", 8), graph.ints(-1)) for _ in range(2)]
    onnx.save(
        graph.model(graph.add("ReduceSum", graph.add("Concat", *stack, axis=-1), graph.ints(-1), keepdims=0)), path
    )
    spellings = ("file-17", "file-18")
    answers = {"hailo8": Answer("cut")}
    network = Network("stack", "x", "x", {}, spellings, answers, (), {"file-18": ""}, fixed="full")
    decided, open_one = (judge(network, spelling, path, "hailo8") for spelling in spellings)
    assert (decided.expected, decided.verdict, decided.fixed_expected, decided.fixed) == ("cut", "cut", "", "")
    assert (open_one.expected, open_one.verdict, open_one.fixed_expected, open_one.fixed) == ("", "cut", "full", "full")
    assert after_fix([decided, open_one]) == [True]


def test_refused_constructs_are_valid_models_and_nearly_all_are_refused() -> None:
    refusals = read_refusals()
    assert len(refusals) >= 40
    for refusal in refusals:
        onnx.checker.check_model(refusal.model, full_check=True)
    mistakes = {refusal.id: mistake for refusal in refusals if (mistake := refusal.mistake())}
    assert len(mistakes) <= 0.05 * len(refusals), mistakes


def test_a_rate_shows_its_counts() -> None:
    assert rate([True, True, False]) == "2 of 3 (66.7 %)"
    assert rate([]) == "0 of 0"


def test_networks_are_chosen_by_the_beginning_of_their_name_or_family() -> None:
    chosen = {network.name for network in read_networks() if network.is_meant(["openclip", "hardnet"])}
    assert {"openclip-rn50", "openclip-vit-b32"} < chosen
    assert all(name.startswith("openclip") or "hardnet" in name for name in chosen)
    assert len(chosen) > len([name for name in chosen if name.startswith("openclip")])
    assert all(network.is_meant([]) for network in read_networks())
