"""The quality control that data pass before they are trained on."""

from __future__ import annotations

from dataclasses import replace

import torch

from fsq_edge.data.quality import QualityControl, QualityReport, QualityThresholds
from fsq_edge.training.config import PreprocessingSection
from fsq_edge.training.record import EpochRecord
from fsq_edge.training.split import WindowSides
from fsq_edge.training.world import ALONE, World
from fsq_edge_runtime.errors import DataError


def check_quality(sides: WindowSides, section: PreprocessingSection, world: World = ALONE) -> QualityReport | None:
    """Examine the recordings that training and validation see; the test's are not looked at.

    The leading process reads the data once for all; the others wait for its word.

    Args:
        sides: windows in three parts.
        section: ``use_qa`` off returns None; ``strict_mode`` refuses data with any finding.
        world: the processes; all of them call this together.

    Returns:
        The report in the leading process, None in the others.

    Raises:
        DataError: strict mode, and something is wrong with the data; in every process.
    """
    if not section.use_qa:
        return None
    report = _examine(sides, section) if world.leads else None
    refused = section.strict_mode and report is not None and not report.passed
    if bool(world.gather(torch.tensor([[refused]], dtype=torch.uint8, device=world.device)).any()):
        if report is not None:
            report.require()
        raise DataError("the data failed the quality control of the leading process", hint="fsq-edge data qa SOURCE")
    return report


def _examine(sides: WindowSides, section: PreprocessingSection) -> QualityReport:
    train, val = sides.split.train, sides.split.val
    control = QualityControl(QualityThresholds(max_gap_ms=section.max_gap_ms), section.strict_mode)
    return control.validate_dataset(replace(train, recordings=train.recordings + val.recordings))


def code_warnings(last: EpochRecord) -> tuple[str, ...]:
    """Say where a trained code book has collapsed: too few codes in use, or used too unevenly."""
    limits = QualityThresholds()
    found = []
    if last.code_usage < limits.min_codebook_usage:
        found.append(f"only {last.code_usage:.1%} of the codes are used, expected {limits.min_codebook_usage:.0%}")
    if last.perplexity < limits.min_perplexity:
        found.append(f"the perplexity of the codes is {last.perplexity:.1f}, expected {limits.min_perplexity:g}")
    return tuple(found)
