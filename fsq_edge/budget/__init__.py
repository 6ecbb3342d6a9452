"""Time budgets: how long each behaviour lasted, from the decisions that ``run`` wrote."""

from fsq_edge.budget.calendar import day_shares, hour_shares
from fsq_edge.budget.correction import Correction, correct
from fsq_edge.budget.decisions import read_decisions
from fsq_edge.budget.shares import bouts, time_budget, transitions
from fsq_edge.budget.subjects import read_subjects, subject_budget
from fsq_edge.budget.truth import compare, read_truth

__all__ = [
    "Correction",
    "bouts",
    "compare",
    "correct",
    "day_shares",
    "hour_shares",
    "read_decisions",
    "read_subjects",
    "read_truth",
    "subject_budget",
    "time_budget",
    "transitions",
]
