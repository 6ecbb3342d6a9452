"""What a rewriting pass is, and the record of what passes did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import onnx

from fsq_edge_compile.checker.rewrites.workbench import Replacement, Workbench


class Rewrite(ABC):
    """One safe change of spelling.

    A pass says when it applies (``requires``), makes the change in place (``call``) and says whether the result has
    the form it promises (``ensures``). Whether the numbers stay the same is proven outside, on the whole model.
    """

    name: str = ""
    summary: str = ""

    def requires(self, bench: Workbench) -> bool:
        """Whether there may be something to do; the cheap question."""
        return bool(bench.model.graph.node)

    @abstractmethod
    def call(self, bench: Workbench) -> list[str]:
        """Rewrite in place and return the names of what was changed; nothing when nothing was."""

    def ensures(self, bench: Workbench) -> bool:
        """Whether the promised form holds now."""
        return True


class FormRewrite(Rewrite):
    """A pass about a form of the whole model: behind it the pass no longer applies."""

    def ensures(self, bench: Workbench) -> bool:
        """Whether nothing is left to do."""
        return not self.requires(bench)


class OperatorRewrite(Rewrite):
    """A pass about certain operators: it applies where they occur, and by default offers each of them to ``change``."""

    operators: frozenset[str] = frozenset()

    def requires(self, bench: Workbench) -> bool:
        """Whether one of the operators occurs."""
        return any(self._is_meant(node) for node in bench.model.graph.node)

    def call(self, bench: Workbench) -> list[str]:
        """Put what ``change`` returns in the place of each of the operators."""
        return bench.rewrite(lambda node: self.change(bench, node) if self._is_meant(node) else None)

    def change(self, bench: Workbench, node: onnx.NodeProto) -> Replacement:
        """Return what takes the place of one of the operators; None leaves it as it is."""
        return None

    def _is_meant(self, node: onnx.NodeProto) -> bool:
        return node.op_type in self.operators and not node.domain


@dataclass(frozen=True, slots=True)
class Change:
    """One pass that was kept.

    Attributes:
        rewrite: name of the pass.
        summary: what it does.
        nodes: names of what it changed.
        difference: largest difference of any output on the test inputs, relative to its largest value.
    """

    rewrite: str
    summary: str
    nodes: tuple[str, ...]
    difference: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """One pass that was undone.

    Attributes:
        rewrite: name of the pass.
        reason: why it was not kept.
    """

    rewrite: str
    reason: str
