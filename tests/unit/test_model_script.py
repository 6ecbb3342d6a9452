"""Model scripts: what is generated passes the linter, and the linter names each known mistake."""

from __future__ import annotations

import pytest

from fsq_edge_compile.dfc.model_script import ScriptOptions, lint_model_script, parse_command, write_model_script


def errors(text: str, windows: int = 1024, generation: int = 3) -> list[str]:
    found = lint_model_script(text, windows, generation=generation)
    return [finding.message for finding in found if finding.severity == "error"]


def warnings(text: str, windows: int = 1024) -> list[str]:
    return [finding.message for finding in lint_model_script(text, windows) if finding.severity == "warning"]


@pytest.mark.parametrize("windows", [64, 256, 1023, 1024, 4096])
@pytest.mark.parametrize("level", [0, 1, 2, 4])
@pytest.mark.parametrize("wide", [False, True])
def test_generated_scripts_are_clean(windows: int, level: int, wide: bool) -> None:
    text = write_model_script(ScriptOptions(windows, level, output_16bit=wide))
    assert lint_model_script(text, windows) == ()
    asked = int(text.split("calibset_size=")[1].split(")")[0])
    assert asked == min(windows, 1024)
    assert ("optimization_level=0" in text) == (level == 0 or windows < 1024)
    assert ("precision_mode=a16_w16" in text) == wide


def test_an_option_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="optimization_level=3"):
        write_model_script(ScriptOptions(2000, optimization_level=3))


def test_the_documented_forms_parse() -> None:
    for line in (
        "normalization1 = normalization([1.0, 2.0], [3.0, 4.0])",
        "model_optimization_config(calibration, batch_size=8, calibset_size=64)",
        "quantization_param(output_layer1, precision_mode=a16_w16)",
        "quantization_param({softmax*, matmul*}, precision_mode=a8_w8)",
        "post_quantization_optimization(finetune, policy=enabled, learning_rate=0.0001, epochs=4, dataset_size=1024)",
        "performance_param(compiler_optimization_level=max)",
        "change_output_activation(conv1, sigmoid)",
    ):
        assert parse_command(line) is not None, line
    command = parse_command("a, b = transpose(x, [1, 2], mode=(3, 4))")
    assert command is not None
    assert (command.targets, command.name) == (("a", "b"), "transpose")
    assert (command.positional, command.keywords) == (("x", "[1, 2]"), {"mode": "(3, 4)"})


@pytest.mark.parametrize(
    "line", ["import numpy as np", "runner.optimize(calib)", "for x in y:", "calib = 5", "x = [1, 2]", "f(", "f(a,,b)"]
)
def test_python_is_not_a_model_script(line: str) -> None:
    assert len(errors(line)) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("normalization1 = normalization([0.0], [1.0])", "exactly one place"),
        ("model_optimization_config(calibration, calibset_size=2048)", "holds 1024 windows"),
        ("post_quantization_optimization(finetune, dataset_size=4000)", "holds 1024 windows"),
        ("model_optimization_flavor(optimization_level=3)", "optimization_level=3"),
        ("model_optimization_flavor(compression_level=5)", "compression_level=5"),
        ("quantization_param(conv1, precision_mode=a4_w4)", "a4_w4"),
        ("quantization_param(conv1)", "missing"),
        ("change_output_activation(conv1, relu)", "relu"),
        ("quantization_precision(8)", "does not exist"),
        ("performance_mode(fast)", "does not exist"),
        ("allocator_param(output_hef_path=x)", "does not exist"),
    ],
)
def test_known_mistakes_are_errors(line: str, message: str) -> None:
    assert any(message in found for found in errors(line)), errors(line)


def test_warnings_say_what_will_happen_silently() -> None:
    assert "drops it to 0" in warnings("model_optimization_flavor(optimization_level=2)", 256)[0]
    assert "16-bit attention" in warnings("quantization_param({softmax1}, precision_mode=a16_w16)")[0]
    assert "not known here" in warnings("brand_new_command(1)")[0]


def test_line_numbers_and_comments() -> None:
    text = "# a comment\n\nmodel_optimization_flavor(optimization_level=9)  # too high\n"
    (finding,) = lint_model_script(text, 2000)
    assert finding.where == "line 3"
