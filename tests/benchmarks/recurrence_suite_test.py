"""The benchmark of the recurrence. No number is judged here, only that each is there."""

import keras
import numpy as np
import pytest
from keras import ops

from benchmarks import recurrence_suite
from keras_s5rl.ops import linear_recurrence

ON_JAX = keras.config.backend() == "jax"


@pytest.mark.slow
def test_a_case_reports_every_number_of_the_table(small_machine):
    result = recurrence_suite.measure(batch=2, time=8, features=4, repeats=2)
    assert set(recurrence_suite.COLUMNS) <= set(result)
    for name, value in result.items():
        if name.startswith("pallas") or (name.startswith("paper") and not ON_JAX):
            assert value is None, name
        elif not name.endswith("compile_s"):  # the difference of two short times
            assert value > 0, name
    moved = 40 * 2 * 8 * 4  # bytes
    assert result["bound_ms"] == pytest.approx(1e-6 * moved / result["copy_gb_per_s"])
    assert result["auto_gb_per_s"] == pytest.approx(1e-6 * moved / result["auto_gradient_ms"])
    assert result["auto_of_bound"] == pytest.approx(
        result["auto_gb_per_s"] / result["copy_gb_per_s"]
    )
    for name in ("auto_forward", "sequential_gradient"):
        times = [result[f"{name}_{kind}ms"] for kind in ("min_", "", "max_")]
        assert times == sorted(times)


def test_the_note_gives_both_bandwidths():
    results = {
        str(i): {"copy_gb_per_s": copy, "fresh_copy_gb_per_s": copy / 4}
        for i, copy in enumerate((20.0, 24.0, 40.0))
    }
    assert "bandwidth 24.0 GB/s, read and written; 6.0 GB/s" in recurrence_suite.note(results)


@pytest.mark.slow
@pytest.mark.skipif(not ON_JAX, reason="The paper's scan is measured on JAX alone.")
def test_the_scan_that_is_measured_as_the_papers_solves_the_same_recurrence():
    (decay, inputs, state), _ = recurrence_suite._arguments(3, 13, 4)
    resets = ops.convert_to_tensor(np.random.default_rng(1).random((3, 13)) < 0.3)
    expected = linear_recurrence(decay, inputs, state, resets)
    found = recurrence_suite._paper_scan(decay, inputs, state, resets)
    np.testing.assert_allclose(found, expected, atol=1e-5)
