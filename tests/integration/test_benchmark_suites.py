"""``make bench``: every suite runs in a process of its own, one that fails stops no other, and the table is made."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from pathlib import Path

import pytest

from fsq_edge_benchmarks.measure.children import child_environment, first_line_of
from fsq_edge_benchmarks.measure.fixed_bundle import fixed_bundle
from fsq_edge_benchmarks.measure.machine import INT8_DOT_FLAGS, describe_machine
from fsq_edge_benchmarks.suites import runner as make_bench
from fsq_edge_benchmarks.suites import table
from fsq_edge_benchmarks.suites.decision import layers_in_float
from fsq_edge_benchmarks.suites.registry import SUITES, suite_named
from fsq_edge_benchmarks.suites.suite import Figure, Suite, SuiteResult
from fsq_edge_runtime.errors import DataError

# Those whose smoke test is this one; the others train, or have one beside their own tests.
QUICK_HERE = (
    "decision", "peers", "preprocessing", "hef", "bundle", "hailo_overhead", "quality", "calibration", "demo_seeds",
)  # fmt: skip
# Limits for a machine that does other work as well; `make bench` on a quiet one judges by the real targets.
GENEROUS = {
    "first/ratio/value": Figure("", "first/ratio/value", at_most=4.0),
    "peers/torch_loops/ratio/value": Figure("", "peers/torch_loops/ratio/value", at_least=1.5),
    "peers/mini_rocket/ratio/value": Figure("", "peers/mini_rocket/ratio/value", at_least=3.0),
    "peers/plain_onnxruntime/ratio/value": Figure("", "peers/plain_onnxruntime/ratio/value", at_least=0.25),
    "one/stream_ratio/value": Figure("", "one/stream_ratio/value", at_most=3.0),
    "int8_layers_in_float": Figure("", "int8_layers_in_float", at_most=0),
}


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quick")
    assert make_bench.main([*QUICK_HERE, "--quick", "--out", str(folder)]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", QUICK_HERE)
def test_a_quick_run_gives_every_figure_within_generous_limits(quick_run: Path, name: str) -> None:
    suite, found = suite_named(name), SuiteResult.load(quick_run / f"{name}.json")
    assert found.quick
    assert found.seconds is not None
    values = {figure.path: figure.of(found.result) for figure in suite.figures}
    assert any(value is not None for value in values.values())
    for path, value in values.items():
        if path in GENEROUS:
            assert GENEROUS[path].holds(value) is not False, f"{path} is {value}"


def test_a_quick_start_up_measures_imports_in_turns() -> None:
    from fsq_edge_benchmarks.suites.startup import run

    found = run(quick=True)
    assert found["import_cpu_ratio"] < 2.0, "1.3 on a quiet machine"
    assert found["used_ratio"] > 0
    assert found["cold"]["starts"] == 2
    assert found["cold"]["first_decision_s"] is None, "two starts support no median"


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_every_suite_is_a_module_with_run(suite: Suite) -> None:
    run = importlib.import_module(f"fsq_edge_benchmarks.suites.{suite.name}").run
    assert inspect.signature(run).parameters["quick"].default is False
    assert suite.about.endswith(".")


def test_one_that_fails_stops_no_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hef = suite_named("hef")
    none = Suite("no_such_module", "None", "Nothing.", ())
    slow = Suite("hef", "Slow", "Takes longer than it may.", (), minutes=1e-4)
    assert make_bench.run_suites([none, slow, hef], True, tmp_path) == 1
    out = capfd.readouterr().out
    assert "FAILED: no_such_module failed" in out
    assert "No module named" in out
    assert "FAILED: hef took longer than" in out
    assert "1 of 3 suites ran" in out
    assert [path.name for path in tmp_path.iterdir()] == ["hef.json"]


def test_a_full_run_that_misses_a_target_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_bench, "run_suite", lambda suite, quick: result_of(suite.name, {"a": 3.0}, quick=quick))
    missed = Suite("x", "X", "X.", (Figure("a", "a", "x", at_most=2.0),))
    absent = Suite("x", "X", "X.", (Figure("b", "b", "x"),))
    held = Suite("x", "X", "X.", (Figure("a", "a", "x", at_least=2.0),))
    for suite, quick, code, word in (
        (held, False, 0, "target >= 2 x"),
        (missed, False, 1, "MISSED"),
        (missed, True, 0, "judges nothing"),
        (absent, False, 1, "no b in the result"),
    ):
        assert make_bench.run_suites([suite], quick, tmp_path) == code
        assert word in capfd.readouterr().out


def test_what_a_suites_own_command_wrote_can_be_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "mine.json"
    written.write_text(json.dumps({"inspect_ms_p50": 2.5, "ratio": float("nan"), "counts": [1, 2, 3]}))
    out = tmp_path / "out"
    assert make_bench.main(["hef", "--keep", str(written), "--out", str(out)]) == 0
    found = SuiteResult.load(out / "hef.json")
    assert found.result == {"inspect_ms_p50": 2.5, "ratio": None, "counts": [1, 2, 3]}
    assert "[1, 2, 3]" in (out / "hef.json").read_text()
    assert make_bench.main(["bundle", "--keep", str(written), "--out", str(out)]) == 65
    assert "no result of bundle" in capfd.readouterr().err
    assert make_bench.main(["hef", "--keep", str(tmp_path / "none"), "--out", str(out)]) == 66


def test_an_unknown_suite_is_usage(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        make_bench.main(["nothing"])
    assert left.value.code == 2
    assert "there are decision, peers" in capfd.readouterr().err


def test_the_page_has_the_table_that_the_results_make() -> None:
    text = table.PAGE.read_text(encoding="utf-8")
    assert table.page_with(text, table.table(table.load_results())) == text, (
        "python -m fsq_edge_benchmarks.suites.table"
    )
    assert table.ABSENT not in text


def test_the_table_names_machine_target_and_disturbance(tmp_path: Path) -> None:
    result = {"inspect_ms_p50": 2.5, "ratio": 1.25}
    (tmp_path / "hef.json").write_text(result_of("hef", result, others=0.5).to_json())
    made = table.table(table.load_results(tmp_path))
    assert "| HEF \\* | inspect, median | 2.5 ms |" in made
    assert "2026-01-02, " in made
    assert describe_machine().cpu in made
    assert "Not measured yet: `decision`" in made
    assert "Disturbed" in made
    (tmp_path / "hef.json").write_text(result_of("hef", result, quick=True).to_json())
    with pytest.raises(DataError, match="quick run"):
        table.load_results(tmp_path)
    (tmp_path / "hef.json").write_text(result_of("hef", {"ratio": 1.0}).to_json())
    assert f"| inspect, median | {table.ABSENT} |" in table.table(table.load_results(tmp_path))
    with pytest.raises(DataError, match="no place for the table"):
        table.page_with("nothing here", made)


def test_other_processes_are_seen_and_our_own_are_not(tmp_path: Path) -> None:
    stat, ticks = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    clock = iter([0.0, 10.0])
    spent = iter([os.times_result((0.0, 0.0, 0.0, 0.0, 0.0)), os.times_result((1.0, 1.0, 2.0, 1.0, 0.0))])
    stat.write_text(f"cpu 0 0 0 {50 * ticks} 0 0 0 0 0 0\n")
    meter = make_bench.OthersMeter(stat, lambda: next(clock), lambda: next(spent))
    # 6 s of user, 1 of system, 1 stolen; 9 idle and 3 waiting for the disk do not count.
    stat.write_text(f"cpu {6 * ticks} 0 {ticks} {59 * ticks} {3 * ticks} 0 0 {ticks} 0 0\n")
    assert meter.cores() == pytest.approx(0.3), "8 s busy in 10 s, 5 of them ours"


def test_a_result_is_judged_by_the_targets_of_its_suite() -> None:
    suite = Suite("x", "X", "X.", (Figure("a", "a/b", "x", at_most=2.0), Figure("c", "c", "x")))
    assert suite.limit("a/b") == 2.0
    with pytest.raises(KeyError):
        suite.limit("c")
    judged = suite.judged({"a": {"b": 2.0}, "c": 9.0})
    assert judged == {"a": {"b": 2.0}, "c": 9.0, "targets": {"a/b": "<= 2 x"}, "passed": True}
    assert not suite.judged({"a": {"b": 2.1}, "c": 9.0})["passed"]
    assert not suite.judged({"a": 1.0, "c": 9.0})["passed"], "the figure is missing"
    assert not suite.judged({"a": {"b": 2.0}, "c": 9.0, "passed": False})["passed"], "its own judgement counts, too"


@pytest.mark.parametrize("name", ["hef", "events"])
def test_the_help_of_a_suite_measures_nothing(name: str) -> None:
    module = f"fsq_edge_benchmarks.suites.{name}"
    done = first_line_of(["-m", module, "--help"], child_environment())
    assert done.first_line.startswith(f"usage: python -m {module} [-h] [--quick]")


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_suite_has_the_common_command_line(suite: Suite) -> None:
    source = inspect.getsource(importlib.import_module(f"fsq_edge_benchmarks.suites.{suite.name}"))
    guarded = source.partition('if __name__ == "__main__":\n')[2]
    assert f'sys.exit(run_command("{suite.name}", run' in guarded


def test_figures_as_text() -> None:
    assert Figure("", "a", "%", at_most=0.05).target() == "<= 5.00%"
    assert Figure("", "a/b").of({"a": {"b": 2}}) == 2.0
    assert Figure("", "a/b").of({"a": {"b": None}}) is None
    assert Figure("", "a", "µs").shown(12345.0) == "12,345 µs"
    assert Figure("", "a").shown(None) == "n/a"
    assert Figure("", "a", at_most=1.0).holds(None) is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_int8_against_fp32_is_judged_only_where_the_cpu_has_dot_products(quick_run: Path) -> None:
    found = json.loads((quick_run / "decision.json").read_text())["result"]
    has_dot = bool(INT8_DOT_FLAGS & set(describe_machine().flags))
    assert (found["int8_over_fp32_with_dot"] is not None) == has_dot
    assert found["int8_over_fp32"]["value"] < 3.0, "fully fused, int8 is no slower even without dot products"


def test_layers_that_stay_in_float_are_found() -> None:
    bundle = fixed_bundle(int8=True)
    assert layers_in_float(bundle.read("encoder-int8")) == []
    assert len(layers_in_float(bundle.read("encoder"))) == 4, "three convolutions and the projection"


def result_of(name: str, result: dict[str, float], *, quick: bool = False, others: float = 0.0) -> SuiteResult:
    return SuiteResult(
        suite=name,
        made="2026-01-02T03:04:05+00:00",
        machine=describe_machine(),
        quick=quick,
        seconds=1.0,
        others_cores=others,
        result=dict(result),
    )
