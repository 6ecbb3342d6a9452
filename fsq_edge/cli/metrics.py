"""``fsq-edge metrics``: what a run says to Prometheus, and the dashboard and alert rules that read it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from fsq_edge.cli.output import Output, output_options, table
from fsq_edge_runtime.files import write_file
from fsq_edge_runtime.metrics import METRICS

DASHBOARD = ("fsq-edge-dashboard.json",)
RULES = ("fsq-edge-rules.yml", "fsq-edge-rules-test.yml")


@click.group("metrics")
def command() -> None:
    """Show what `run --metrics` serves, and write a dashboard and alert rules for it."""


@command.command("list")
@output_options
def list_metrics(output: Output) -> None:
    """List every metric: name, type, labels, and what it says."""
    shown = [(one.name, one.kind, ", ".join(one.labels), one.text) for one in METRICS]
    output.print(table("", ("metric", "type", "labels", "what it says"), shown))
    rows = [{"name": one.name, "type": one.kind, "labels": list(one.labels), "text": one.text} for one in METRICS]
    output.write_json({"schema_version": 1, "metrics": rows})


@command.command("export")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--grafana", is_flag=True, help="Write the Grafana dashboard (default: both, when neither is named).")
@click.option("--rules", is_flag=True, help="Write the Prometheus alert rules and their tests.")
@output_options
def export(folder: Path, grafana: bool, rules: bool, output: Output) -> None:
    """Write a Grafana dashboard and Prometheus alert rules into DIR, over files of the same name.

    Import the dashboard in Grafana (10 or newer) under Dashboards, New, Import. Name the rules under `rule_files:` in
    prometheus.yml; `promtool test rules` runs their tests.
    """
    names = (DASHBOARD if grafana or not rules else ()) + (RULES if rules or not grafana else ())
    folder.mkdir(exist_ok=True)
    for name in names:
        write_file(folder / name, files("fsq_edge_runtime.metrics").joinpath(name).read_bytes())
        output.print(str(folder / name))
    output.write_json({"schema_version": 1, "files": [str(folder / name) for name in names]})
