"""``fsq-edge check``: will Hailo's compiler take a graph, and where to cut when it will not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fsq_edge.cli.check_gate import CheckGate, gate_options
from fsq_edge.cli.check_show import show_fix, show_report, show_rules, show_split
from fsq_edge.cli.options import default_option
from fsq_edge.cli.output import Output, need, output_options, write_report
from fsq_edge.cli.workstation_options import dfc_option
from fsq_edge.deploy.foreign_formats import require_onnx
from fsq_edge_compile.checker.targets import ARCHES
from fsq_edge_runtime.errors import FsqEdgeError, UsageError

if TYPE_CHECKING:
    import onnx

    from fsq_edge_compile.checker.batch import FailOn
    from fsq_edge_compile.checker.rewrites.fixing import FixResult
    from fsq_edge_compile.checker.splitting import SplitResult

Shapes = dict[str, tuple[int, ...]]


@click.command(
    epilog="Exit codes: 0 all of MODEL runs on the device, 1 a part does (cut), 2 nothing does; of several models, the "
    "worst. They speak of MODEL as given, whatever --fix makes of it; --explain exits 0. With --fail-on or --baseline: "
    "1 where a finding fails, else 0.",
)
@click.argument("models", nargs=-1, metavar="MODEL...")
@default_option("--arch", "hailo8l", click.Choice(ARCHES), "Check for this chip.")
@dfc_option
@click.option(
    "--input-shape",
    "input_shapes",
    multiple=True,
    metavar="NAME=1,9,2,50",
    help="Use these sizes of a graph input in place of those in the file; repeat the option for further inputs.",
)
@click.option(
    "--report",
    "report_to",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write an HTML page with the graph to this file.",
)
@click.option(
    "--fix",
    "fix_to",
    metavar="OUT",
    type=click.Path(dir_okay=False),
    help="Write a copy with proven rewrites that the compiler accepts to this file.",
)
@click.option(
    "--split",
    "split_to",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Write the device part and the host part to this folder; with --fix, those of the fixed copy.",
)
@gate_options
@click.option(
    "--explain",
    metavar="RULE",
    help="Print this rule, or the rules of this operator, with evidence and fix; check nothing.",
)
@output_options
def command(
    models: tuple[str, ...],
    arch: str,
    dfc: str | None,
    input_shapes: tuple[str, ...],
    report_to: str | None,
    fix_to: str | None,
    split_to: str | None,
    form: str,
    fail_on: FailOn | None,
    baseline: Path | None,
    write_baseline: Path | None,
    explain: str | None,
    output: Output,
) -> None:
    """Judge ONNX files against a Hailo chip, with nothing of Hailo's installed.

    MODEL is a file, or a folder whose .onnx files are all judged. Every rule comes from public reports and carries its
    source and confidence.
    """
    output.quiet = output.quiet or form != "text"
    if explain is not None:
        _explain(explain, models, output)
        return
    if not models:
        raise UsageError("which model?", hint="fsq-edge check model.onnx --arch hailo8l")
    if form != "text" and output.json_to == "-":
        raise UsageError("--json - and --format both write to standard output", hint="--json FILE")
    need("onnx", "compile")
    from fsq_edge_compile.checker.batch import find_models

    for model in models:  # a folder is searched for ONNX files, unless it is a model of TensorFlow
        if not Path(model).is_dir() or (Path(model) / "saved_model.pb").is_file():
            require_onnx(Path(model))
    shapes = _parse_shapes(input_shapes)
    files = find_models(models)
    gate = CheckGate(form, fail_on, baseline, write_baseline)
    if len(files) > 1 or Path(models[0]).is_dir():
        if report_to or fix_to or split_to or shapes:
            raise UsageError("--report, --fix, --split and --input-shape take one model", hint="name one file")
        gate.judge_all(files, arch, dfc, output)
        return
    _check_one(files[0], (arch, dfc), shapes, (report_to, fix_to, split_to), gate, output)


def _check_one(
    model: str,
    target: tuple[str, str | None],
    shapes: Shapes,
    outputs: tuple[str | None, str | None, str | None],
    gate: CheckGate,
    output: Output,
) -> None:
    from fsq_edge_compile.checker.checking import examine

    report_to, fix_to, split_to = outputs
    try:
        examination = examine(model, *target, input_shapes=shapes or None)
    except FsqEdgeError as error:
        # A script that reads the JSON gets an answer for a broken file too; the error line follows on standard error.
        failed = {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
        output.write_json({"schema_version": 1, "model": Path(model).name, "arch": target[0], **failed})
        gate.show_error(model, error)
        raise
    report = examination.report
    result: dict[str, Any] = report.to_dict()
    show_report(report, output)
    if report_to is not None:
        from fsq_edge_compile.checker.page import render_page

        write_report(Path(report_to), render_page(examination))
        output.say(f"report: {report_to}")
    fixed = _fix(model, fix_to, shapes, target, output, result) if fix_to is not None else None
    if split_to is not None:
        _split(fixed.model if fixed else model, split_to, {} if fixed else shapes, target, output, result)
    output.write_json(result)
    gate.finish([gate.judged(model, report)], output)


def _explain(rule: str, models: tuple[str, ...], output: Output) -> None:
    from fsq_edge_compile.checker.rulecard import find_rules

    if models:
        raise UsageError("--explain takes a rule and no model", hint=f"fsq-edge check --explain {rule}")
    cards = find_rules(rule)
    show_rules(cards, output)
    if len(cards) == 1:
        output.write_json(cards[0].to_dict())
    else:
        output.write_json({"schema_version": 1, "rules": [card.to_dict() for card in cards]})


def _fix(
    model: str,
    fix_to: str,
    shapes: Shapes,
    target: tuple[str, str | None],
    screen: Output,
    result: dict[str, Any],
) -> FixResult:
    from fsq_edge_compile import check, fix
    from fsq_edge_compile.checker.splitting import write_model

    fixed = fix(model, *target, input_shapes=shapes or None)
    write_model(fixed.model, fix_to)
    after = check(fix_to, *target)
    result["fix"] = {
        "file": fix_to,
        "verdict": after.verdict,
        "end_nodes": list(after.end_nodes),
        "stays": [finding.rule for finding in after.warnings],
        **fixed.to_dict(),
    }
    show_fix(fixed, fix_to, after, screen)
    return fixed


def _split(
    model: str | onnx.ModelProto,
    split_to: str,
    shapes: Shapes,
    target: tuple[str, str | None],
    screen: Output,
    result: dict[str, Any],
) -> None:
    """Write the parts; a model with nothing for the device has none, which the exit code says."""
    from fsq_edge_compile import split
    from fsq_edge_compile.checker.splitting import NothingToSplitError, write_parts

    try:
        parts: SplitResult = split(model, *target, input_shapes=shapes or None)
    except NothingToSplitError as error:
        result["split"] = None
        screen.say(f"split: nothing written; {error.message}")
        return
    written = write_parts(parts, split_to)
    result["split"] = {"files": {name: str(path) for name, path in written.items()}, **parts.to_dict()}
    show_split(parts, written, screen)


def _parse_shapes(given: tuple[str, ...]) -> Shapes:
    shapes = {}
    for item in given:
        name, equals, sizes = item.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.replace("x", ",").split(","))
        except ValueError:
            shape = ()
        if not equals or not name or not shape or min(shape) < 1:
            raise UsageError(f"cannot read --input-shape {item!r}", hint="for example --input-shape input=1,9,2,50")
        shapes[name] = shape
    return shapes
