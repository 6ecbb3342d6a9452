"""Model scripts (.alls) for the DFC: one command a line, written from options and linted.

A script is not Python, though it looks like it. The DFC stops at a line it does not know, late and unclearly; a
calibration size above what the file holds or a second normalisation it does not notice at all.

Source: commands and values seen in public projects and in Hailo's own examples.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from fsq_edge_runtime.findings import Finding, error, warning

LEVELS: Final = (0, 1, 2, 4)  # of optimization_level
FULL_CALIBRATION: Final = 1024  # below it the DFC drops the optimisation level to 0
PRECISIONS: Final = {3: ("a8_w8", "a8_w4", "a16_w16")}  # by DFC generation, where they are known
ACTIVATIONS: Final = ("linear", "sigmoid", "tanh")
KNOWN: Final = (
    "normalization",
    "model_optimization_config",
    "model_optimization_flavor",
    "quantization_param",
    "post_quantization_optimization",
    "performance_param",
    "change_output_activation",
    "context_switch_param",
    "allocator_param",
    "pre_quantization_optimization",
    "resources_param",
    "input_conversion",
    "transpose",
    "logits_layer",
    "nms_postprocess",
)
INVENTED: Final = ("quantization_precision", "performance_mode", "output_hef_path")  # found in public, never real
_COMMAND = re.compile(r"(?:(?P<targets>[A-Za-z_][\w, ]*?)\s*=\s*)?(?P<name>[A-Za-z_]\w*)\((?P<arguments>.*)\)")
_ARGUMENT = re.compile(r"(?:(?P<key>[A-Za-z_]\w*)\s*=\s*)?(?P<value>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """What a generated script asks for.

    Attributes:
        calibration_windows: windows in the calibration file.
        optimization_level: 0, 1, 2 or 4; above 0 it needs 1,024 windows and a GPU.
        compression_level: 0 keeps all weights at 8 bits.
        output_16bit: quantise the output layer to 16 bits, which removes the code flips of its own rounding.
        effort: let the allocator search as long as it likes.
        outputs: of the network; all of them get 16 bits, since the compiler numbers them as it likes.
    """

    calibration_windows: int
    optimization_level: int = 2
    compression_level: int = 0
    output_16bit: bool = False
    effort: bool = True
    outputs: int = 1


@dataclass(frozen=True, slots=True)
class Command:
    """One parsed line: ``targets = name(positional..., key=value...)``, values as text."""

    targets: tuple[str, ...]
    name: str
    positional: tuple[str, ...]
    keywords: dict[str, str]


def write_model_script(options: ScriptOptions) -> str:
    """Return a script for a graph whose host normalises.

    The optimisation level is written as 0 where the DFC would silently drop it to 0 (fewer than 1,024 windows), so
    that the file says what happens.

    Raises:
        ValueError: the generated script does not pass the linter: an option is out of range.
    """
    enough = options.calibration_windows >= FULL_CALIBRATION
    level = options.optimization_level if enough else 0
    lines = [
        f"model_optimization_flavor(optimization_level={level}, compression_level={options.compression_level})",
        "model_optimization_config(calibration, batch_size=8, "
        f"calibset_size={min(options.calibration_windows, FULL_CALIBRATION)})",
    ]
    if options.output_16bit:
        numbers = range(1, options.outputs + 1)
        lines += [f"quantization_param(output_layer{number}, precision_mode=a16_w16)" for number in numbers]
    if options.effort:
        lines.append("performance_param(compiler_optimization_level=max)")
    text = "\n".join(lines) + "\n"
    errors = [found for found in lint_model_script(text, options.calibration_windows) if found.severity == "error"]
    if errors:
        raise ValueError("; ".join(finding.message for finding in errors))
    return text


def lint_model_script(text: str, calibration_windows: int, *, generation: int = 3) -> tuple[Finding, ...]:
    """Return what is wrong with a script; ``where`` is the line, such as ``line 3``.

    Args:
        text: the .alls file.
        calibration_windows: windows in the calibration file.
        generation: of the DFC, 3 or 5.

    Example:
        >>> [finding.message for finding in lint_model_script("performance_mode(max)", 1024)]
        ['performance_mode does not exist in any DFC']
    """
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.split("#")[0].strip()
        if stripped:
            found = _lint(stripped, calibration_windows, generation)
            findings += [replace(finding, where=f"line {number}") for finding in found]
    return tuple(findings)


def parse_command(line: str) -> Command | None:
    """Return one line parsed, or None if it is no command."""
    match = _COMMAND.fullmatch(line)
    if not match:
        return None
    positional: list[str] = []
    keywords: dict[str, str] = {}
    for part in _split(match["arguments"]):
        argument = _ARGUMENT.fullmatch(part)
        if not argument:
            return None
        if argument["key"]:
            keywords[argument["key"]] = argument["value"].strip()
        else:
            positional.append(argument["value"].strip())
    targets = tuple(target.strip() for target in (match["targets"] or "").split(",") if target.strip())
    return Command(targets, match["name"], tuple(positional), keywords)


def _split(arguments: str) -> list[str]:
    """Split at commas outside brackets and braces."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(arguments):
        depth += (character in "[{(") - (character in "]})")
        if character == "," and depth == 0:
            parts.append(arguments[start:place].strip())
            start = place + 1
    last = arguments[start:].strip()
    return [*parts, last] if last or parts else []


