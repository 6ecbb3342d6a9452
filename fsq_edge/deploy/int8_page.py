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
from fsq_edge.deploy.int8_tables import channel_table, layer_table, preview_facts, rung_table
from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.parts import Fact, Picture, Verdict, plural
from fsq_edge_calibration import CalibrationAudit, compare_channels
from fsq_edge_compile.build_folder import BuildFolder
from fsq_edge_compile.int8.preview import Int8Preview
from fsq_edge_compile.parity.ladder import LadderReport
from fsq_edge_runtime.tail import FsqTail

PREVIEW_NOTICE = (
    "An int8 preview in onnxruntime on a CPU: close to what Hailo's compiler does, and not a measurement on a device."
)

CHANNELS_ARE = (
    "**PSI** is the population stability index between the histograms of the set and of training: 0 is equal, above "
    "0.25 another distribution. **Range covered** is how much of the training range the set reaches: the compiler "
    "clips what it never saw. **Quantile shift** is the largest distance between a quantile of the set and of "
    "training. **Lag-1** is the correlation of neighboring samples: near 0 it is noise, not motion. Channels with (z) "
    "are normalized within each window."
)


def calibration_page(audit: CalibrationAudit) -> str:
    """Return the page of one calibration set and its audit."""
    return render("Calibration set", calibration_sections(audit), subtitle=_about(audit), verdict=_audit_verdict(audit))


def _about(audit: CalibrationAudit) -> str:
    found = audit.found
    if found is None:
        return ""
    of = f" of {audit.n_candidates:,} in training, {audit.method}, seed {audit.seed}" if audit.n_candidates else ""
    people = f"; {plural(len(found.subjects), 'subject')}" if found.subjects else ""
    return f"{plural(found.n_windows, 'window')}{of}{people}"


def _audit_verdict(audit: CalibrationAudit) -> Verdict:
    if not audit.passed:
        return Verdict("bad", "refused", "; ".join(f.message for f in audit.errors))
    found = len(audit.findings)
    reason = (
        f"{plural(found, 'finding')}, none of which refuses it." if found else "Nothing was found against this set."
    )
    return Verdict("warning" if found else "good", "passes the audit", reason)


def preview_page(build: BuildFolder, preview: Int8Preview, broken: Sequence[str]) -> str:
    """Return the page of an int8 preview, with its calibration set where the BUILD folder has its record.

    Args:
        build: the BUILD folder.
        preview: what was found.
        broken: the gates that it breaks, a line each.
    """
    levels = FsqTail.from_bytes(build.read("head.npz")).codebook.levels
    sections = preview_sections(preview, levels)
    if build.has("calibration.json"):
        record = CalibrationAudit.from_json(build.read("calibration.json"), origin="calibration.json")
        sections += calibration_sections(record)
    verdict = Verdict("bad", "breaks the gates", "; ".join(broken))
    if not broken:
        verdict = Verdict("good", "holds the gates", _costs(preview))
    return render("Int8 preview", sections, subtitle=build.record.name, notices=[PREVIEW_NOTICE], verdict=verdict)


def _costs(preview: Int8Preview) -> str:
    scores = preview.report.scores
    lost = "" if scores is None else f", {max(0.0, scores.drop_points.value):.2f} points of macro-F1 are lost"
    windows = plural(preview.report.n_windows, "held-out window")
    return f"{preview.report.code_flip_rate:.2%} of codes flip{lost}, on {windows}."


def parity_page(name: str, ladder: LadderReport) -> str:
    """Return the page of a parity ladder."""
    ran = sum(not rung.skipped for rung in ladder.rungs)
    verdict = Verdict(
        "good", "holds", f"All {plural(ran, 'rung')} that ran hold the gates, on {plural(ladder.n_windows, 'window')}."
    )
    if ladder.blame:
        verdict = Verdict("bad", "lost", f"First at {ladder.blame}. Likely cause: {ladder.cause}")
    return render("Parity ladder", parity_sections(ladder), subtitle=name, verdict=verdict)


def calibration_sections(audit: CalibrationAudit) -> list[Section]:
    """Return the findings, the ranges and histograms of channels, and the codes."""
    found, training = audit.found, audit.training
    rows = [(f.severity, f.rule, f.message, f.fix) for f in audit.findings]
    findings = [Table(["severity", "rule", "finding", "fix"], rows)] if rows else []
    text = "" if rows else "Nothing was found against this set."
    facts = [Fact("Audit", "passes" if audit.passed else "refused", plural(len(audit.findings), "finding"))]
    if found is not None:
        facts += [
            Fact(
                "Windows",
                f"{found.n_windows:,}",
                f"of {audit.n_candidates:,} in training" if audit.n_candidates else "",
            ),
            Fact("Selection", audit.method or "unknown", f"seed {audit.seed}" if audit.method else ""),
            Fact("Subjects", str(len(found.subjects)) if found.subjects else "unknown"),
        ]
    sections = [Section("Audit", text, facts=facts, tables=findings)]
    if found is None or training is None:
        return sections
    figures = [
        Picture(
            channel_range_figure(training, found),
            "Line: smallest to largest value. Bar: 0.1 % to 99.9 %. Thick bar: the middle half.",
        ),
        Picture(channel_histogram_figure(training, found), "Filled: training. Line: the calibration set."),
    ]
    if training.codes and found.codes:
        figures.append(Picture(code_figure(training, found), "Share of windows by FSQ code."))
    table = channel_table(compare_channels(training, found), "training")
    sections.append(Section("Channels against training", CHANNELS_ARE, tables=[table], figures=figures))
    return sections


def preview_sections(preview: Int8Preview, levels: Sequence[int]) -> list[Section]:
    """Return what int8 costs, where it is lost, and what would help."""
    output = "16-bit" if preview.sixteen_bit_output else "8-bit"
    how = f"Ranges by {preview.method} over {preview.calibration_windows} windows, {output} output."
    flips = Picture(flip_figure(preview.report.flip_rate_by_dimension, levels), "Share of windows whose digit changes.")
    worst = ", ".join(f"`{name}`" for name in preview.worst_layers)
    layers = Section(
        "Layers",
        f"Worst: {worst}.",
        tables=[layer_table(preview.errors)],
        figures=[Picture(layer_figure(preview.errors), "Every rounded tensor by itself, and the network up to it.")],
    )
    tried = [(i.name, f"{i.code_flip_rate:.2%}", f"{i.label_change_rate:.2%}") for i in preview.alternatives]
    nothing = "Nothing that was measured would help." if tried else "Nothing else was tried, as --no-alternatives asks."
    advice = "\n".join(f"- {line}" for line in preview.suggestions) or nothing
    others = Section(
        "What else was tried",
        advice,
        tables=[Table(["alternative", "codes that flip", "labels that change"], tried)] if tried else (),
    )
    return [
        Section("What int8 costs", how, preview_facts(preview), figures=[flips]),
        layers,
        others,
        *_refit_sections(preview),
    ]


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
    gates = (
        f"{plural(ladder.n_windows, 'held-out window')}. Gates: at least {ladder.gates.min_code_agreement:.0%} of the "
        f"codes agree, and macro-F1, in percent, drops by at most {ladder.gates.max_drop_points:g}."
    )
    figure = Picture(rung_figure(ladder), "Dashed: the gates. Bars: 95 % intervals.")
    return [Section("Rungs", gates, tables=[rung_table(ladder)], figures=[figure])]
