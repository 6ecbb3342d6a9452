"""The HTML pages of calibration, int8 preview and parity."""

from __future__ import annotations

from collections.abc import Sequence

from fsq_edge.deploy.int8_figures import (
    channel_histogram_figure,
    channel_range_figure,
    code_figure,
    flip_figure,
    layer_figure,
    rung_figure,
)
from fsq_edge.report.document import Fact, Picture, Section, Table
from fsq_edge.report.html import render
from fsq_edge_calibration import CalibrationAudit, compare_channels
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.int8.layer_errors import short_name
from fsq_edge_compile.int8.preview import Int8Preview
from fsq_edge_compile.parity.ladder import LadderReport
from fsq_edge_runtime.tail import FsqTail

PREVIEW_NOTICE = (
    "An int8 preview in onnxruntime on a CPU: close to what Hailo's compiler does, and not a measurement on a device."
)


def calibration_page(audit: CalibrationAudit) -> str:
    """Return the page of one calibration set and its audit."""
    notices = [] if audit.passed else ["The audit refuses this set: " + "; ".join(f.message for f in audit.errors)]
    return render("Calibration set", calibration_sections(audit), notices=notices)


def preview_page(build: BuildFolder, preview: Int8Preview) -> str:
    """Return the page of an int8 preview, with its calibration set where the BUILD folder has its record."""
    levels = FsqTail.from_bytes(build.read("head.npz")).codebook.levels
    sections = preview_sections(preview, levels)
    if build.has("calibration.json"):
        record = CalibrationAudit.from_json(build.read("calibration.json"), origin="calibration.json")
        sections += calibration_sections(record)
    return render("Int8 preview", sections, subtitle=build.record.name, notices=[PREVIEW_NOTICE])


def parity_page(name: str, ladder: LadderReport) -> str:
    """Return the page of a parity ladder."""
    notices = [f"First to lose: {ladder.blame}. Likely cause: {ladder.cause}"] if ladder.blame else []
    return render("Parity ladder", parity_sections(ladder), subtitle=name, notices=notices)


def calibration_sections(audit: CalibrationAudit) -> list[Section]:
    """Return the findings, the ranges and histograms of channels, and the codes."""
    found, training = audit.found, audit.training
    rows = [(f.severity, f.rule, f.message, f.fix) for f in audit.findings]
    findings = [Table(["severity", "rule", "finding", "fix"], rows)] if rows else []
    text = "" if rows else "Nothing was found against this set."
    facts = [Fact("Audit", "good" if audit.passed else "refused", f"{len(audit.findings)} findings")]
    if found is not None:
        facts += [
            Fact("Windows", str(found.n_windows), f"of {audit.n_candidates} in training" if audit.n_candidates else ""),
            Fact("Selection", audit.method or "unknown", f"seed {audit.seed}" if audit.method else ""),
            Fact("Subjects", str(len(found.subjects)) if found.subjects else "unknown"),
        ]
    sections = [Section("Calibration set", text, facts=facts, tables=findings)]
    if found is None or training is None:
        return sections
    cells = [
        (row.name, f"{row.psi:.3f}", f"{row.range_coverage:.0%}", f"{row.quantile_shift:.2f}", f"{row.lag1_other:.2f}",
         f"{row.lag1_reference:.2f}")
        for row in compare_channels(training, found)
    ]  # fmt: skip
    figures = [
        Picture(
            channel_range_figure(training, found),
            "Line: smallest to largest value. Bar: 0.1 % to 99.9 %. Thick bar: the middle half.",
        ),
        Picture(channel_histogram_figure(training, found), "Filled: training. Line: the calibration set."),
    ]
    if training.codes and found.codes:
        figures.append(Picture(code_figure(training, found), "Share of windows by FSQ code."))
    columns = ["channel", "PSI", "range covered", "quantile shift, sigma", "lag-1", "lag-1 in training"]
    sections.append(Section("Channels against training", tables=[Table(columns, cells)], figures=figures))
    return sections


