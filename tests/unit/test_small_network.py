"""The small network beside a bundle's own: the same frames, fewer products, written without the onnx package."""

import onnx
import pytest

from fsq_edge_benchmarks.bench.bench import BenchSettings, run_bench
from fsq_edge_benchmarks.bench.tables import bench_sections
from fsq_edge_benchmarks.measure.fixed_network import small_bundle
from tests.factories.bundles import motion, preprocess_config, random_bundle


@pytest.mark.parametrize("shape", [{}, {"fold": 1, "window_samples": 40}, {"window_zscore": False, "fold": 4}])
def test_it_is_a_valid_bundle_with_the_frames_of_the_other(shape):
    like = random_bundle(preprocess=preprocess_config(**shape))
    small = small_bundle(like)
    onnx.checker.check_model(onnx.load_from_string(small.read("encoder")), full_check=True)
    assert small.files == small_bundle(like).files
    assert small.preprocess == like.preprocess
    with small.open_session("onnx") as session:
        assert session.backend.window_graph is not None
        codes = {decision.code for decision in session.push(motion(2000))}
    assert len(codes) > 1


def test_bench_says_what_both_networks_add():
    settings = BenchSettings(decisions=12)
    result = run_bench(random_bundle(), ["single"], ["onnx"], settings)
    assert result.small.ours.samples == 12
    table = next(section for section in bench_sections(result) if section.heading == "Networks").tables[0]
    assert [row[0] for row in table.rows] == ["random", "a small network"]
    assert all(row[3] is not None for row in table.rows)
    assert run_bench(random_bundle(), ["multi"], ["onnx"], BenchSettings(rounds=2, streams=2)).small is None
