"""``fsq-edge tune``: fit the decision settings of a bundle to continuous labelled recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from fsq_edge.cli.options import bundle_option, default_option, names_of, path_option
from fsq_edge.cli.output import Output, force_option, need, output_options, require_folder, write_report
from fsq_edge.report.terminal import rich_table
from fsq_edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from fsq_edge.tuning.tune import Tuned
    from fsq_edge_runtime.bundle.bundle import Bundle


@click.command(
    "tune",
    epilog="Exit codes: 0 written; 1 no settings beat raw argmax within the limits, nothing is written; 2 written, but "
    "a limit does not hold on the recordings reported on (the report says which); 64 usage, 65 bad data, 66 missing "
    "input, 69 a package is missing.",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--recordings", required=True, metavar="watch|quadruped|folder:PATH|npz:FILE",
    help="Fit on these continuous labelled recordings. Where each holds one label, those of a subject are stitched.",
)  # fmt: skip
@click.option("--subjects", callback=names_of(), metavar="A,B",
              help="Fit on these subjects. Default: all that the bundle's run did not hold out.")  # fmt: skip
@bundle_option("--out", help="Write the new bundle to this file. Default: replace BUNDLE, unless it is signed.")
@click.option("--hop", type=click.IntRange(1, 65536), metavar="SAMPLES",
              help="Step between windows, in samples, here and on the device (default 10).")  # fmt: skip
@default_option(
    "--max-delay",
    0.6,
    click.FloatRange(0, 60),
    "Largest median onset delay that the settings may add, in seconds.",
    metavar="SECONDS",
)
@default_option(
    "--keep",
    0.25,
    click.FloatRange(0, 1),
    "Share of raw argmax's false events that may be left, 0 to 1; 0 asks for the fewest.",
    metavar="SHARE",
)
@default_option("--seed", 0, click.IntRange(0), "Seed of stitching and of the share of subjects.")
@path_option("--html", metavar="FILE", help="Write an HTML page with the Pareto front to this file.")
@path_option("--png", metavar="FILE", help="Write the Pareto front as a PNG picture to this file.")
@force_option
@output_options
def command(
    bundle: Path,
    recordings: str,
    subjects: tuple[str, ...] | None,
    out: Path | None,
    hop: int | None,
    max_delay: float,
    keep: float,
    seed: int,
    html: Path | None,
    png: Path | None,
    force: str,
    output: Output,
) -> None:
    """Choose smoothing, hysteresis, dwell and refractory time of BUNDLE by events, not by windows.

    Every window is inferred once, then thousands of settings are tried on the recordings fitted on. Of those that
    leave at most --keep of raw argmax's false events, the one with the least gate is chosen (`enter` plus the seconds
    of dwell and refractory time), then the least added onset delay, then the fewest false events; where none leaves
    so few, the fewest false events. Never chosen are settings that miss more events than raw argmax or add more than
    --max-delay to the median onset delay, even with one hop more of dwell and `enter` moved halfway to 1.

    The score that is printed and put into the bundle is of other recordings: the subjects that the run held out, or
    the rest of a seeded share where the bundle does not say. Fitting on held-out subjects is refused without --force.
    """
    if html is not None:
        need("jinja2", "report")
    if html is not None or png is not None:
        need("matplotlib", "report")
    from fsq_edge.tuning.streams import open_recordings
    from fsq_edge.tuning.tune import tune_bundle
    from fsq_edge_runtime.bundle.bundle import Bundle

    opened = Bundle.open(bundle)
    if out is None and opened.has("signature"):
        raise UsageError(
            f"{bundle} is signed, and tuning it in place would drop the signature",
            hint="--out tuned.fsqb writes a new bundle; then fsq-edge bundle sign tuned.fsqb",
        )
    dataset = open_recordings(recordings, opened)
    tuned = tune_bundle(
        opened,
        dataset,
        subjects=subjects or (),
        hop_samples=hop,
        max_delay_s=max_delay,
        keep=keep,
        seed=seed,
        force=force,
        say=lambda stage: output.print(f"{stage} ...", style="dim") if output.is_terminal else None,
    )
    _show(tuned, opened, output)
    if tuned.bundle is not None:
        tuned.bundle.save(out or bundle, replace=True)
        output.say(f"wrote {out or bundle}")
        if tuned.unsigned:
            output.say("the bundle was signed: its content changed, sign it again")
    _draw(tuned, html, png, output)
    output.write_json(tuned.to_dict(str(out or bundle)))
    if tuned.bundle is None or tuned.broken:
        click.get_current_context().exit(1 if tuned.bundle is None else 2)


def _show(tuned: Tuned, before: Bundle, screen: Output) -> None:
    from fsq_edge.tuning.scores import front_table, score_table, settings_text

    report = tuned.report
    screen.print(rich_table(front_table(tuned.result, "Pareto front, on the recordings fitted on")))
    screen.say(f"fitted on    {tuned.division.fitted_on}")
    screen.say(f"reported on  {tuned.division.reported_on}")
    if tuned.abstained:
        screen.say(f"abstained    {tuned.abstained} of {tuned.windows} windows")
    if report is None or tuned.decision is None:
        screen.print("[red]nothing written[/red]: no settings beat raw argmax within the limits")
        return
    screen.say(f"recordings   {report.dataset}, {report.recordings}")
    hop = f"{report.hop_samples} samples ({report.hop_ms:g} ms), was {before.preprocess.hop_samples}"
    screen.say(f"hop          {hop}")
    screen.print(rich_table(score_table(report, "Event score")))
    screen.say(f"chosen       {settings_text(tuned.decision)}")
    if tuned.decision_int8 is not None:
        screen.say(f"int8         {settings_text(tuned.decision_int8)}")
    if report.held_out is None:
        screen.say("note: the bundle cannot tell whether the network was trained on these recordings")
    for line in tuned.broken:
        screen.print(f"[yellow]does not hold[/yellow]: {escape(line)}", soft_wrap=True)


def _draw(tuned: Tuned, html: Path | None, png: Path | None, screen: Output) -> None:
    if png is not None:
        from fsq_edge.tuning.page import pareto_png
        from fsq_edge_runtime.files import write_file

        require_folder(png)
        write_file(png, pareto_png(tuned.result, tuned.chosen))
        screen.say(f"picture: {png}")
    if html is not None and tuned.report is not None:
        from fsq_edge.tuning.page import tune_page

        write_report(html, tune_page(tuned, tuned.report))
        screen.say(f"page: {html}")
