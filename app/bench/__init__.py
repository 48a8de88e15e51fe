"""What every benchmark shares: results, measuring of processes, tables, JSON and charts.

The benchmarks themselves, and the peers that they compare with, are in ``benchmarks/``.
"""
