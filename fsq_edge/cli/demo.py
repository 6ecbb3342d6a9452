"""``fsq-edge demo``: the whole chain on real data that ships with a package."""

from __future__ import annotations

import time
from pathlib import Path

import click

from fsq_edge.cli.options import default_option, names_of
from fsq_edge.cli.output import Output, need, output_options, table, write_json
from fsq_edge.cli.workstation_options import folder_option

TEST_SUBJECTS: dict[str, tuple[str, ...]] = {"watch": ("5", "6"), "quadruped": ("5", "6")}
QUICK_EPOCHS = 6
HOPS, QUICK_HOPS = 1500, 700


@click.command("demo")
@click.option(
    "--data", "source", default="watch", show_default=True, help="Data source: watch, quadruped or folder:PATH."
)
@click.option(
    "--test-subjects",
    callback=names_of(),
    metavar="A,B",
    help="Subjects to hold out. Default: 5,6 of the built-in sets, else 20 % of the subjects.",
)
@default_option("--seed", 0, click.IntRange(0), "Seed of everything random.")
@click.option("--quick", is_flag=True, help=f"Train {QUICK_EPOCHS} epochs only: shows the chain, not the accuracy.")
@default_option("--arch", "hailo8l", None, "Hailo target of the compatibility check.")
@folder_option("--out", default=Path("build/demo"), show_default=True, help="Write everything into this folder.")
@output_options
def command(
    source: str,
    test_subjects: tuple[str, ...] | None,
    seed: int,
    quick: bool,
    arch: str,
    out: Path,
    output: Output,
) -> None:
    """Recordings to a running stream: train, evaluate, export, check, calibrate, quantize, bundle, stream.

    Writes the run, the build folder, the bundle, report.html and summary.json into --out.
    """
    for module, extra in (("torch", "train"), ("seglearn", "train"), ("onnx", "compile"), ("jinja2", "report")):
        need(module, extra)
    from fsq_edge.demo.chain import run_demo
    from fsq_edge.demo.page import summary_of, summary_rows, write_report
    from fsq_edge.training import load_config

    started = time.monotonic()

    def say(stage: str, result: str) -> None:
        output.say(f"[{time.monotonic() - started:6.1f} s] {stage:<12} {result}")

    config = load_config(None, {"training": {"seed": seed, "max_epochs": QUICK_EPOCHS if quick else None}})
    subjects = test_subjects or TEST_SUBJECTS.get(source, ())
    result = run_demo(source, subjects, config, out, arch=arch, hops=QUICK_HOPS if quick else HOPS, say=say)
    summary = summary_of(result, quick=quick, seed=seed)
    write_json(summary, str(out / "summary.json"))  # first: it marks the folder, whose index lists the report
    write_report(result, summary, out / "report.html")
    output.print()
    output.print(table("What was measured", ["", "value"], summary_rows(summary)))
    output.say(f"\nreport: {out / 'report.html'}   summary: {out / 'summary.json'}")
    output.write_json(summary)
