"""Calibration, int8 preview and parity as facts and tables, for the terminal and for the pages."""

from collections.abc import Sequence

from fsq_edge.report.document import Table
from fsq_edge.report.parts import Fact
from fsq_edge_calibration.comparison import ChannelComparison
from fsq_edge_compile.int8.layer_errors import LayerError, short_name
from fsq_edge_compile.int8.preview import Int8Preview
from fsq_edge_compile.parity.ladder import LadderReport, RungResult


def channel_table(compared: Sequence[ChannelComparison], against: str) -> Table:
    """Return each channel of a calibration set beside that of another, which ``against`` names."""
    columns = ["channel", "PSI", "range covered", "quantile shift, sigma", "lag-1", f"lag-1 in {against}"]
    rows = [
        (row.name, f"{row.psi:.3f}", f"{row.range_coverage:.0%}", f"{row.quantile_shift:.2f}", f"{row.lag1_other:.2f}",
         f"{row.lag1_reference:.2f}")
        for row in compared
    ]  # fmt: skip
    return Table(columns, rows, f"Against {against}")


def preview_facts(preview: Int8Preview) -> list[Fact]:
    """Return what int8 costs on the held-out windows."""
    report, scores = preview.report, preview.report.scores
    by_dimension = ", ".join(f"{rate:.2%}" for rate in report.flip_rate_by_dimension)
    facts = [
        Fact("Codes that flip", f"{report.code_flip_rate:.2%}", f"by dimension {by_dimension}"),
        Fact("Labels that change", f"{report.label_change_rate:.2%}", f"n = {report.n_windows} held-out windows"),
        Fact("Near a boundary", f"{report.near_boundary_share:.1%}", "of windows, within 0.05 of a rounding step"),
        Fact("Logit MSE", f"{report.logit_mse:.4f}"),
    ]
    if scores is None:
        return facts
    f1, float_f1, drop = scores.macro_f1_other, scores.macro_f1_reference, scores.drop_points
    return [
        *facts,
        Fact("Accuracy", f"{scores.accuracy_other:.4f}", f"float {scores.accuracy_reference:.4f}"),
        Fact("Macro-F1", f"{f1.value:.4f}", f"95 % {f1.low:.4f} to {f1.high:.4f}; float {float_f1.value:.4f}"),
        Fact("Macro-F1 lost", f"{drop.value:.2f} points", f"95 % {drop.low:.2f} to {drop.high:.2f}, paired"),
    ]


def layer_table(errors: Sequence[LayerError]) -> Table:
    """Return the rounding error of every tensor."""
    rows = [
        (short_name(e.layer), e.kind, f"{e.snr_db:.1f}", f"{e.own_snr_db:.1f}", f"{e.low:.2f} to {e.high:.2f}",
         _share(e.flip_rate_alone))
        for e in errors
    ]  # fmt: skip
    return Table(["layer", "what", "SNR so far, dB", "SNR alone, dB", "range", "codes flipped alone"], rows)


def rung_table(ladder: LadderReport) -> Table:
    """Return every rung of a parity ladder against the first."""
    columns = ["rung", "largest difference of t", "codes agree", "labels agree", "macro-F1, 95 %", "gates"]
    return Table(columns, [_rung(rung) for rung in ladder.rungs], f"{ladder.n_windows:,} windows; t is the output")


def _rung(rung: RungResult) -> list[str | None]:
    score = rung.macro_f1
    return [
        rung.name,
        _difference(rung.max_abs_difference),
        _share(rung.code_agreement),
        _share(rung.label_agreement),
        None if score is None else f"{score.value:.4f} ({score.low:.4f} to {score.high:.4f})",
        f"not run: {rung.skipped}" if rung.skipped else "; ".join(rung.lost) or "holds",
    ]


def _difference(value: float | None) -> str | None:
    if value is None or value == 0:
        return None if value is None else "0"
    if value >= 1e-3:
        return f"{value:.2g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"
