"""``fsq-edge bench``: every mode on a tiny bundle, what it prints, and the gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsq_edge.cli.main import run
from fsq_edge_benchmarks.bench.result import BenchResult
from tests.factories.bundles import random_bundle
from tests.factories.runs import train_small_run

STAGES = ["ingest", "grid", "preprocess", "inference", "tail", "decision", "sink", "total"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "b.fsqb"
    random_bundle().save(path)
    return path


@pytest.fixture(scope="module")
def measured(bundle: Path) -> Path:
    path = bundle.parent / "measured.json"
    modes = "single,paced,offline,multi,cold"
    sizes = ["--decisions", "150", "--seconds", "1", "--streams", "3", "--windows", "8", "--starts", "2"]
    assert run(["bench", str(bundle), "--mode", modes, "--quick", *sizes, "--json", str(path), "--quiet"]) == 0
    return path


def test_every_mode_says_what_it_measured(measured: Path) -> None:
    result = BenchResult.load(measured)
    runs = {run.mode: run for run in result.runs}
    assert list(runs) == ["single", "paced", "offline", "multi", "cold"]
    single = runs["single"]
    assert single.ours.samples == 150
    assert (single.ours.p95, single.ours.p99) == (single.ours.p95, None)
    assert single.ours.p95 is not None
    assert list(single.stages) == list(runs["paced"].stages) == STAGES
    assert single.ratio is not None
    assert single.ratio.low <= single.ratio.value <= single.ratio.high
    assert single.ratio.value < 20, "generous: a network of one pool and one product, where all else is overhead"
    assert runs["offline"].windows == 8
    assert runs["multi"].windows == 3
    assert runs["cold"].ratio is None, "two starts support no median"
    assert all(run.resources.rss_mb for run in result.runs)
    assert all(run.valid == (not run.reasons) for run in result.runs)


def test_tables_fit_80_columns_and_break_no_word(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from fsq_edge.cli.output import Output
    from fsq_edge_benchmarks.bench.tables import result_lines

    monkeypatch.setenv("COLUMNS", "80")
    shown = Output().console
    for line in result_lines(BenchResult.load(measured)):
        shown.print(line)
    lines = capfd.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.startswith("mode")]
    assert heads == [
        ["mode", "backend", "p50", "p90", "p95", "p99", "p99.9", "most", "n"],
        ["mode", "backend", "ours", "bare", "ratio", "95", "%", "windows/s", "valid"],
        ["mode", "backend", "CPU", "RSS", "MB", "°C", "MHz", "W", "preempted", "spin"],
    ]
    text = "\n".join(lines)
    assert "A dash: too few samples; needed: p50 11, p90 64, p95 130, p99 662, p99.9 6,636" in text
    assert "hop pushed to decision returned" in text


def test_the_fake_device_is_never_called_silicon(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["bench", str(bundle), "--backend", "fake", "--decisions", "11"]
    assert run(words) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "single hailo-fake" in out
    assert "not a measurement of Hailo silicon" in out


def test_a_pair_and_a_page(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["bench", str(bundle), "--decisions", "50", "--against", str(bundle), "--html", str(tmp_path / "p.html")]
    assert run(words) == 0
    assert "B / A" in capfd.readouterr().out
    page = (tmp_path / "p.html").read_text()
    assert page.count("<svg") >= 3
    assert "time of one sample, logarithmic" in page
    for word in ("Latency", "Stages", "Validity", "Machine"):
        assert f">{word}<" in page


def test_torch_runs_the_network_that_the_bundle_was_made_from(bundle: Path, tmp_path: Path) -> None:
    trained, build, packed = train_small_run(tmp_path), tmp_path / "build", tmp_path / "gait.fsqb"
    assert run(["export", str(trained), "--out", str(build), "--quiet"]) == 0
    assert run(["bundle", "build", str(build), "--out", str(packed), "--quiet"]) == 0
    words = ["--backend", "torch", "--run", str(trained), "--against", "onnx", "--decisions", "60", "--quiet"]
    assert run(["bench", str(packed), *words, "--json", str(tmp_path / "t.json")]) == 0
    result = BenchResult.load(tmp_path / "t.json")
    assert result.runs[0].backend == "torch"
    assert result.pair is not None
    assert result.pair.ratio.value < 1.0, "onnxruntime is not slower than eager PyTorch"
    assert run(["bench", str(bundle), *words]) == 65, "another network's run"


@pytest.mark.slow
def test_two_revisions_in_processes_of_their_own(bundle: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    words = ["bench", str(bundle), "--decisions", "80", "--against", str(root), "--quiet"]
    assert run([*words, "--json", str(tmp_path / "pair.json")]) == 0
    pair = BenchResult.load(tmp_path / "pair.json").pair
    assert pair is not None
    assert (pair.a, pair.b) == ("this", str(root))
    assert pair.a_us.samples == pair.b_us.samples == 80
    assert 0.2 < pair.ratio.value < 5.0, "the same revision twice"


def with_ratio(source: Path, target: Path, factor: float, *, valid: bool = True) -> Path:
    """Write a copy of a result whose ratios are so many times as large."""
    value: dict[str, Any] = json.loads(source.read_text())
    for one in value["runs"]:
        one["valid"], one["reasons"] = valid, [] if valid else ["disturbed: by this test"]
        if one["ratio"]:
            one["ratio"] |= {key: factor * one["ratio"][key] for key in ("value", "low", "high")}
    target.write_text(json.dumps(value))
    return target


@pytest.mark.parametrize(
    ("factor", "valid", "extra", "code"),
    [
        (1.05, True, [], 0),
        (1.2, True, [], 1),
        (1.2, False, [], 2),
        (1.05, False, [], 2),
        (1.05, False, ["--allow-disturbed"], 0),
        (1.2, False, ["--allow-disturbed"], 1),
        (0.5, True, [], 0),
    ],
)
def test_the_gate(
    measured: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], factor: float, valid: bool, extra: list[str],
    code: int,
) -> None:  # fmt: skip
    before = with_ratio(measured, tmp_path / "a.json", 1.0)
    after = with_ratio(measured, tmp_path / "b.json", factor, valid=valid)
    assert run(["bench", "compare", str(before), str(after), "--max-regress", "10%", *extra]) == code
    out = capfd.readouterr().out
    assert f"{factor - 1:+.1%}" in out
    assert run(["bench", "compare", str(before), str(after)]) == 0, "without a limit nothing is judged"


def test_a_baseline_is_gated_in_one_step(bundle: Path, measured: Path, tmp_path: Path) -> None:
    easy, hard = (with_ratio(measured, tmp_path / f"{factor}.json", factor) for factor in (100.0, 0.01))
    words = ["bench", str(bundle), "--decisions", "50", "--allow-disturbed", "--quiet", "--baseline"]
    assert run([*words, str(easy)]) == 0
    assert run([*words, str(hard), "--max-regress", "0.1"]) == 1


def test_mistakes_end_as_one_line_and_a_hint(
    bundle: Path, measured: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text("{}")
    cases = [
        (["bench", str(bundle), "--mode", "fast"], 64),
        (["bench", str(bundle), "--backend", "gpu"], 64),
        (["bench", str(bundle), "--backend", "torch"], 64),
        (["bench", str(bundle), "--backend", "onnx-int8"], 64),
        (["bench", str(bundle), "--against", "nothing"], 64),
        (["bench", str(bundle), "--mode", "cold", "--backend", "fake"], 64),
        (["bench", str(bundle), "--backend", "hailo"], 69),
        (["bench", str(bundle), "--backend", "torch", "--run", str(tmp_path)], 66),
        (["bench", str(bundle), "--max-regress", "ten"], 64),
        (["bench", "compare", str(measured)], 64),
        (["bench", "compare", str(measured), str(tmp_path / "bad.json")], 65),
        (["bench", "compare", str(measured), str(tmp_path / "none.json")], 66),
        (["bench", str(tmp_path / "none.fsqb")], 66),
    ]
    for words, code in cases:
        assert run([*words, *(["--decisions", "11"] if words[1] == str(bundle) else [])]) == code, words
        error = capfd.readouterr().err.splitlines()
        assert error[0].startswith("error: "), words
        assert len(error) <= 2


def test_usage_names_both_forms(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--help"]) == 0
    out = capfd.readouterr().out
    assert "bench [OPTIONS] BUNDLE" in out
    assert "bench compare [OPTIONS] BASELINE CANDIDATE" in out
