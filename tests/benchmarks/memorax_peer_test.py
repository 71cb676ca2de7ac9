"""memorax as it is measured. No number is judged here, only that each is there."""

import keras
import numpy as np
import pytest
from keras import ops

from benchmarks import layer_suite, ppo_suite, process_readings
from keras_s5rl import envs, random
from tests.support.small_runs import SIZES

if keras.config.backend() != "jax":
    pytest.skip("memorax runs on JAX.", allow_module_level=True)
pytest.importorskip("memorax", reason="An extra, `peers`, has it.")
pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("default"),  # its own
]

CONFIG = {**ppo_suite.CASES["small"]["config"], **SIZES}


@pytest.mark.parametrize("memory", ["s5", "gru"])
def test_training_reports_the_numbers_of_the_table(memory, monkeypatch):
    monkeypatch.setitem(
        ppo_suite.CASES,
        "tiny",
        {"memory": "s5", "memory_args": {"state_size": 8}, "config": CONFIG},
    )
    result = ppo_suite.measure_peer("memorax", memory, beside="tiny", repeats=2)
    of_products = {"gflop_per_s", "of_peak", "of_bfloat16_peak"}
    assert set(ppo_suite.COLUMNS) - of_products <= set(result)
    rates = [result[f"steps_per_s_{name}"] for name in ("min", "median", "max")]
    assert rates == sorted(rates) and rates[0] > 0
    assert result["parameters"] > 1000


@pytest.mark.parametrize("memory", ["s5", "gru"])
def test_a_stack_reports_the_numbers_of_the_table(memory, monkeypatch):
    monkeypatch.setattr(process_readings, "_SETTLING_S", 0.0)
    monkeypatch.setitem(
        layer_suite.CASES, "tiny", {"kind": "s5", "time": 6, "batch": 2, "width": 8}
    )
    result = layer_suite.measure_peer("memorax", memory, beside="tiny", repeats=2)
    times = [result[f"gradient_{name}ms"] for name in ("min_", "", "max_")]
    assert times == sorted(times) and times[0] > 0
    if memory == "gru":  # the kernels of three gates, and biases
        assert result["parameters"] == 4 * (2 * 3 * 8 * 8 + 4 * 8)
    else:  # complex B and C of 4 states, eigenvalues and steps, D; two dense layers; a norm
        assert result["parameters"] == 4 * (2 * 2 * 4 * 8 + 3 * 4 + 8 + 2 * (8 * 8 + 8) + 2 * 8)


def test_layers_share_no_weights_and_look_back_to_the_last_reset():
    from benchmarks import memorax_peer

    stack = memorax_peer._stack("s5", num_layers=2, width=8, state_size=8)
    inputs = layer_suite._normal((1, 6, 8))
    mask = ops.convert_to_tensor([[False, False, False, True, False, False]])
    parameters = stack.init(random.key(0), inputs, mask)
    _, outputs = stack.apply(parameters, inputs, mask)
    _, cut = stack.apply(parameters, inputs[:, 3:], mask[:, :3])
    np.testing.assert_allclose(outputs[:, 3:], cut, atol=1e-5)


def test_the_environment_plays_as_the_packages_and_restarts_itself():
    from benchmarks import memorax_peer

    env = envs.make("RepeatPreviousEasy")
    one = memorax_peer.GymnaxEnv(env)
    observation, state = one.reset(random.key(3))
    own_state = env.initial(env.draw_initial(random.key(3), 1))
    for step in range(env.max_episode_steps):
        assert observation == env.observation(own_state)[0]
        action = ops.convert_to_tensor(step % 4, dtype="int32")
        own_state, own_reward, own_end, _ = env.transition(own_state, action[None], {})
        observation, state, reward, done, _ = one.step(random.key(step), state, action)
        assert reward == own_reward[0] and done == own_end[0]
    assert done and state["time"][0] == 0
