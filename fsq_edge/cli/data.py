"""``fsq-edge data``: list, make, inspect and quality-check data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from fsq_edge.cli.data_export import export_command
from fsq_edge.cli.data_import import import_command
from fsq_edge.cli.data_label import label_command
from fsq_edge.cli.data_sync import sync_command
from fsq_edge.cli.options import default_option, path_option
from fsq_edge.cli.output import Output, output_options, table, write_report
from fsq_edge.cli.workstation_options import files_option, folder_option, together

DEFAULT_OUT = Path("quadruped_data/processed")


@click.group("data")
def command() -> None:
    """Import, label, list, make, inspect and quality-check data sets.

    SOURCE is watch, quadruped, folder:PATH, or for inspect and qa also logger files.
    """


command.add_command(import_command)
command.add_command(label_command)
command.add_command(sync_command)
command.add_command(export_command)


@command.command("list")
@output_options
def list_sources(output: Output) -> None:
    """Show the data sources that train, demo and the other verbs take."""
    from fsq_edge.data.sources import SOURCES

    output.print(table("", ["source", "what it is"], list(SOURCES.items())))
    output.write_json({"schema_version": 1, "sources": SOURCES})


@command.command()
@click.argument("kind", type=click.Choice(["quadruped"]))
@folder_option("--out", default=DEFAULT_OUT, show_default=True, help="Write the data set into this folder.")
@default_option("--seed", 0, click.IntRange(0), "Seed of the data and of the split.")
@default_option("--animals", 12, click.IntRange(3), "Make this many animals, each with two recordings.")
@default_option("--seconds", 240.0, click.FloatRange(10, 36000), "Length of a recording, in seconds.")
@default_option(
    "--form",
    "windows",
    click.Choice(["windows", "recordings"]),
    "Write `windows` (X_train, y_train and so on) or `recordings` (a dataset folder to stream from).",
)
@click.option("--force", is_flag=True, help="Replace the window files that an earlier call left in the folder.")
@output_options
def make(
    kind: str,
    out: Path,
    seed: int,
    animals: int,
    seconds: float,
    form: str,
    force: bool,
    output: Output,
) -> None:
    """Make the synthetic quadruped data set: 9 channels, 100 Hz, ten behaviours. Synthetic, never measured."""
    from fsq_edge.data.folder import write_folder
    from fsq_edge.data.quadruped import make_quadruped
    from fsq_edge.data.splitting.splits import split_by_subject
    from fsq_edge.data.stored_windows.files import write_stored_windows

    dataset = make_quadruped(seed, animals, seconds)
    result: dict[str, Any] = {"schema_version": 1, "kind": kind, "form": form, "out": str(out), "name": dataset.name}
    if form == "recordings":
        write_folder(dataset, out)
        result["recordings"] = len(dataset.recordings)
        output.say(f"wrote {len(dataset.recordings)} synthetic recordings of {seconds:g} s to {out}")
    else:
        order = np.random.default_rng(seed).permutation(animals) + 1
        held_out = max(1, round(0.2 * animals))
        test, val = ([str(i) for i in order[a : a + held_out]] for a in (0, held_out))
        split = split_by_subject(dataset, test, val)
        result["windows"] = write_stored_windows(split, out, kind, replace=force)
        result["split"] = split.description
        counts = ", ".join(f"{role} {count}" for role, count in result["windows"].items())
        output.say(f"wrote synthetic windows (N, 9, 100) to {out}: {counts}\n{split.description}")
    output.write_json(result)


#: ``--map``, ``--preset`` and ``--labels`` of a verb that also takes logger files.
raw_options = together(
    path_option("--map", "map_file", help="Map of logger files (YAML), as `data import --guess` writes it."),
    click.option("--preset", help="A map that ships; `data import x --preset list` shows them."),
    files_option(
        "--labels",
        help="A label file to look at the data with, as `data label` reads it; give the option once for each. "
        "Nothing is written.",
    ),
)


@command.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@raw_options
@default_option("--window", 100, click.IntRange(1), "Length of a window, in samples.")
@default_option("--hop", 50, click.IntRange(1), "Step from one window to the next, in samples.")
@output_options
def inspect(
    sources: tuple[str, ...],
    map_file: Path | None,
    preset: str | None,
    labels: tuple[Path, ...],
    window: int,
    hop: int,
    output: Output,
) -> None:
    """Show what SOURCE holds: channels, rate, classes, subjects, and how many windows can be cut.

    SOURCE is watch, quadruped, folder:PATH, or logger files and folders of them (with --map or --preset, or formats
    that say everything themselves).
    """
    from fsq_edge.data.importing.opening import open_any
    from fsq_edge.data.summary import dataset_summary
    from fsq_edge.data.windows import cut_windows

    with open_any(sources, map_file, preset, labels) as dataset:
        summary = dataset_summary(dataset, cut_windows(dataset, window, hop, admit_none=True))
    for name, text in _facts(summary):
        output.say(f"{name:11s}{text}")
    rows = [(entry["name"], f"{entry['seconds']:.0f}", entry["windows"]) for entry in summary["classes"]]
    output.print(table("", ["class", "seconds", "windows"], rows))
    output.write_json(summary)


@command.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@raw_options
@click.option("--strict", is_flag=True, help="Fail on warnings too, not only on broken limits.")
@click.option(
    "--html",
    "html_to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report as an HTML page to this file.",
)
@default_option("--max-nan", 5.0, click.FloatRange(0, 100), "Largest share of NaN that a channel may have, in percent.")
@default_option(
    "--max-gap-ms",
    100.0,
    click.FloatRange(0),
    "Longest run of missing samples that training would fill, in milliseconds.",
)
@output_options
def qa(
    sources: tuple[str, ...],
    map_file: Path | None,
    preset: str | None,
    labels: tuple[Path, ...],
    strict: bool,
    html_to: Path | None,
    max_nan: float,
    max_gap_ms: float,
    output: Output,
) -> None:
    """Check the quality of SOURCE: missing, stuck and clipped values, gaps, rate, units.

    SOURCE is watch, quadruped, folder:PATH, or logger files and folders of them (with --map or --preset, or formats
    that say everything themselves). The page of --html also draws each recording over time.

    Exit 0: within the limits; 1: a limit is broken, or with --strict anything was found.
    """
    from fsq_edge.data.importing.opening import open_any
    from fsq_edge.data.quality import DataQualityMonitor, QualityThresholds
    from fsq_edge.data.quality.report import as_object, to_html
    from fsq_edge.data.timeline import timeline_section

    thresholds = QualityThresholds(max_nan_percentage=max_nan, max_gap_ms=max_gap_ms)
    monitor = DataQualityMonitor(thresholds=thresholds)
    with open_any(sources, map_file, preset, labels) as dataset:
        metrics = monitor.analyze(dataset)
        drawn = [timeline_section(dataset)] if html_to is not None else []
    findings = monitor.findings(metrics)
    broken = any(finding.severity == "error" for finding in findings)
    passed = not (findings if strict else broken)
    if html_to is not None:
        write_report(html_to, to_html([(metrics, findings)], drawn, strict=strict))
    verdict = "PASS" if passed else "FAIL" if broken else "FAIL (warnings count, as --strict asks)"
    output.say(f"{monitor.generate_report()}\n\n{verdict}")
    output.write_json({**as_object([(metrics, findings)]), "passed": passed, "strict": strict})
    if not passed:
        click.get_current_context().exit(1)


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    windows, measured = summary["windows"], summary["measured_rate_hz"]
    mirror = "none declared" if summary["mirror"] is None else " ".join(f"{sign:+d}" for sign in summary["mirror"])
    return [
        ("name", summary["name"]),
        ("source", summary["source"]),
        ("licence", summary["licence"] or "not stated"),
        ("channels", ", ".join(f"{c['name']} ({c['unit'] or 'unit unknown'})" for c in summary["channels"])),
        ("mirror", mirror),
        ("rate", f"{summary['sample_rate_hz']:g} Hz" + (f", measured {measured:.5g} Hz" if measured else "")),
        ("sensors", _sensors(summary) or "nothing known of steps and ranges"),
        ("subjects", f"{len(summary['subjects'])}: {', '.join(summary['subjects'])}"),
        ("recordings", f"{summary['recordings']}, {summary['seconds'] / 60:.1f} min together"),
        (
            "windows",
            f"{windows['pure']} of {windows['window_samples']} samples, hop {windows['hop_samples']} "
            f"({windows['mixed']} mixed, {windows['unlabelled']} unlabelled left out)",
        ),
    ]


def _sensors(summary: dict[str, Any]) -> str:
    """Steps and ranges, the channels that agree in both together."""
    alike: dict[str, list[str]] = {}
    units = {channel["name"]: channel["unit"] for channel in summary["channels"]}
    for name, sensor in summary["sensors"].items():
        parts = [f"steps of {sensor['step']:.4g} {units[name]}"] if sensor["step"] else []
        parts += [f"range {sensor['full_scale']:g} {units[name]}"] if sensor["full_scale"] else []
        if parts:
            alike.setdefault(", ".join(parts), []).append(name)
    return "; ".join(f"{', '.join(names)}: {facts}" for facts, names in alike.items())
