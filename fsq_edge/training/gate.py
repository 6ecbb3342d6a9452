"""The quality control that data pass before they are trained on."""

from __future__ import annotations

from dataclasses import replace

from fsq_edge.data.quality import QualityControl, QualityReport, QualityThresholds
from fsq_edge.training.config import PreprocessingSection
from fsq_edge.training.record import EpochRecord
from fsq_edge.training.split import WindowSides


def check_quality(sides: WindowSides, section: PreprocessingSection) -> QualityReport | None:
    """Judge the recordings that training and validation see; the test's are not looked at.

    Args:
        sides: windows in three parts.
        section: ``use_qa`` off returns None; ``strict_mode`` refuses data with any finding.

    Raises:
        DataError: strict mode, and something is wrong with the data.
    """
    if not section.use_qa:
        return None
    train, val = sides.split.train, sides.split.val
    thresholds = QualityThresholds(max_gap_ms=section.max_gap_ms)
    control = QualityControl(thresholds, section.strict_mode)
    report = control.validate_dataset(replace(train, recordings=train.recordings + val.recordings))
    if section.strict_mode:
        report.require()
    return report


def code_warnings(last: EpochRecord) -> tuple[str, ...]:
    """Say where a trained code book has collapsed: too few codes in use, or used too unevenly."""
    limits = QualityThresholds()
    found = []
    if last.code_usage < limits.min_codebook_usage:
        found.append(f"only {last.code_usage:.1%} of the codes are used, expected {limits.min_codebook_usage:.0%}")
    if last.perplexity < limits.min_perplexity:
        found.append(f"the perplexity of the codes is {last.perplexity:.1f}, expected {limits.min_perplexity:g}")
    return tuple(found)
