"""Data quality: measure, hold to limits, report, correct."""

from fsq_edge.data.quality.control import CodeReport, QualityControl, QualityReport
from fsq_edge.data.quality.correction import STRATEGIES, Correction, Strategy, apply_corrections
from fsq_edge.data.quality.findings import quality_findings
from fsq_edge.data.quality.metrics import ChannelQuality, QualityMetrics
from fsq_edge.data.quality.monitor import DataQualityMonitor
from fsq_edge.data.quality.thresholds import QualityThresholds

__all__ = [
    "STRATEGIES",
    "ChannelQuality",
    "CodeReport",
    "Correction",
    "DataQualityMonitor",
    "QualityControl",
    "QualityMetrics",
    "QualityReport",
    "QualityThresholds",
    "Strategy",
    "apply_corrections",
    "quality_findings",
]
