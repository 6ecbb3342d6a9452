"""Measuring with care: clocks, percentiles, ratios, resources and child processes."""
