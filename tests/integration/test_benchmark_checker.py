"""The benchmark of the check still runs and still says something."""

from __future__ import annotations

from fsq_edge_benchmarks.suites import checker


def test_checker_benchmark() -> None:
    found = checker.run(quick=True)
    assert found["verdict"] == "full"
    assert found["first_check_s"] > 0
    assert found["import_s"] > 0
    assert found["command_to_import_ratio"] > 0
    assert found["per_node_ratio"] > 0


def test_the_network_has_the_weights_of_resnet_50() -> None:
    network = checker.residual_network(checker.RESNET_50)
    weights = sum(len(tensor.raw_data) for tensor in network.graph.initializer)
    assert 100e6 < weights < 104e6
