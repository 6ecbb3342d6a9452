"""``fsq-edge data export``: one recording of a data set as a file that ``run`` replays."""

from __future__ import annotations

from pathlib import Path

import click

from fsq_edge.cli.output import Output, output_options
from fsq_edge_runtime.errors import UsageError


@click.command("export", epilog="Exit codes: 0; 64 no such subject or recording, or OUT is no .npz and no .csv file.")
@click.argument("source")
@click.option("--subject", metavar="S", help="Take the first recording of this subject. Default: of the data set.")
@click.option("--recording", metavar="ID", help="Take this recording, as data inspect names it.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write the recording to this file: NAME.npz or NAME.csv.",
)  # fmt: skip
@output_options
def export_command(source: str, subject: str | None, recording: str | None, out: Path, output: Output) -> None:
    """Write one recording of SOURCE to a file that `run --source npz:FILE` or `csv:FILE` replays."""
    from fsq_edge.data.recording_file import write_recording
    from fsq_edge.data.sources import open_dataset

    if out.suffix.lower() not in (".npz", ".csv"):
        raise UsageError(f"{out} is neither an .npz nor a .csv file", hint="--out walk.npz")
    dataset = open_dataset(source)
    some = [
        found
        for found in dataset.recordings
        if subject in (None, found.subject) and recording in (None, found.recording_id)
    ]
    if not some:
        names = ", ".join(dataset.subjects if recording is None else [r.recording_id for r in dataset.recordings][:20])
        raise UsageError("there is no such recording", hint=f"choose one of {names}")
    write_recording(dataset, some[0], out)
    output.say(
        f"wrote {out}: recording {some[0].recording_id} of subject {some[0].subject}, "
        f"{len(some[0]) / dataset.sample_rate_hz:.1f} s; fsq-edge run BUNDLE --source {out.suffix[1:]}:{out}"
    )
    facts = {"recording": some[0].recording_id, "subject": some[0].subject, "samples": len(some[0])}
    output.write_json({"schema_version": 1, "file": str(out), **facts})
