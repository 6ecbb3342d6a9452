"""The examples in docstrings are run: each shows what its function really returns."""

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("fsq_edge_runtime", "fsq_edge_calibration", "fsq_edge_compile", "fsq_edge_benchmarks", "fsq_edge")


def modules_with_examples() -> list[str]:
    """Return every module of the packages whose source holds a doctest; the others need not be imported."""
    found = []
    for package in PACKAGES:
        paths = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(paths, f"{package}."):
            source = module.module_finder.find_spec(module.name).loader.get_source(module.name)  # type: ignore[union-attr]
            if any(">>> " in line and "+SKIP" not in line for line in source.splitlines()):
                found.append(module.name)
    return sorted(found)


EXAMPLES = modules_with_examples()


def test_each_package_of_the_ground_floor_has_examples() -> None:
    assert {"fsq_edge_runtime.files", "fsq_edge_runtime.findings", "fsq_edge_runtime.scores"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert tried > 0
    assert failed == 0
