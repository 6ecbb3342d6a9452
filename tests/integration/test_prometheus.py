"""The metrics, the rules and the dashboard's queries in the hands of a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsq_edge.cli.main import run as fsq_edge
from fsq_edge_runtime.runner import Runner
from fsq_edge_runtime.sources.base import Chunk
from fsq_edge_runtime.sources.iterable import IterableSource
from tests.factories.bundles import motion, random_bundle
from tests.factories.live import eventually, free_port

pytest.importorskip("prometheus_client", reason="the metrics extra is not installed")
# No device, no sink beside the metrics, no drift, nothing abstained or missed: these panels have nothing to show.
QUIET = {
    "Device",
    "Hot fallback",
    "Why windows abstain or are missed",
    "Drift and alerts",
    "Sinks",
    "Sources",
    "Overlays",
    "What waits",
}


def program(name: str) -> str:
    """Return the path of a program of Prometheus, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt install prometheus)")
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("monitoring")
    assert fsq_edge(["metrics", "export", "--grafana", "--rules", str(folder), "--quiet"]) == 0
    return folder


def test_promtool_accepts_the_rules_and_their_tests(exported: Path) -> None:
    for words in (["check", "rules", "fsq-edge-rules.yml"], ["test", "rules", "fsq-edge-rules-test.yml"]):
        done = subprocess.run([program("promtool"), *words], cwd=exported, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tested_both_ways(exported: Path) -> None:
    rules = re.findall(r"alert: (\w+)", (exported / "fsq-edge-rules.yml").read_text())
    tested = (exported / "fsq-edge-rules-test.yml").read_text()
    for rule in rules:
        assert len(re.findall(rf"alertname: {rule}\b", tested)) >= 2, rule


@contextmanager
def prometheus(exported: Path, target: str, folder: Path) -> Iterator[str]:
    """Start a Prometheus that scrapes one device every 200 ms."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
        "rule_files": [str(exported / "fsq-edge-rules.yml")],
        "scrape_configs": [{"job_name": "fsq-edge", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # YAML is a superset of JSON
    command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder}",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - an address of this test's own
        return json.load(reply)


def ask(address: str, query: str) -> list[dict[str, Any]]:
    """Return what a query finds; nothing while Prometheus is starting."""
    try:
        answer = get(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    except OSError:
        return []
    assert answer["status"] == "success", query
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def test_a_prometheus_scrapes_a_run_and_answers_the_dashboard(exported: Path, tmp_path: Path) -> None:
    from fsq_edge_runtime.sinks.prometheus import MetricsSink

    program("prometheus")
    stop = threading.Event()

    def chunks() -> Iterator[Chunk]:
        for at in range(0, 1 << 20, 50):
            yield Chunk("rex", motion(50, seed=at), np.arange(at, at + 50) / 50, time.monotonic_ns())
            if stop.wait(0.02):
                return

    with random_bundle().open_session(backend="onnx", deadline_ms=200.0) as session:
        runner = Runner(session, [IterableSource(chunks(), live=True)], [])
        sink = MetricsSink("127.0.0.1", 0, runner.health, bundle="random", deadline_s=0.2)
        runner.attach(sink)
        thread = threading.Thread(target=runner.run, args=(stop,))
        thread.start()
        try:
            with prometheus(exported, f"127.0.0.1:{sink.port}", tmp_path) as address:
                eventually(lambda: ask(address, 'up{job="fsq-edge"} == 1'), "the scrape succeeds")
                eventually(lambda: ask(address, "rate(fsq_edge_windows_total[5s]) > 0"), "windows are counted")
                eventually(lambda: ask(address, "fsq_edge_run_info"), "the run says what it is")
                assert {one["metric"]["bundle"] for one in ask(address, "fsq_edge_run_info[1m]")} == {"random"}
                dashboard = json.loads((exported / "fsq-edge-dashboard.json").read_text())

                def shown() -> bool:
                    silent = set()
                    for panel in dashboard["panels"]:
                        for target in panel["targets"]:
                            query = target["expr"].replace("$job", ".*").replace("$instance", ".*")
                            query = query.replace("$__rate_interval", "5s").replace("$__interval", "5s")
                            if not ask(address, query):
                                silent.add(panel["title"])
                    return silent <= QUIET

                # Not at once: a scrape that a busy machine answers too late leaves nothing to show until the next.
                eventually(shown, "every panel but the quiet ones shows something")
                rules = get(f"{address}/api/v1/rules")["data"]["groups"][0]["rules"]
                assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        finally:
            stop.set()
            thread.join(10)
            sink.close()
