"""Alerts: rules over the records of a stream, live, in a replay, or over a log."""

from fsq_edge_runtime.alerts.rules import AlertRules, read_rules
from fsq_edge_runtime.alerts.watch import AlertWatch

__all__ = ["AlertRules", "AlertWatch", "read_rules"]
