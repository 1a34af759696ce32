"""Benchmarks: `python -m bench NAME` measures, prints tables with their conditions, and writes `bench/results/`."""
