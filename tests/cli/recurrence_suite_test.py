"""The benchmark of the recurrence. No number is judged here, only that each is there."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl.cli import machine_rates, recurrence_suite
from keras_s5rl.ops import linear_recurrence

ON_JAX = keras.config.backend() == "jax"


@pytest.fixture
def small_machine(monkeypatch):
    monkeypatch.setattr(machine_rates, "_COPIED_BYTES", 2**12)
    machine_rates.copy_bandwidth.cache_clear()
    yield
    machine_rates.copy_bandwidth.cache_clear()


def test_a_case_reports_every_number_of_the_table(small_machine):
    result = recurrence_suite.measure(batch=2, time=8, features=4, repeats=2)
    assert set(recurrence_suite.COLUMNS) <= set(result)
    for name, value in result.items():
        if name.startswith("paper") and not ON_JAX:
            assert value is None, name
        elif not name.endswith("compile_s"):  # the difference of two short times
            assert value > 0, name
    assert result["bound_ms"] == pytest.approx(40e-6 * 2 * 8 * 4 / result["copy_gb_per_s"])
    assert "GB/s" in recurrence_suite.note({"case": result})


@pytest.mark.skipif(not ON_JAX, reason="The paper's scan is measured on JAX alone.")
def test_the_scan_that_is_measured_as_the_papers_solves_the_same_recurrence():
    (decay, inputs, state), _ = recurrence_suite._arguments(3, 13, 4)
    resets = ops.convert_to_tensor(np.random.default_rng(1).random((3, 13)) < 0.3)
    expected = linear_recurrence(decay, inputs, state, resets)
    found = recurrence_suite._paper_scan(decay, inputs, state, resets)
    np.testing.assert_allclose(found, expected, atol=1e-5)
