"""Fixtures of the tests of the benchmarks."""

import pytest

from benchmarks import machine_rates


@pytest.fixture(autouse=True)
def commands_in_this_process(unchanged_process):
    """Benchmarks are called in this process, too."""


@pytest.fixture
def small_machine(monkeypatch):
    """Peak rates that are measured in no time."""
    monkeypatch.setattr(machine_rates, "_PRODUCTS", [(16, 16, 16)])
    monkeypatch.setattr(machine_rates, "_COPIED_BYTES", 2**12)
    monkeypatch.setattr(machine_rates, "_largest_cache_bytes", lambda: 0)
    rates = ("copy_bandwidth", "fresh_copy_bandwidth", "product_peak")
    caches = [getattr(machine_rates, name) for name in rates]
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()
