"""The benchmark of the layers. No number is judged here, only that each is there."""

import pytest

from keras_s5rl.cli import layer_suite, machine_rates


@pytest.fixture
def small_machine(monkeypatch):
    monkeypatch.setattr(machine_rates, "_ROWS", 16)
    machine_rates.product_peak.cache_clear()
    yield
    machine_rates.product_peak.cache_clear()


@pytest.mark.parametrize("kind", ["s5", "s5_bfloat16", "gru", "lstm", "attention"])
def test_a_case_reports_every_number_of_the_table(kind, small_machine):
    result = layer_suite.measure(kind, time=6, batch=2, width=8, repeats=3)
    assert set(layer_suite.COLUMNS) <= set(result)
    assert all(value > 0 for name, value in result.items() if name != "compile_s")
    times = [result[f"gradient_{name}ms"] for name in ("min_", "", "max_")]
    assert times == sorted(times)


def test_operations_are_those_of_the_products_with_weights(small_machine):
    result = layer_suite.measure("gru", time=6, batch=2, width=8, repeats=1)
    operations = 6 * (2 * 6) * 4 * (2 * 3 * 8 * 8 + 2 * 3 * 8)  # kernels and the pairs of biases
    rate = 1e9 * result["gflop_per_s"]
    assert rate * 1e-3 * result["gradient_ms"] == pytest.approx(operations)


def test_the_note_tells_how_the_cost_grows():
    case = {"peak_gflop_per_s": 100.0}
    results = {
        f"s5 {time}x1, 64": {**case, "gradient_ms": 0.5 * time**1.5} for time in (1024, 4096, 16384)
    }
    assert "s5: time grows as length to the power 1.50, from 1,024 to 16,384 steps" in (
        layer_suite.note(results)
    )
    assert "float32 product peak 100 GFLOP/s" in layer_suite.note(results)
