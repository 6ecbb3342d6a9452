"""Time budgets: how long each behaviour lasted, from the decisions that ``run`` wrote."""

from fsq_edge.budget.decisions import read_decisions
from fsq_edge.budget.shares import bouts, day_shares, time_budget
from fsq_edge.budget.transitions import transitions

__all__ = ["bouts", "day_shares", "read_decisions", "time_budget", "transitions"]
