"""Peak rates. No number is judged here, only how each is made of times and sizes."""

import itertools

import pytest

from benchmarks import machine_rates


def test_every_rate_is_there(small_machine):
    assert machine_rates.copy_bandwidth() >= machine_rates.fresh_copy_bandwidth() > 0
    assert machine_rates.product_peak("float32") > 0
    assert machine_rates.product_peak("bfloat16") > 0


def test_the_peak_is_that_of_the_fastest_product(small_machine, monkeypatch):
    seconds = {(2, 3, 4): 2.0, (5, 6, 7): 10.0}
    monkeypatch.setattr(machine_rates, "_PRODUCTS", list(seconds))
    times = iter(seconds.values())
    monkeypatch.setattr(machine_rates, "seconds_of_calls", lambda call, tries: [99.0, next(times)])
    assert machine_rates.product_peak() == max(2 * 2 * 3 * 4 / 2.0, 2 * 5 * 6 * 7 / 10.0)


def test_a_copy_counts_what_is_read_and_what_is_written(small_machine, monkeypatch):
    monkeypatch.setattr(machine_rates, "seconds_of_calls", lambda call, tries: [4.0, 2.0, 3.0])
    assert machine_rates.fresh_copy_bandwidth() == 2 * 2**12 / 2.0


def test_the_rate_of_copies_is_the_best_that_was_measured(small_machine, monkeypatch):
    monkeypatch.setattr(machine_rates, "fresh_copy_bandwidth", lambda: 5.0)
    monkeypatch.setattr(machine_rates.os, "cpu_count", lambda: 3)
    monkeypatch.setattr(machine_rates, "_array_copy_bandwidth", {1: 7.0, 3: 6.0}.get)
    assert machine_rates.copy_bandwidth() == 7.0
    monkeypatch.setattr(machine_rates, "_on_cpu", lambda: False)
    machine_rates.copy_bandwidth.cache_clear()
    assert machine_rates.copy_bandwidth() == 5.0


def test_threads_copy_all_of_the_array(small_machine, monkeypatch):
    copied = []

    def copyto(target, source):
        target[:] = source
        copied.append(source.size)

    monkeypatch.setattr(machine_rates.np, "copyto", copyto)
    ticks = itertools.count(step=2.0)  # each copy takes 2 seconds
    monkeypatch.setattr(machine_rates.time, "perf_counter", lambda: next(ticks))
    assert machine_rates._array_copy_bandwidth(3) == 2 * 2**12 / 2.0
    assert sum(copied) == (1 + machine_rates._TRIES) * 2**12 // 4
    assert len(copied) == (1 + machine_rates._TRIES) * 3


@pytest.mark.parametrize(
    ("sizes", "expected"), [(["32K", "1024K", "512000K"], 4 * 512000 * 1024), ([], 2**12)]
)
def test_no_cache_holds_what_is_copied(sizes, expected, small_machine, monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr(machine_rates, "_COPIED_BYTES", 2**12)
    for index, size in enumerate(sizes):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(f"{size}\n")
    monkeypatch.setattr(machine_rates.pathlib, "Path", lambda path: tmp_path)
    assert machine_rates._copied_bytes() == expected
