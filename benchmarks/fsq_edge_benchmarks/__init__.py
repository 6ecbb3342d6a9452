"""Latency, throughput, accuracy and int8 benchmarks."""
