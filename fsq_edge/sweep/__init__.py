"""Settings searched on any number of machines that share one storage (Optuna), by inner subjects only."""

from fsq_edge.sweep.report import SweepReport, make_report, write_report
from fsq_edge.sweep.space import Space, read_space
from fsq_edge.sweep.storage import open_storage
from fsq_edge.sweep.study import Sweep, open_sweep

__all__ = ["Space", "Sweep", "SweepReport", "make_report", "open_storage", "open_sweep", "read_space", "write_report"]
