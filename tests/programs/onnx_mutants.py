"""Damaged ONNX models thrown at the checker: a verdict or one clear error, never a crash, a hang or more than 2 GB.

Half of the mutants are files with a few bytes changed, half are models with a part set to what no exporter writes.
Run as a program it prints one line of what happened: ``python -m tests.programs.onnx_mutants --count 5000 --bombs``, or
with ``--backend`` for the onnx package's own test models.
"""

from __future__ import annotations

import argparse
import itertools
import random
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fsq_edge_compile.checker.checking import check
from fsq_edge_compile.checker.loading import parse_model
from fsq_edge_compile.checker.report import CheckReport
from fsq_edge_runtime.errors import DataError
from tests.factories.mutations import flip_bytes, mutate_model
from tests.factories.onnx_graphs import fsq_model
from tests.factories.reported_cases import CASES

LIMIT_MB = 2048
# One call may wait for the simplifier's child, which has 60 s of its own.
LIMIT_SECONDS = 90.0
ARCHES = ("hailo8l", "hailo10h")


def seeds() -> list[onnx.ModelProto]:
    """The graphs of the reported cases, and the project's own model."""
    return [fsq_model(), *(case.build() for case in CASES.values())]


def mutants(count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield ``count`` files: in turn bytes changed, and parts of the model changed."""
    rng = random.Random(seed)
    corpus = seeds()
    for index in range(count):
        model = rng.choice(corpus)
        yield mutate_model(model, rng).SerializeToString() if index % 2 else flip_bytes(model.SerializeToString(), rng)


def bombs() -> Iterator[bytes]:
    """Yield models made to cost time or memory: huge declared shapes, nested subgraphs, constants that explode."""
    for shape in ([2**31 - 1] * 4, [1, 2**40, 2**40, 2**40], [1, 4096, 65536, 65536]):
        yield _model([helper.make_node(op, [f"t{i}"], [f"t{i + 1}"]) for i, op in enumerate(("Relu", "Shape"))], shape)
    yield _model([helper.make_node("ConstantOfShape", ["c"], ["t2"])], [1], c=[2**20, 2**20, 2**20])
    yield _model([helper.make_node("Range", ["a", "b", "c"], ["t2"])], [1], a=0, b=2**40, c=1)
    yield _model([helper.make_node("Tile", ["a", "b"], ["t2"])], [1], a=[1, 2, 3], b=[2**40])
    yield _model([helper.make_node("Expand", ["a", "b"], ["t2"])], [1], a=[1], b=[2**31, 2**31])
    doubling = [helper.make_node("Concat", [f"t{i}", f"t{i}"], [f"t{i + 1}"], axis=0) for i in range(1, 60)]
    yield _model([helper.make_node("Shape", ["t0"], ["t1"]), *doubling], [1, 2, 3], last="t60")
    inner = helper.make_graph([helper.make_node("Relu", ["t0"], ["t2"])], "g", [], [_value("t2")])
    for _ in range(24):
        node = helper.make_node("If", ["a"], ["t2"], then_branch=inner, else_branch=helper.make_graph([], "e", [], []))
        inner = helper.make_graph([node], "g", [], [_value("t2")])
    yield _model(list(inner.node), [1], a=1)


def _value(name: str, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(nodes: list[onnx.NodeProto], shape: list[int], last: str = "t2", **constants: int | list[int]) -> bytes:
    """Return a model from ``t0`` to ``last`` with integer constants."""
    tensors = [numpy_helper.from_array(np.asarray(value, np.int64), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [_value("t0", shape)], [_value(last)], tensors)
    return bytes(helper.make_model(graph).SerializeToString())


def backend_models(made: bool = False) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield the onnx package's own test models by name.

    Args:
        made: also the thousands that are made by code, which alone takes half a minute to import.
    """
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for path in sorted((*folder.glob("*/*/model.onnx"), *folder.glob("*/*.onnx"))):
        yield str(path.relative_to(folder)), parse_model(path.read_bytes(), path.name)
    if not made:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    for case in cases:
        if case.model is not None:
            yield case.name, case.model


def fault(report: CheckReport) -> str:
    """Return what is wrong with a report; an empty string when nothing is."""
    value = report.to_dict()
    device = [node.name for node in report.nodes if node.device]
    names = {node.name for node in report.nodes}
    if (report.verdict == "none") != (not device):
        return f"verdict {report.verdict} with {len(device)} device nodes"
    if not set(report.end_nodes) <= set(device) or bool(report.end_nodes) != bool(device):
        return "end nodes that are no device nodes"
    if any(finding.node and finding.node not in names for finding in report.findings):
        return "a finding on a node that is not there"
    counts = value["nodes"]
    if counts["device"] + counts["host"] != counts["total"]:
        return "node counts that do not add up"
    return ""


def judge(model: bytes | onnx.ModelProto, arch: str) -> str:
    """Check one model and return what became of it.

    Raises:
        Exception: whatever the checker raises that is not a ``DataError``.
    """
    try:
        report = check(parse_model(model, "mutant") if isinstance(model, bytes) else model, arch)
    except DataError:
        return "refused"
    wrong = fault(report)
    return f"wrong report ({wrong})" if wrong else report.verdict


def run(models: Iterator[bytes | onnx.ModelProto]) -> dict[str, float]:
    """Check models in turn; return how many of each outcome, the slowest call and the most memory (MB)."""
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for index, model in enumerate(models):
        started = time.perf_counter()
        outcomes[judge(model, ARCHES[index % 2])] += 1
        slowest = max(slowest, time.perf_counter() - started)
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {**outcomes, "slowest_s": slowest, "most_mb": most / 1024}


def main() -> int:
    """Print the outcome; exit 1 when a limit was passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bombs", action="store_true", help="also the models made to cost time or memory")
    parser.add_argument("--backend", action="store_true", help="the onnx package's own test models in their place")
    arguments = parser.parse_args()
    # Beyond the limit an allocation fails here instead of taking the machine down.
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT_MB << 20, LIMIT_MB << 20))
    models: Iterator[bytes | onnx.ModelProto]
    if arguments.backend:
        models = (model for _, model in backend_models(made=True))
    else:
        models = itertools.chain(bombs() if arguments.bombs else (), mutants(arguments.count, arguments.seed))
    found = run(models)
    print("onnx:", ", ".join(f"{name} {value:g}" for name, value in found.items()))
    wrong = [name for name in found if name.startswith("wrong")]
    return 1 if wrong or found["most_mb"] > LIMIT_MB or found["slowest_s"] > LIMIT_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
