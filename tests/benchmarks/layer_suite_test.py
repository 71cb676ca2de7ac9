"""The benchmark of the layers. No number is judged here, only that each is there."""

import types
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks import layer_suite, peers, process_readings, stacks

ON_LINUX = Path("/proc/self/clear_refs").exists()


@pytest.fixture
def few_calls(monkeypatch, small_machine):
    monkeypatch.setattr(process_readings, "_SETTLING_S", 0.0)
    monkeypatch.setattr(process_readings, "_CALLS", 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s5", "s5_bfloat16", "gru", "lstm", "attention"])
def test_a_case_reports_every_number_of_the_table(kind, few_calls):
    result = layer_suite.measure(kind, time=6, batch=2, width=8, repeats=3)
    of_steps = {name for name in layer_suite.COLUMNS if name.startswith("st")}
    assert set(layer_suite.COLUMNS) - of_steps <= set(result)
    assert (result.pop("of_bfloat16_peak") is not None) == (kind == "s5_bfloat16")
    assert result.pop("memory_mib") is None or ON_LINUX
    assert all(value > 0 for name, value in result.items() if name != "compile_s")
    times = [result[f"gradient_{name}ms"] for name in ("min_", "", "max_")]
    assert times == sorted(times)


@pytest.mark.slow
def test_operations_are_those_of_the_products_with_weights(few_calls):
    result = layer_suite.measure("gru", time=6, batch=2, width=8, repeats=1)
    operations = 6 * (2 * 6) * 4 * (2 * 3 * 8 * 8)  # two kernels for three gates
    rate = 1e9 * result["gflop_per_s"]
    assert rate * 1e-3 * result["gradient_ms"] == pytest.approx(operations)


@pytest.mark.slow
def test_a_step_of_s5_has_a_state_of_one_size_and_attention_one_for_each_step():
    sizes = {
        (kind, context): layer_suite.measure(
            kind, time=context, batch=2, width=8, repeats=2, step=True
        )
        for kind in ("s5", "attention")
        for context in (4, 16)
    }
    for result in sizes.values():
        assert 0 < result["step_min_ms"] <= result["step_ms"] <= result["step_max_ms"]
    state = {name: 2**10 * result["state_kib"] for name, result in sizes.items()}
    # float32: four layers of 4 complex numbers; of keys and values of 8, and whether they are.
    assert state["s5", 4] == state["s5", 16] == 4 * 4 * 2 * 4
    assert state["attention", 4] == 4 * 4 * 3 * (2 * 8 + 1)
    assert state["attention", 16] == 4 * 4 * 15 * (2 * 8 + 1)


def test_the_time_of_a_step_is_its_share_of_a_call_of_several(monkeypatch):
    monkeypatch.setattr(layer_suite, "_STEPS_A_CALL", 4)
    monkeypatch.setattr(layer_suite, "seconds_of_calls", lambda call, repeats: [0.4, 0.8, 2.0])
    result = layer_suite.measure("s5", time=5, batch=2, width=8, repeats=3, step=True)
    times = [result[f"step_{name}ms"] for name in ("min_", "", "max_")]
    assert times == pytest.approx([100.0, 200.0, 500.0])


@pytest.mark.slow
def test_a_program_of_steps_takes_that_many():
    layer = stacks.make_stepper("s5", 8, context=5)
    layer.build((None, None, 8))
    inputs, state = layer_suite._normal((2, 8)), layer.get_initial_state(2)
    outputs, last = stacks.step_program(layer, 3)(inputs, state)[::-1]
    assert outputs.shape == (3, 2, 8)
    for index in range(3):
        expected, state = layer.step(inputs, None, state)
        np.testing.assert_allclose(outputs[index], expected, atol=1e-5)
    for found, expected in zip(keras.tree.flatten(last), keras.tree.flatten(state), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_note_gives_how_the_cost_grows():
    case = {"peak_gflop_per_s": 100.0}
    results = {
        f"s5 {time}x1, 64": {
            **case,
            "gradient_ms": 0.5 * time**1.5,
            "memory_mib": None if time == 1024 else 3 * time,
        }
        for time in (1024, 2048, 4096, 16384)
    }
    results |= {
        f"{kind} step {time}x1, 64": {"step_ms": time**power}
        for kind, power in (("s5", 0), ("attention", 0.5))
        for time in (1024, 16384)
    }
    assert layer_suite.note(results).splitlines() == [
        "float32 product peak 100 GFLOP/s",
        "s5: time grows as length to the power 1.50, from 1,024 to 16,384 steps",
        "s5: memory grows as length to the power 1.00, from 2,048 to 16,384 steps",
        "s5: a step that remembers 16,384 steps costs 1.00 times one that remembers 1,024",
        "attention: a step that remembers 16,384 steps costs 4.00 times one that remembers 1,024",
    ]


def test_a_peer_is_measured_at_the_sizes_of_the_case_beside_it(monkeypatch):
    def measure_stack(memory, num_layers, inputs, repeats):
        return {"arguments": (memory, num_layers, tuple(inputs.shape), repeats)}

    adapter = types.SimpleNamespace(measure_stack=measure_stack)
    monkeypatch.setattr(peers, "load", {"memorax": adapter}.get)
    case = layer_suite.PEER_CASES["memorax_gru 1024x8, 256"]
    result = layer_suite.measure_peer(**case, repeats=3)
    assert result == {"arguments": ("gru", 4, (8, 1024, 256), 3)}


def test_the_note_compares_times_with_those_of_peers():
    results = {
        "s5 256x16, 256": {"gradient_ms": 100.0},
        "memorax_s5 256x16, 256": {"gradient_ms": 250.0},
    }
    assert layer_suite.note(results) == (
        "s5 256x16, 256: 2.50 times as fast as memorax_s5 256x16, 256"
    )
