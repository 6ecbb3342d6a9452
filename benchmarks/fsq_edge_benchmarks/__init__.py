"""Benchmarks: latency, throughput, accuracy and int8, as ratios where a ratio says more than a time.

``fsq-edge bench`` measures one bundle: :func:`fsq_edge_benchmarks.bench.bench.run_bench`, with the modes of
``bench.modes``. ``make bench`` runs the suites of :mod:`fsq_edge_benchmarks.suites.registry`, each a module of
``suites`` with ``run(quick)``; :mod:`fsq_edge_benchmarks.suites.table` makes the table of docs/benchmarks.md.
"""
