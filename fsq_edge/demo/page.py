"""What the demo writes: ``summary.json``, the closing table and ``report.html``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsq_edge.demo.chain import DemoResult
from fsq_edge.evaluation.figures import timeline_figure
from fsq_edge.evaluation.report import sections, verdict
from fsq_edge.evaluation.run_evaluation import summary
from fsq_edge.evaluation.training_page import write_training_page
from fsq_edge.report.document import Section, Table
from fsq_edge.report.html import render
from fsq_edge.report.index import write_page
from fsq_edge.report.parts import Picture

UNPROVEN = (
    "The int8 figures are a preview: onnxruntime's arithmetic, not Hailo's. Nothing here ran on Hailo silicon; "
    "latencies are of this machine's CPU."
)


def summary_of(result: DemoResult, *, quick: bool, seed: int) -> dict[str, Any]:
    """Return ``summary.json``."""
    preview, latency, scores = result.preview, result.latency, result.preview.scores
    int8 = {"code_flip_rate": preview.code_flip_rate, "label_change_rate": preview.label_change_rate}
    if scores is not None:
        int8 |= {"accuracy": scores.accuracy_other, "macro_f1": scores.macro_f1_other.value}
    sides = {"decision": latency.ours, **({} if latency.bare is None else {"bare": latency.bare})}
    timed = {f"{name}_{rank}": getattr(side, rank) for name, side in sides.items() for rank in ("p50", "p99")}
    for prefix, run in (("", latency), ("small_", result.small)):
        timed[f"{prefix}ratio_p50"] = None if run.ratio is None else run.ratio.value
        timed[f"{prefix}added_p50"] = None if run.added_us is None else run.added_us.value
    return {
        **summary(
            result.evaluated,
            int8=int8,
            verdict=result.verdict,
            bundle_bytes=result.bundle_bytes,
            latency_us={name: value for name, value in timed.items() if value is not None},
        ),
        "seed": seed,
        "quick": quick,
        "arch": result.arch,
        "onnx": result.exported.onnx_check,
    }


def summary_rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the closing table."""
    int8, latency = values["int8"], values["latency_us"]
    low, high = values["intervals"]["macro_f1"]
    return [
        ("data", f"{values['dataset']}, {values['split']}, n = {values['n_windows']} windows"),
        ("accuracy", f"{values['accuracy']:.3f}"),
        ("macro-F1", f"{values['macro_f1']:.3f} (95 % {low:.3f} to {high:.3f})"),
        ("majority baseline", f"{values['majority_baseline']:.3f}"),
        ("int8 preview accuracy", f"{int8['accuracy']:.3f}"),
        ("int8 preview code flips", f"{int8['code_flip_rate']:.2%} (labels changed {int8['label_change_rate']:.2%})"),
        ("check", f"{values['check']['verdict']} for {values['arch']}"),
        ("bundle", f"{values['bundle_bytes'] / 1024:.0f} KiB"),
        ("decision p50 / p99", f"{_us(latency['decision_p50'])} / {_us(latency['decision_p99'])}"),
        ("bare network p50 / p99", f"{_us(latency['bare_p50'])} / {_us(latency['bare_p99'])}"),
        ("decision / bare, p50", _added(latency, "")),
        ("the same with a small network", _added(latency, "small_")),
    ]


def write_report(result: DemoResult, values: dict[str, Any], path: Path) -> None:
    """Write ``report.html``, one self-contained page with every figure, and the page of the run."""
    timeline, classes = result.timeline, result.run.classes
    stretch = Picture(timeline_figure(timeline.decisions, timeline.truth, classes), "True and predicted labels.")
    parts = [
        Section("What was measured", UNPROVEN, tables=(Table(("what", "value"), summary_rows(values)),)),
        Section(
            "A streamed stretch",
            f"Held-out data ({timeline.title}) streamed through the bundle. `window` is the label of each window "
            "alone, `decision` what the session reported; each is drawn from the moment it was known.",
            figures=(stretch,),
        ),
        *sections(result.evaluated),
    ]
    page = render(
        "fsq-edge demo",
        parts,
        subtitle=f"{result.dataset.name}, {values['split']}, seed {values['seed']}",
        verdict=verdict(result.evaluated),
        notices=("A quick run: few epochs, the accuracy is not the model's.",) if values["quick"] else (),
    )
    write_training_page(result.run)
    write_page(path, page)


def _us(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.0f} µs"


def _added(latency: dict[str, Any], prefix: str) -> str:
    ratio, added = latency.get(f"{prefix}ratio_p50"), latency.get(f"{prefix}added_p50")
    return "n/a" if ratio is None or added is None else f"{ratio:.2f}, {_us(added)} added"
