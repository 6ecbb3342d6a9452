"""Logs of Hailo's compiler, of HailoRT and of the kernel in plain words."""

from fsq_edge_compile.explain.reading import MAX_FINDINGS, MAX_LINE, explain_log
from fsq_edge_compile.explain.report import LogFinding, LogReport
from fsq_edge_compile.explain.table import LogRow, log_rows

__all__ = ["MAX_FINDINGS", "MAX_LINE", "LogFinding", "LogReport", "LogRow", "explain_log", "log_rows"]
