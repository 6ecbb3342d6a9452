"""Judges constructs that a compiler refused: ``python -m tests.survey.refusals``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import yaml

from fsq_edge_compile import check
from tests.survey.truth import FOLDER

CASES = FOLDER / "refused.yaml"
OPSET = 13


@dataclass(frozen=True)
class Refusal:
    """One reported refusal.

    Attributes:
        id: what is refused.
        chip: of the report.
        model: the construct, rebuilt.
        refused: operators of which one must carry an error.
        source: address or description of the report.
    """

    id: str
    chip: str
    model: onnx.ModelProto
    refused: frozenset[str]
    source: str

    def mistake(self) -> str:
        """Return what the checker says instead of the refusal; an empty string when it refuses."""
        report = check(self.model, self.chip)
        errors = {finding.op for finding in report.errors}
        if report.verdict == "full":
            return "full"
        if self.refused and not self.refused & errors:
            return f"{report.verdict}, but errors are at {sorted(errors)}"
        return ""


def read_refusals() -> list[Refusal]:
    """Read the table."""
    table = yaml.safe_load(CASES.read_text())
    return [
        Refusal(
            id=row["id"],
            chip=row["chip"],
            model=_model(row),
            refused=frozenset(row["refused"]),
            source=table["sources"].get(row["source"], row["source"]),
        )
        for row in table["cases"]
    ]


def _model(row: dict[str, Any]) -> onnx.ModelProto:
    weights = {key: value for key, value in row.items() if re.fullmatch(r"w\d", key)}
    given = {"x": row["x"]} | weights
    inputs = ", ".join(f"{size if isinstance(size, str) else f'float{size}'} {name}" for name, size in given.items())
    graph = onnx.parser.parse_graph(f"case ({inputs}) => (y) {{ {row['graph']} }}")
    generator = np.random.default_rng(0)
    del graph.input[1:]
    for name, size in weights.items():
        graph.initializer.append(onnx.numpy_helper.from_array(generator.normal(size=size).astype(np.float32), name))
    for number, node in enumerate(graph.node):
        node.name = f"/{node.op_type}_{number}"
        if node.op_type in ("Conv", "ConvTranspose") and not any(
            item.name == "kernel_shape" for item in node.attribute
        ):
            node.attribute.append(onnx.helper.make_attribute("kernel_shape", weights[node.input[1]][2:]))
    opset = onnx.helper.make_opsetid("", row.get("opset", OPSET))
    return onnx.shape_inference.infer_shapes(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8))


def main() -> int:
    """Print what was not refused; exit 1 when fewer than 98 % were."""
    refusals = read_refusals()
    mistakes = {refusal.id: refusal.mistake() for refusal in refusals}
    for name, mistake in mistakes.items():
        if mistake:
            print(f"NOT REFUSED {name}: {mistake}")
    right = sum(not mistake for mistake in mistakes.values())
    print(f"refused: {right} of {len(refusals)} ({100 * right / len(refusals):.1f} %)")
    return 0 if right >= 0.98 * len(refusals) else 1


if __name__ == "__main__":
    sys.exit(main())
