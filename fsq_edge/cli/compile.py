"""``fsq-edge compile``: drive Hailo's Dataflow Compiler, or write all that it needs."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from fsq_edge.cli.bundle_change import show_findings
from fsq_edge.cli.gate_report import stop_if_shut
from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, finite, force_option, need, output_options, write_text
from fsq_edge.cli.quantize import calibration_or_windows
from fsq_edge.cli.workstation_options import dfc_option, folder_option
from fsq_edge.deploy.foreign_formats import require_onnx
from fsq_edge_calibration import CalibrationSet
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.checker.targets import ARCHES, target_for
from fsq_edge_compile.dfc.driver import Compilation, docker_command, python_command, run_plan
from fsq_edge_compile.dfc.plan import PlanOptions, write_plan
from fsq_edge_runtime.bundle.edit import check_reason
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.findings import Finding

if TYPE_CHECKING:
    from fsq_edge_compile.packing.gate import Gate

MAX_SCRIPT_BYTES = 1 << 20
SHOWN_REFUSALS = 10


@click.command(
    epilog="Exit codes: 0 a HEF (or a plan) was written; 1 the check or the compiler refuses the network, or the HEF "
    "does not fit; 69 no compiler, the wrong one for the target, or the time limit passed.",
)
@click.argument("build", metavar="BUILD|MODEL", type=click.Path(path_type=Path))
@click.option("--arch", type=click.Choice(ARCHES), required=True, help="Compile for this chip.")
@path_option("--plan", help="Only write what a machine with the DFC needs, to this folder.")
@path_option(
    "--calib",
    help="With MODEL: calibrate with these windows, as the network takes them, npy or npz, or with this calibration "
    "set.",
)
@click.option(
    "--dfc-python", metavar="PATH", help="Run the DFC in this Python interpreter, which has hailo_sdk_client."
)
@click.option(
    "--dfc-docker",
    metavar="IMAGE",
    help="Run the DFC in a container of this image, whose python3 has hailo_sdk_client.",
)
@dfc_option
@folder_option("--out", help="Compile in this folder (default: BUILD/compiled/ARCH).")
@default_option(
    "--optimization-level",
    "2",
    click.Choice(["0", "1", "2", "4"]),
    "Ask the DFC for this optimisation level; below 1,024 windows it is written as 0.",
)
@click.option(
    "--output-16bit", is_flag=True, help="Quantise the output to 16 bits, so that fewer codes flip (default: 8 bits)."
)
@path_option("--script", help="Use this model script (.alls) after linting it (default: one is generated).")
@default_option(
    "--time-limit", 120.0, click.FloatRange(min=0.01), "Stop the compiler after this many minutes.", metavar="MINUTES"
)
@force_option
@output_options
def command(
    build: Path,
    arch: str,
    plan: Path | None,
    calib: Path | None,
    dfc_python: str | None,
    dfc_docker: str | None,
    dfc: str | None,
    out: Path | None,
    optimization_level: str,
    output_16bit: bool,
    script: Path | None,
    time_limit: float,
    force: str,
    output: Output,
) -> None:
    """Compile the device graph of BUILD with Hailo's Dataflow Compiler (DFC), or plan that of any ONNX file.

    The DFC is proprietary and never installed here: --plan writes a folder for a machine that has it, --dfc-python
    and --dfc-docker run it out of process; with none of them this interpreter's own DFC is tried. MODEL is an ONNX
    file alone, which --plan and --calib take.
    """
    need("onnx", "compile")
    from fsq_edge_compile.packing.gate import check_gate

    if sum(choice is not None for choice in (plan, dfc_python, dfc_docker)) > 1:
        raise UsageError("--plan, --dfc-python and --dfc-docker exclude each other")
    if build.is_file() or build.suffix == ".onnx":
        options = PlanOptions(int(optimization_level), output_16bit, _read_script(script))
        _plan_model(output, build, calib, plan, (arch, dfc), options, force)
        return
    if calib is not None:
        raise UsageError("--calib goes with an ONNX file; a BUILD folder has its calibration set")
    folder = BuildFolder(build)
    gate = check_gate(folder, arch, dfc, force=force)
    stop_if_shut(output, gate, "not compiled")
    runner = None if plan else _runner(dfc_python, dfc_docker)
    options = PlanOptions(
        optimization_level=int(optimization_level),
        output_16bit=output_16bit,
        script=_read_script(script),
        check=gate.report.verdict,
        forced=gate.forced,
    )
    place = plan or out or build / "compiled" / arch
    written = write_plan(folder, target_for(arch, dfc), place, options)
    if plan:
        output.say(f"wrote {plan!s}: {written.network} for {arch}, see README.md there")
        output.write_json({"schema_version": 1, "plan": str(plan), **written.to_dict()})
        return
    _compile(output, folder, place, gate, runner, dfc_docker, time_limit)


def _read_script(script: Path | None) -> str | None:
    return read_bounded(script, MAX_SCRIPT_BYTES).decode("utf-8", "replace") if script else None


def _plan_model(
    output: Output,
    model: Path,
    calib: Path | None,
    plan: Path | None,
    target: tuple[str, str | None],
    options: PlanOptions,
    force: str,
) -> None:
    """Write the plan of an ONNX file that has no BUILD folder; exit 1 where the chip does not take it."""
    from fsq_edge_compile.dfc.plain_plan import check_plain, write_plain_plan

    check_reason(force)
    if plan is None or calib is None:
        raise UsageError(
            "an ONNX file alone needs --plan DIR and --calib FILE",
            hint=f"fsq-edge compile {model} --arch {target[0]} --plan DIR --calib W.npy; then compile.py in DIR",
        )
    given = calibration_or_windows(calib)
    windows = given.frames_nchw if isinstance(given, CalibrationSet) else given
    report, chip = check_plain(require_onnx(model), *target)
    for problem in report.errors[:SHOWN_REFUSALS]:
        output.say(f"  {problem.node or 'file'}: {problem.message}; fix: {problem.fix}")
    shut = f"check {report.arch} says {report.verdict}" if report.verdict == "none" else ""
    if shut and not force:
        output.say(f"{shut}: not planned; try fsq-edge check {model} --fix FIXED.onnx")
        output.write_json({"schema_version": 1, "plan": None, "check": report.to_dict()})
        click.get_current_context().exit(1)
    chosen = replace(options, check=report.verdict, forced=(f"{shut}: {force}",) if shut else ())
    written = write_plain_plan(model, windows, report, chip, plan, chosen)
    rest = "" if report.verdict == "full" else "; the host runs what follows: fsq-edge check MODEL --split DIR"
    output.say(f"wrote {plan}: {written.network} for {report.arch} ({report.verdict}{rest}), see README.md there")
    output.write_json({"schema_version": 1, "plan": str(plan), **written.to_dict()})


def _runner(dfc_python: str | None, dfc_docker: str | None) -> list[str] | None:
    """Return the command of an interpreter; None for docker, whose command needs the folder."""
    return None if dfc_docker else python_command(dfc_python)


def _compile(
    output: Output,
    build: BuildFolder,
    place: Path,
    gate: Gate,
    runner: list[str] | None,
    image: str | None,
    time_limit: float,
) -> None:
    from fsq_edge.deploy.compilation import compare_with_build, compilation_record

    command, stop = (runner, []) if runner else docker_command(image or "", place)
    status = output.console.status("compiling ...") if output.is_terminal else nullcontext()
    with status as live:
        done = run_plan(
            place,
            command or [],
            time_limit_s=time_limit * 60,
            report=gate.report,
            on_event=lambda event: _show_event(output, event),
            on_line=lambda line: live.update(escape(line[:100])) if live and line.strip() else None,
            on_stop=stop,
        )
    findings = compare_with_build(done, build)
    record = compilation_record(done, gate, findings)
    write_text(place / "compile.json", json.dumps(finite(record), indent=2) + "\n")
    _show_end(output, done, findings)
    output.write_json(record)
    if done.hef is None or any(finding.severity == "error" for finding in findings):
        click.get_current_context().exit(1)


def _show_event(screen: Output, event: dict[str, Any]) -> None:
    stage, state = str(event.get("stage")), str(event.get("state"))
    if stage == "begin" and event.get("dfc_version"):
        screen.say(f"DFC {event['dfc_version']!s}")
    elif state == "begin":
        screen.say(f"{stage} ...")
    elif state == "end" and "seconds" in event:
        screen.say(f"{stage} done in {float(event['seconds']):.1f} s")
    elif state == "failed" and stage == "emulate":
        screen.say(f"the emulator failed at {event.get('name')!s}: that rung of the parity ladder is left out")


def _show_end(screen: Output, done: Compilation, findings: tuple[Finding, ...]) -> None:
    if done.hef is None:
        screen.say(f"the compiler refuses the network at {done.result.stage}:")
        for refusal in done.refusals[:SHOWN_REFUSALS]:
            where = f" in {refusal.node}" if refusal.node else ""
            rule = f" (our rule {refusal.rule}{', foreseen' if refusal.foreseen else ''})" if refusal.rule else ""
            screen.say(f"  {refusal.kind}{where}: {refusal.text}{rule}")
            if refusal.fix:
                screen.say(f"    fix: {refusal.fix}")
        if done.end_nodes:
            screen.say(done.end_nodes)
        screen.say(f"the whole log: {done.folder / 'dfc.log'}")
        return
    show_findings(screen, findings)
    made = f"wrote {done.hef_path} ({done.hef.file_bytes} bytes, DFC {done.hef.dfc_version})"
    screen.say(made)
    if all(finding.severity != "error" for finding in findings):
        screen.say(f"next: fsq-edge bundle add-hef BUNDLE {done.hef_path}")
