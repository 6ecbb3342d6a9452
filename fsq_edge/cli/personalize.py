"""``fsq-edge personalize``: an overlay that makes a bundle one wearer's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fsq_edge.cli.bundle_change import MAX_KEY_BYTES
from fsq_edge.cli.options import backend_option, default_option, path_option
from fsq_edge.cli.output import Output, force_option, need, output_options, require_folder, table, write_report
from fsq_edge.tuning.personal_page import CLASS_COLUMNS, class_rows, personal_page
from fsq_edge.tuning.streams import open_recordings
from fsq_edge.tuning.wearer_windows import windows_of_recordings
from fsq_edge_runtime.bundle.bundle import Bundle
from fsq_edge_runtime.errors import UsageError
from fsq_edge_runtime.files import read_bounded
from fsq_edge_runtime.personal.evidence import Evidence
from fsq_edge_runtime.personal.fitting import Personalization, personalize


@click.command(
    "personalize",
    epilog="Exit codes: 0 written; 1 refused, nothing is written: it would not help beyond noise, or the data are not "
    "good enough; 64 usage, 65 bad data, 66 missing input, 69 a package or the backend is missing.",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--recordings", metavar="watch|quadruped|folder:PATH|npz:FILE",
              help="Fit to these labelled recordings of the wearer.")  # fmt: skip
@click.option("--subject", metavar="ID", help="With --recordings: the wearer's subject id; goes into the overlay.")
@path_option("--log", help="Fit to this log of run, with corrected labels, instead of recordings.")
@path_option("--labels", help="With --log: a label file in the log's times. Default: the key truth of each line.")
@click.option("--stream", metavar="NAME", help="With --log: the wearer's stream. Default: the only one.")
@click.option("--wearer", metavar="ID", help="Id that goes into the overlay. Default: the subject, or the stream.")
@path_option("--out", required=True, metavar="P.fsqo", help="Write the overlay to this file.")
@click.option("--new-class", "new_classes", multiple=True, metavar="NAME",
              help="Enrol a class of this name that the network was never trained on; may be given again.")  # fmt: skip
@default_option(
    "--method", "auto", click.Choice(["auto", "head", "table"]),
    "Fit a head on the features, or move the code table; auto takes what held-out blocks of time prefer.",
)  # fmt: skip
@default_option("--least", 4, click.IntRange(2), "Refuse a class with fewer windows than this.")
@click.option("--hop", type=click.IntRange(1, 65536), metavar="SAMPLES",
              help="Step between the windows that are fitted to. Default: a tenth of a window.")  # fmt: skip
@backend_option("onnx", "Compute the features of the recordings on this backend.")
@path_option("--report", help="Write an HTML report, of a refusal too, to this file.")
@path_option("--sign", metavar="PRIVATE.pem", help="Sign the overlay with this Ed25519 key (PEM). Default: not signed.")
@force_option
@output_options
def command(
    bundle: Path,
    recordings: str | None,
    subject: str | None,
    log: Path | None,
    labels: Path | None,
    stream: str | None,
    wearer: str | None,
    out: Path,
    new_classes: tuple[str, ...],
    method: str,
    least: int,
    hop: int | None,
    backend: str,
    report: Path | None,
    sign: Path | None,
    force: str,
    output: Output,
) -> None:
    """Make BUNDLE's network one wearer's own, from seconds to minutes of that wearer's labelled motion.

    The network stays as it is, so nothing is compiled again. A small head is fitted to the wearer's windows and the
    sums of the training windows, and judged on blocks of time that it did not see. It is written only where it helps
    beyond noise. Use it with: fsq-edge run BUNDLE --overlay P.fsqo
    """
    if (recordings is None) == (log is None):
        raise UsageError("give --recordings or --log, one of the two", hint="fsq-edge personalize --help")
    if recordings is not None and subject is None:
        raise UsageError("--recordings needs --subject", hint="--subject ID names the wearer's recordings")
    if report is not None:
        need("jinja2", "report")
    key = read_bounded(sign, MAX_KEY_BYTES) if sign is not None else None
    require_folder(out)
    opened = Bundle.open(bundle)
    if recordings is not None and subject is not None:
        evidence = _recorded(opened, recordings, subject, new_classes, hop, backend)
    else:
        from fsq_edge.tuning.wearer_windows import windows_of_log

        assert log is not None  # noqa: S101 - looked at above
        evidence = windows_of_log(opened, log, labels=labels, stream=stream, new_classes=new_classes)
    found = personalize(
        opened,
        evidence,
        wearer or subject or stream or "wearer",
        new_classes=new_classes,
        method=method,
        least=least,
        force=force,
    )
    _show(found, output)
    if report is not None:
        write_report(report, personal_page(found, bundle.name, wearer or subject or stream or "wearer"))
        output.say(f"wrote {report}")
    overlay = found.overlay
    if overlay is not None:
        overlay = overlay if key is None else overlay.signed(key)
        overlay.save(out)
        size = len(overlay.to_bytes())
        output.say(f"wrote {out}, {size:,} bytes: fsq-edge run BUNDLE --overlay {out}")
    output.write_json(_to_dict(found, out))
    if overlay is None:
        click.get_current_context().exit(1)


def _recorded(
    bundle: Bundle, text: str, subject: str, new_classes: tuple[str, ...], hop: int | None, backend: str
) -> Evidence:
    dataset = open_recordings(text, bundle)
    return windows_of_recordings(bundle, dataset, subject, new_classes=new_classes, hop_samples=hop, backend=backend)


def _to_dict(found: Personalization, out: Path) -> dict[str, Any]:
    return {"schema_version": 1, "written": str(out) if found.overlay is not None else None, **found.to_dict()}


def _show(found: Personalization, screen: Output) -> None:
    counts = found.to_dict()["windows"]
    screen.say(f"windows    {sum(counts.values())} of {len(counts)} classes, {found.evidence.unusable} unusable")
    if found.choice is not None:
        choice = found.choice
        screen.say(f"method     {choice.method}, strength {choice.strength:g}, chosen of {len(found.tried)}")
    for gain in found.gains:
        labels, loss = gain.macro_f1, gain.log_loss
        screen.say(
            f"held-out {gain.held_out}, {gain.windows} windows: macro-F1 {labels.before:.3f} before, "
            f"{labels.after:.3f} after (better by {labels.better.low:+.3f} to {labels.better.high:+.3f}, 95 %); log "
            f"loss {loss.before:.3f} and {loss.after:.3f} (better by {loss.better.low:+.3f} to "
            f"{loss.better.high:+.3f})"
        )
    if found.confusion_after.sum():
        screen.print(table("By class, held-out blocks", CLASS_COLUMNS, class_rows(found)))
    for reason in found.reasons:
        screen.say(f"refused: {reason}")
    if found.overlay is None:
        screen.say("nothing written: the bundle's own head stays")