_error, _warning = partial(error, "model-script"), partial(warning, "model-script")


def _lint(line: str, windows: int, generation: int) -> Iterator[Finding]:
    command = parse_command(line)
    if command is None:
        fix = "one command a line: name(arguments) or target = name(arguments)"
        yield _error(f"not a model script command: {line[:60]!r}", fix)
        return
    name, positional, keywords = command.name, command.positional, command.keywords
    invented = [used for used in (name, *keywords) if used.lower() in INVENTED]
    if invented:
        yield _error(f"{invented[0]} does not exist in any DFC", "remove it")
    elif name not in KNOWN:
        yield _warning(f"the command {name} is not known here", "see the DFC's user guide")
    elif name == "normalization":
        yield _error(
            "normalization on the chip, but the host normalises already: exactly one place may",
            "remove the line; preprocess.json is applied before the device graph",
        )
    elif name == "model_optimization_config":
        yield from _lint_count(keywords, "calibset_size", windows)
    elif name == "post_quantization_optimization":
        yield from _lint_count(keywords, "dataset_size", windows)
    elif name == "model_optimization_flavor":
        yield from _lint_flavor(keywords, windows)
    elif name == "quantization_param":
        yield from _lint_precision(positional, keywords.get("precision_mode", ""), generation)
    elif name == "change_output_activation" and (len(positional) != 2 or positional[1] not in ACTIVATIONS):
        yield _error(f"{name}({', '.join(positional)})", f"(layer, one of {', '.join(ACTIVATIONS)})")


def _lint_count(keywords: Mapping[str, str], key: str, windows: int) -> Iterator[Finding]:
    wanted = _number(keywords.get(key, "0"))
    if wanted is None or wanted > windows:
        yield _error(f"{key}={keywords[key]}, the calibration file holds {windows} windows", f"{key}={windows}")


def _lint_flavor(keywords: Mapping[str, str], windows: int) -> Iterator[Finding]:
    level = _number(keywords.get("optimization_level", "0"))
    if level not in LEVELS:
        yield _error(f"optimization_level={keywords['optimization_level']}", f"one of {', '.join(map(str, LEVELS))}")
    elif level and windows < FULL_CALIBRATION:
        message = f"optimization_level={level} with {windows} windows: the DFC drops it to 0 below {FULL_CALIBRATION}"
        yield _warning(message, "more calibration windows, or optimization_level=0")
    compression = keywords.get("compression_level", "0")
    if _number(compression) not in (0, 1, 2):
        yield _error(f"compression_level={compression}", "one of 0, 1, 2")


def _lint_precision(layers: Sequence[str], mode: str, generation: int) -> Iterator[Finding]:
    known = PRECISIONS.get(generation)
    if known and mode not in known:
        yield _error(f"precision_mode={mode or '(missing)'}", f"one of {', '.join(known)}")
    if mode == "a16_w16" and re.search("softmax|matmul", " ".join(layers)):
        message = f"a16_w16 on {' '.join(layers)}: the allocator crashed on 16-bit attention"
        yield _warning(message, "keep softmax and matmul at 8 bits")


def _number(text: str) -> int | None:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, int) else None
