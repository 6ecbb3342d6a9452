"""What a run says to Prometheus: every metric by name, the dashboard and the alert rules that read them."""

from fsq_edge_runtime.metrics.catalog import METRICS, Metric

__all__ = ["METRICS", "Metric"]
