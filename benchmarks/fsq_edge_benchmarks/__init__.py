"""Benchmarks: latency, throughput, accuracy and int8, as ratios where a ratio says more than a time.

``fsq-edge bench`` measures one bundle: :func:`fsq_edge_benchmarks.bench.run_bench` with the modes of ``modes``.
``make bench`` runs the suites of :mod:`fsq_edge_benchmarks.suites`, each a module here with ``run(quick)``, and
:mod:`fsq_edge_benchmarks.table` makes the table of docs/benchmarks.md from their results.
"""
