"""What the system reports about a process."""

import time
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks import process_readings

ON_LINUX = Path("/proc/self/clear_refs").exists()


@pytest.mark.skipif(not ON_LINUX, reason="Linux reports it.")
def test_the_memory_of_a_call_is_what_it_takes_at_its_peak(monkeypatch):
    monkeypatch.setattr(process_readings, "_SETTLING_S", 0.0)

    def call():
        np.ones(2**22, "float32")  # 16 MiB, given back before the next are taken
        return np.ones(3 * 2**22, "float32")[:1].copy()

    kept = np.ones(2**24, "float32")  # not the call's
    # Threads of the backend may take memory meanwhile.
    measured = min(process_readings.memory_of_call_mib(call) for _ in range(4))
    assert measured == pytest.approx(48, abs=4)
    assert kept[0] == 1


def test_an_allocator_that_keeps_its_memory_would_report_too_little(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    assert process_readings.memory_of_call_mib(lambda: None) is None


def test_without_a_report_of_the_system_there_is_no_number(monkeypatch):
    def refuse(name):
        raise OSError

    monkeypatch.setattr(process_readings.ctypes, "CDLL", refuse)
    assert process_readings.memory_of_call_mib(lambda: None) is None


@pytest.mark.skipif(not ON_LINUX, reason="Linux reports it.")
def test_the_process_gets_older():
    age = process_readings.seconds_since_process_start()
    time.sleep(0.1)
    assert 0.05 < process_readings.seconds_since_process_start() - age < 10
    assert process_readings.peak_memory_gib() > 0.05
