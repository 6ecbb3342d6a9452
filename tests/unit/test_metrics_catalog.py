"""The list of metrics, what is served, the page about them, the dashboard and the rules: they name the same things."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from fsq_edge_runtime.metrics import METRICS
from fsq_edge_runtime.stream.records import Decision, StreamEvent

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
FACTS: dict[str, Any] = {
    **dict.fromkeys(("streams", "accepted", "duplicate", "late", "bad_time", "paused", "overrun", "decided"), 1),
    **dict.fromkeys(("abstained", "missed", "skipped", "interpolated", "imputed", "gaps", "clock_jumps"), 2),
    "segments": 3,
    "waiting_samples": 17,
    "sources": [{"lines": 4}],
    "sinks": [
        {"name": "jsonl", "records": 5, "waiting": 6},
        {"name": "jsonl", "records": 7},
        {"name": "mqtt", "sent": 8},
    ],
    "overlays": {"personal": 2, "base": 1},
    "device": {"temperature_c": 51.5, "serving": "hailo", "switches": 0},
}
_NAME = re.compile(r"\b(fsq_edge_\w+|process_\w+|up)\b")
_OWN = {"process_resident_memory_bytes", "up"}


@pytest.fixture
def served() -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by name and labels, as Prometheus' own parser reads them."""
    pytest.importorskip("prometheus_client", reason="the metrics extra is not installed")
    from prometheus_client import generate_latest
    from prometheus_client.parser import text_string_to_metric_families

    from fsq_edge_runtime.sinks.prometheus import MetricsSink

    facts = {**FACTS, "latest_ns": time.monotonic_ns() - 10**9}
    sink = MetricsSink("127.0.0.1", 0, lambda: facts, bundle="dog", deadline_s=0.5)
    stages = (0, 0, 0, 0, 300_000)
    decision = Decision(0, "rex", 0.0, 2.0, "walk", "walk", 0.93, 3, (), "onnx", None, None, None, stages)
    sink.write(decision)
    sink.write(decision._replace(label=None, raw_label=None, quality=("stuck:acc_x",)))
    sink.write(decision._replace(missed="deadline"))
    sink.write(StreamEvent("drift", "rex", {"what": "mean:acc_x", "test": "change"}))
    sink.write(StreamEvent("overlay", "rex", {"t": 2.0, "wearer": "rex", "head": "base"}))
    sink.write(StreamEvent("overlay", "rex", {"t": 3.0, "action": "forgotten", "head": "personal"}))
    sink.write(StreamEvent("alert", "rex", {"rule": "long-rest", "state": "firing"}))
    sink.write(StreamEvent("alert", "rex", {"rule": "long-rest", "state": "clear"}))
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(sink._registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    sink.close()
    return found


def test_every_metric_of_the_list_is_served_with_its_labels(served: dict[str, Any]) -> None:
    for metric in METRICS:
        name = f"{metric.name}_bucket" if metric.kind == "histogram" else metric.name
        labels = {*metric.labels, *(("le",) if metric.kind == "histogram" else ())}
        assert {tuple(sorted(labels))} == {tuple(key for key, _ in sample) for sample in served[name]}, metric.name


def test_nothing_else_of_ours_is_served(served: dict[str, Any]) -> None:
    endings = ("_bucket", "_sum", "_count", "_created", "_total")
    known = {metric.family for metric in METRICS}
    for name in served:
        if name.startswith("fsq_edge"):
            base = next((name.removesuffix(ending) for ending in endings if name.endswith(ending)), name)
            assert base in known or name in known, name


def test_values_are_those_of_the_run(served: dict[str, Any]) -> None:
    assert served["fsq_edge_labels_total"] == {(("label", "walk"),): 1.0}
    assert served["fsq_edge_missed_total"] == {(("reason", "deadline"),): 1.0}
    assert served["fsq_edge_flags_total"] == {(("flag", "stuck"),): 1.0}
    assert served["fsq_edge_drift_total"][(("test", "change"), ("what", "mean"))] == 1.0
    assert served["fsq_edge_drift_total"][(("test", "training"), ("what", "mean"))] == 0.0
    assert served["fsq_edge_overlay_streams"] == {(("head", "personal"),): 2.0, (("head", "base"),): 1.0}
    told = {what for (((_, what),), count) in served["fsq_edge_overlay_total"].items() if count}
    assert told == {"base", "forgotten"}
    assert served["fsq_edge_alerts_total"] == {(("rule", "long-rest"),): 1.0}
    assert served["fsq_edge_sink_waiting"] == {(("sink", "jsonl"),): 6.0}
    assert served["fsq_edge_sink_total"][(("kind", "records"), ("sink", "jsonl-2"))] == 7.0
    assert served["fsq_edge_confidence_bucket"][(("le", "0.95"),)] == 1.0
    assert served["fsq_edge_confidence_bucket"][(("le", "0.9"),)] == 0.0
    assert served["fsq_edge_waiting_samples"] == {(): 17.0}
    assert served["fsq_edge_last_window_timestamp_seconds"][()] == pytest.approx(time.time() - 1.0, abs=30.0)


def test_the_page_has_the_list() -> None:
    rows = re.findall(r"^\| `(fsq_edge_\w+)` \| (\w+) \| (.*?) ?\| (.*?) \|$", DOCS.read_text(), flags=re.MULTILINE)
    listed = [(m.name, m.kind, ", ".join(f"`{label}`" for label in m.labels), m.text) for m in METRICS]
    assert [(name, kind, labels.strip(), text) for name, kind, labels, text in rows] == listed


def _queries() -> Iterator[tuple[str, str]]:
    folder = files("fsq_edge_runtime.metrics")
    dashboard = json.loads(folder.joinpath("fsq-edge-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    for group in yaml.safe_load(folder.joinpath("fsq-edge-rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def test_dashboard_and_rules_ask_for_metrics_and_labels_of_the_list() -> None:
    by_name = {metric.name: metric for metric in METRICS}
    for metric in METRICS:
        if metric.kind == "histogram":
            by_name[f"{metric.name}_bucket"] = metric
    asked = set()
    for where, query in _queries():
        for name in _NAME.findall(query):
            assert name in by_name or name in _OWN, f"{where}: {name}"
            asked.add(by_name[name].name if name in by_name else name)
        for name, inside in re.findall(r"(fsq_edge_\w+)\{([^}]*)\}", query):
            labels = set(re.findall(r"(\w+)\s*[=!]", inside)) - {"job", "instance", "le"}
            assert labels <= set(by_name[name].labels), f"{where}: {labels}"
    assert {metric.name for metric in METRICS} - asked == {"fsq_edge_run_info"}


def test_the_dashboard_lies_on_its_grid_and_every_panel_is_explained() -> None:
    dashboard = json.loads(files("fsq_edge_runtime.metrics").joinpath("fsq-edge-dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_the_page_names_every_alert() -> None:
    rules = yaml.safe_load(files("fsq_edge_runtime.metrics").joinpath("fsq-edge-rules.yml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| `(FsqEdge\w+)`", DOCS.read_text(), flags=re.MULTILINE) == alerts
