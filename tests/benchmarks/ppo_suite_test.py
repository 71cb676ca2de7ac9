"""The benchmark of training. No number is judged here, only that each is there."""

import math
import statistics
import types

import keras
import pytest

from benchmarks import peers, ppo_suite
from tests.support.small_runs import SIZES

TINY = {"memory": "mlp", "config": {**ppo_suite.CASES["small"]["config"], **SIZES}}


def test_the_cases_are_those_that_were_agreed():
    sizes = {
        name: [case["memory"], *(case["config"][n] for n in ("num_envs", "num_steps", "width"))]
        for name, case in ppo_suite.CASES.items()
    }
    assert sizes == {
        "small": ["s5", 64, 128, 64],
        "large": ["s5", 16, 256, 256],
        "large_bfloat16": ["s5", 16, 256, 256],
        "small_gru": ["gru", 64, 128, 64],
        "small_lstm": ["lstm", 64, 128, 64],
        "small_mlp": ["mlp", 64, 128, 64],
        "large_gru": ["gru", 16, 256, 256],
        "small_two_devices": ["s5", 64, 128, 64],
        "large_two_devices": ["s5", 16, 256, 256],
        "large_bfloat16_two_devices": ["s5", 16, 256, 256],
        "small_gru_two_devices": ["gru", 64, 128, 64],
        "small_two_processes": ["s5", 64, 128, 64],
    }


def test_cases_of_two_devices_differ_from_the_others_in_nothing_else():
    for name in ("small", "large", "large_bfloat16", "small_gru"):
        case = ppo_suite.CASES[f"{name}_two_devices"]
        config = dict(case["config"])
        assert config.pop("num_devices") == 2
        assert {**case, "config": config} == ppo_suite.CASES[name]


def test_two_processes_are_compared_with_one_of_the_same_devices_and_with_one_device():
    case = dict(ppo_suite.CASES["small_two_processes"])
    assert case.pop("num_processes") == 2 and case == ppo_suite.CASES["small_two_devices"]
    rates = {"small": 100.0, "small_two_devices": 200.0, "small_two_processes": 150.0}
    results = {
        name: {"steps_per_s_median": rate, "peak_gflop_per_s": 1.0} for name, rate in rates.items()
    }
    assert ppo_suite.note(results).splitlines()[1:] == [
        "small_two_processes: 1.50 times as fast as small",
        "small_two_processes: 0.75 times as fast as small_two_devices",
    ]


def test_the_case_in_bfloat16_is_the_large_one_but_for_its_policy():
    config = dict(ppo_suite.CASES["large_bfloat16"]["config"])
    assert config.pop("dtype_policy") == "mixed_bfloat16"
    assert config == ppo_suite.CASES["large"]["config"]


@pytest.mark.slow
def test_a_case_reports_every_number_of_the_table(small_machine):
    result = ppo_suite.measure(**TINY, repeats=3)
    assert set(ppo_suite.COLUMNS) <= set(result)
    assert result["of_bfloat16_peak"] is None
    numbers = [value for value in result.values() if isinstance(value, float)]
    assert len(numbers) >= 10
    assert all(math.isfinite(number) and number > 0 for number in numbers)
    rates = [result[f"steps_per_s_{name}"] for name in ("min", "median", "max")]
    assert rates == sorted(rates)
    assert result["start_to_first_update_s"] > result["compile_s"]
    assert result["settings"]["memory"] == "mlp" and result["settings"]["width"] == 16


class Agent:
    """A stand-in for PPO whose updates take the times that are wanted."""

    env, num_parameters = "RepeatPreviousEasy", 9
    rates = {1: [2.0], 5: [50.0, 100.0, 400.0, 200.0]}
    kernel, bias = ((3, 4), "kernel"), ((2, 4), "bias")
    weights = [keras.Variable(keras.ops.zeros(shape), name=name) for shape, name in (kernel, bias)]
    policy = types.SimpleNamespace(trainable_weights=weights)

    def __init__(self, env, memory, config, memory_args):
        self.config = types.SimpleNamespace(
            steps_per_update=100, num_epochs=config.num_epochs, dtype_policy=config.dtype_policy
        )

    def fit(self, total_steps, log_every, verbose):
        return types.SimpleNamespace(history={"steps_per_s": self.rates[total_steps // 100]})


@pytest.fixture
def timed_agent(monkeypatch, small_machine):
    from keras_s5rl import training

    monkeypatch.setattr(training.ppo, "PPO", Agent)


def test_the_median_is_of_the_updates_after_the_first_two(timed_agent):
    result = ppo_suite.measure(**TINY, repeats=3)
    names = ("steps_per_s_min", "steps_per_s_median", "steps_per_s_max", "parameters")
    assert [result[name] for name in names] == [100, 200, 400, 9]
    assert statistics.median([100, 400, 200]) == 200
    assert result["compile_s"] == pytest.approx(100 / 2 - 100 / 200)


def test_operations_are_those_of_a_rollout_and_of_the_epochs_over_it(timed_agent):
    # 12 entries: 2 operations each forward in the rollout, 6 in each of 4 epochs.
    assert ppo_suite.operations_per_step(12, num_epochs=4) == 12 * 2 + 12 * 6 * 4
    result = ppo_suite.measure(**TINY, repeats=3)
    assert result["gflop_per_s"] == pytest.approx(1e-9 * 200 * 12 * 26)
    assert result["of_peak"] == pytest.approx(result["gflop_per_s"] / result["peak_gflop_per_s"])


def test_a_policy_in_bfloat16_stands_under_the_peak_of_bfloat16_products(timed_agent):
    config = {**TINY["config"], "dtype_policy": "mixed_bfloat16"}
    result = ppo_suite.measure("s5", config, repeats=3)
    expected = result["gflop_per_s"] / result["bfloat16_peak_gflop_per_s"]
    assert result["of_bfloat16_peak"] == pytest.approx(expected)


def test_a_peer_is_measured_in_the_configuration_of_the_case_beside_it(monkeypatch):
    def measure_training(memory, config, memory_args, repeats):
        return {"memory": memory, "config": config, "sizes": memory_args, "repeats": repeats}

    adapter = types.SimpleNamespace(measure_training=measure_training)
    monkeypatch.setattr(peers, "load", {"memorax": adapter}.get)
    result = ppo_suite.measure_peer(**ppo_suite.PEER_CASES["large_memorax_gru"], repeats=3)
    assert result.pop("import_s") >= 0
    expected = {"config": ppo_suite.CASES["large"]["config"], "sizes": {"state_size": 256}}
    assert result == {"memory": "gru", "repeats": 3, **expected}


def test_the_note_gives_how_the_peers_compare_and_what_they_ran():
    results = {
        "small": {"steps_per_s_median": 600.0, "peak_gflop_per_s": 100.0},
        "small_memorax_s5": {"steps_per_s_median": 100.0},
    }
    assert ppo_suite.note(results).splitlines() == [
        "float32 product peak 100 GFLOP/s",
        "small: 6.00 times as fast as small_memorax_s5",
        peers.PEERS["memorax"].about,
    ]
