"""How a model stands before the compiler, so that rewriting it never makes that worse."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from fsq_edge_compile.checker.checking import judge_normalised
from fsq_edge_compile.checker.normalise import normalise
from fsq_edge_compile.checker.report import EXIT_CODES, CheckReport
from fsq_edge_compile.checker.targets import Target
from fsq_edge_runtime.errors import DataError

# A rewrite may spell an operator with a little more or less arithmetic.
SHARE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Standing:
    """What a check says of a model.

    Attributes:
        report: of the check.
        ends: names of the tensors that its end nodes make.
    """

    report: CheckReport
    ends: tuple[str, ...]

    def loss(self, after: Standing) -> str:
        """Return in words what is lost when this model becomes another; an empty string when nothing is."""
        old, new = self.report, after.report
        blocker = next((f" at {finding.node} ({finding.rule})" for finding in new.errors), "")
        if EXIT_CODES[new.verdict] > EXIT_CODES[old.verdict]:
            return f"the verdict would fall from {old.verdict} to {new.verdict}{blocker}"
        if new.macs.share < old.macs.share - SHARE_TOLERANCE:
            return (
                f"the device's share of the work would fall from {old.macs.share:.1%} to {new.macs.share:.1%}{blocker}"
            )
        return ""


def standing_of(model: onnx.ModelProto, target: Target) -> Standing | None:
    """Check a model for one target; None where it cannot be normalised."""
    try:
        normalised = normalise(model, "model")
    except DataError:
        return None
    report = judge_normalised(normalised, "model", target)
    ends = set(report.end_nodes)
    return Standing(
        report, tuple(name for node in normalised.graph.nodes if node.name in ends for name in node.outputs if name)
    )
