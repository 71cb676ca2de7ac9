"""Suites, peers and measuring for `launch/benchmark.py`; results lie in `results/`."""
