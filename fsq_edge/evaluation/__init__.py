"""Evaluation: scores with intervals and baselines, calibration, figures and reports.

Importing this package loads numpy only. matplotlib comes in with ``fsq_edge.evaluation.figures``, Jinja2 with a call
of ``fsq_edge.report.html.render``.
"""

from fsq_edge.evaluation.codes import CodeDictionary, CodeEntry
from fsq_edge.evaluation.intervals import ScoreRanges
from fsq_edge.evaluation.metrics import Baseline, ClassScore, Evaluation, SubjectScore, evaluate_predictions
from fsq_edge.evaluation.reliability import Reliability, ReliabilityBin

__all__ = [
    "Baseline",
    "ClassScore",
    "CodeDictionary",
    "CodeEntry",
    "Evaluation",
    "Reliability",
    "ReliabilityBin",
    "ScoreRanges",
    "SubjectScore",
    "evaluate_predictions",
]