def preview_sections(preview: Int8Preview, levels: Sequence[int]) -> list[Section]:
    """Return what int8 costs, where it is lost, and what would help."""
    report, scores = preview.report, preview.report.scores
    output = "16-bit" if preview.sixteen_bit_output else "8-bit"
    facts = [
        Fact("Codes that flip", f"{report.code_flip_rate:.2%}", f"n = {report.n_windows} held-out windows"),
        Fact("Labels that change", f"{report.label_change_rate:.2%}"),
        Fact("Near a boundary", f"{report.near_boundary_share:.1%}", "of windows, within 0.05 of a rounding step"),
        Fact("Logit MSE", f"{report.logit_mse:.4f}"),
    ]
    if scores is not None:
        drop, f1 = scores.drop_points, scores.macro_f1_other
        facts += [
            Fact("Macro-F1", f"{f1.value:.4f}", f"95 % {f1.low:.3f} to {f1.high:.3f}; "
                 f"float {scores.macro_f1_reference.value:.4f}"),
            Fact("Macro-F1 lost", f"{drop.value:.2f} points", f"95 % {drop.low:.2f} to {drop.high:.2f}, paired"),
            Fact("Accuracy", f"{scores.accuracy_other:.4f}", f"float {scores.accuracy_reference:.4f}"),
        ]  # fmt: skip
    how = f"Ranges by {preview.method} over {preview.calibration_windows} windows, {output} output."
    flips = Picture(flip_figure(report.flip_rate_by_dimension, levels), "Share of windows whose digit changes.")
    rows = [
        (short_name(e.layer), e.kind, f"{e.snr_db:.1f}", f"{e.own_snr_db:.1f}", f"{e.low:.2f} to {e.high:.2f}",
         None if e.flip_rate_alone is None else f"{e.flip_rate_alone:.2%}")
        for e in preview.errors
    ]  # fmt: skip
    worst = ", ".join(f"`{name}`" for name in preview.worst_layers)
    layers = Section(
        "Layers",
        f"Worst: {worst}.",
        tables=[Table(["layer", "what", "SNR so far, dB", "SNR alone, dB", "range", "codes flipped alone"], rows)],
        figures=[Picture(layer_figure(preview.errors), "Every rounded tensor by itself, and the network up to it.")],
    )
    tried = [(i.name, f"{i.code_flip_rate:.2%}", f"{i.label_change_rate:.2%}") for i in preview.alternatives]
    advice = "\n".join(f"- {line}" for line in preview.suggestions) or "Nothing that was measured would help."
    others = Section(
        "What else was tried",
        advice,
        tables=[Table(["alternative", "codes that flip", "labels that change"], tried)] if tried else (),
    )
    return [Section("What int8 costs", how, facts=facts, figures=[flips]), layers, others, *_refit_sections(preview)]


def _refit_sections(preview: Int8Preview) -> list[Section]:
    refit = preview.refit
    if refit is None:
        text = "The build has no validation windows, so temperature and thresholds stay those of float."
        return [Section("Host parameters", text)]
    rows: list[tuple[str, str, str]] = [
        ("temperature", f"{refit.temperature_float.value:.3f}", f"{refit.tail.temperature:.3f}"),
        *((name, f"{old:.3f}", f"{new:.3f}") for name, (old, new) in refit.thresholds.items()),
    ]
    text = (
        f"Fitted again on {refit.temperature_int8.n} validation windows of subjects "
        f"{', '.join(refit.temperature_int8.groups)}. Thresholds pass the same share of windows as before."
    )
    return [Section("Host parameters", text, tables=[Table(["parameter", "float", "int8"], rows)])]


def parity_sections(ladder: LadderReport) -> list[Section]:
    """Return the ladder as a table and a figure."""

    def share(value: float | None) -> str | None:
        return None if value is None else f"{value:.2%}"

    rows = []
    for rung in ladder.rungs:
        score = rung.macro_f1
        rows.append(
            (
                rung.name,
                None if rung.max_abs_difference is None else f"{rung.max_abs_difference:.1e}",
                share(rung.code_agreement),
                share(rung.label_agreement),
                None if score is None else f"{score.value:.4f} ({score.low:.3f} to {score.high:.3f})",
                f"not run: {rung.skipped}" if rung.skipped else "; ".join(rung.lost) or "holds",
            )
        )
    gates = (
        f"{ladder.n_windows} held-out windows. Gates: code agreement at least {ladder.gates.min_code_agreement:.0%}, "
        f"macro-F1 drop at most {ladder.gates.max_drop_points:g} points."
    )
    columns = ["rung", "largest difference of t", "codes agree", "labels agree", "macro-F1, 95 %", ""]
    figure = Picture(rung_figure(ladder), "Dashed: the gate on code agreement.")
    return [Section("Rungs", gates, tables=[Table(columns, rows)], figures=[figure])]
