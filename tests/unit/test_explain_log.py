"""Compiler and HailoRT logs in plain words."""

from __future__ import annotations

import pytest

from fsq_edge_compile.checker.rulebook import rulebook
from fsq_edge_compile.explain import MAX_FINDINGS, explain_log, log_rows
from fsq_edge_runtime.status import STATUS

DFC_LOG = """\
[info] Translation started on ONNX model yolo26
Traceback (most recent call last):
hailo_sdk_client.model_translator.exceptions.ParsingWithRecommendationException: Parsing failed. The errors found in \
the graph are:
 UnsupportedOperationError in op /model.23/GatherElements: GatherElements operation is unsupported
 UnsupportedShuffleLayerError in op /model.23/Flatten: Failed to determine type of layer to create in node /m/Flatten
 UnexpectedNodeError in op node_Expand_61: Unexpected node node_Expand_61 (Expand)
Please try to parse the model again, using these end node names: /model.23/cv2.0/Conv, /model.23/cv3.0/Conv
"""

# Text of a report, and the row or rule that must explain it.
TEXTS = {
    "UnsupportedOperationError in op X: Mod operation is unsupported": "op.mod",
    "UnsupportedReduceSumLayerError in op node_sum_4": "reduce-sum.axis",
    "UnsupportedReduceMaxLayerError in op X: Reduce max is only supported on the features axis": "reduce-max.axis",
    "UnsupportedSliceLayerError in op G: Gather operation on the batch dimension is not supported": "gather.batch",
    "UnsupportedGatherLayerError in op /model.23/G: Can't find index": "gather.computed-index",
    "UnsupportedGatherLayerError in op /embeddings/Gather": "gather.embedding",
    "UnsupportedConcatLayerError in op /T: Unsupported concat over axis batch": "concat.batch",
    "UnsupportedModelError: 1D form is not supported in layer x of type ConcatLayer": "concat.flat",
    "UnsupportedModelError: ew mult layer ew_mult1 (translated from m) expects 2 inputs but found 1": "mul.same-tensor",
    "UnsupportedModelError: constant (1, 2, 8400) not broadcastable to [1, 8400, 2]": "elementwise.constant-layout",
    "IndexError: list index out of range in _convert_axes_to_nhwc": "layer-norm.untracked-layout",
    "IndexError in is_windows_to_input_chain_end": "file.computed-shapes",
    "Super deconv is not supported with groups": "conv-transpose.groups",
    "Invalid kernel shape for base dw layer base_dw1 (translated from c)": "op.conv-1d",
    "Invalid kernel shape (at the dense layer)": "reduce-mean.one-spatial-axis",
    "ValidationError: [] should be non-empty": "file.empty-graph",
    "ValueError: 'onnx::Sub_640' is not in list": "file.opset-old",
    "Invalid scope name": "file.net-name",
    "ValueError: Unspecified inputs: {'attention_mask'}": "file.input-not-declared",
    "KeyError: 'clip_min'": "min.after-zero-floor",
    "matmul2: Matmul without transpose input and with negative range is not supported": "matmul.negative-range",
    "UnsupportedLSTMLayerError in op X: activation types ['Sigmoid','Tanh'] are not supported": "lstm.bidirectional",
    "Compilation failed: No successful assignment(s) found": "",
    "BadInputsShape: Data shape (3, 640, 640) for layer x/input_layer1 doesn't match network's input shape": "",
    "KeyError: 'net/input_layer1'": "",
    "Couldn't detect CalibrationDataType": "",
    "Warning: Reducing optimization level to 0 because there is no GPU": "",
    "IndexError: tuple index out of range (concat_op.py)": "",
    "NetworkXUnfeasible: Graph contains a cycle": "",
    "Model requires quantized weights in order to run on HW, but none were given": "",
    "Automri finished with too many resources": "",
    "HEF format is not compatible with device. Device arch: HAILO8L, HEF arch: HAILO8": "",
    "DFC version from which this HEF was created (5.1.0) is different from library version (5.2.0)": "",
    "Unsupported firmware operation. Host: 4.17.0, Device: 4.20.0": "",
    "ImportError: libhailort.so.4.20.0: cannot open shared object file": "",
    "fatal error: graphviz/cgraph.h: No such file or directory": "",
    "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.3": "",
    "ERROR: ResolutionImpossible": "",
    "[HailoRT] [error] CHECK_SUCCESS failed with status=36": "hailort.36",
    "Failed to create VDevice, HAILO_OUT_OF_PHYSICAL_DEVICES(74)": "hailort.74",
    "HailoRTException: libhailort failed with error: 76 (HAILO_INVALID_DRIVER_VERSION)": "hailort.76",
    "[HailoRT] [critical] got HAILO_TIMEOUT": "hailort.4",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_reported_text_is_explained(text: str) -> None:
    report = explain_log(["[info] something before", text])
    (finding,) = report.findings
    assert finding.line == 2
    assert finding.rule == TEXTS[text]
    assert finding.cause
    assert finding.fix
    assert finding.source
    assert report.exit_code == 0


def test_a_parser_log_gives_nodes_fixes_and_end_nodes() -> None:
    report = explain_log(DFC_LOG.splitlines(keepends=True))
    assert [(finding.node, finding.rule) for finding in report.findings] == [
        ("/model.23/GatherElements", "op.gather-elements"),
        ("/model.23/Flatten", "reshape.shuffle"),
        ("node_Expand_61", "op.expand"),
    ]
    assert report.end_nodes == ("/model.23/cv2.0/Conv", "/model.23/cv3.0/Conv")
    assert report.exit_code == 0


def test_what_is_not_known_is_said() -> None:
    report = explain_log(["[info] fine", "WeirdNewError in op /a/b: something nobody saw"])
    assert not report.findings
    assert report.unexplained == ((2, "WeirdNewError in op /a/b: something nobody saw"),)
    assert report.exit_code == 1
    known = "Invalid scope name"
    assert explain_log(["WeirdNewError: x", known]).exit_code == 1


def test_a_clean_log_has_nothing() -> None:
    report = explain_log(["[info] Compilation finished", "[info] status: 0 errors", ""])
    assert (report.findings, report.unexplained, report.exit_code) == ((), (), 0)


def test_every_status_name_is_recognised() -> None:
    for code, status in STATUS.items():
        if code:
            (finding,) = explain_log([f"[HailoRT] [error] failed, {status.name}({code})"]).findings
            assert finding.rule == f"hailort.{code}"


def test_a_name_counts_before_its_number_since_numbers_have_changed() -> None:
    (found,) = explain_log(["[HailoRT] [error] CHECK_SUCCESS failed with status=HAILO_RPC_FAILED(6)"]).findings
    assert "77 HAILO_RPC_FAILED" in found.cause


def test_a_hostile_log_stays_bounded() -> None:
    lines = [f"OddError in op /n{index}: " + "x" * 100_000 for index in range(MAX_FINDINGS + 100)]
    report = explain_log(lines)
    assert len(report.unexplained) == MAX_FINDINGS
    assert all(len(text) <= 300 for _, text in report.unexplained)


def test_the_table_is_sound() -> None:
    rules = rulebook().rules
    rows = log_rows()
    assert len({row.id for row in rows}) == len(rows)
    for row in rows:
        assert row.cause
        assert row.fix
        assert not row.rule or row.rule in rules
        assert "{op" not in row.fix
