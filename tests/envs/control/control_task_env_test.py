"""`ControlTaskEnv`: replays, what an action and an episode are, spaces, arguments."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.envs.control.control_task_env import ControlTaskEnv
from keras_s5rl.envs.control.tasks import TASKS
from tests.envs.control.recorded import load
from tests.support.differentiate import BACKEND

NUM_STEPS = 100
SIZES = {
    "pendulum_swingup": (3, 1),
    "cartpole_balance": (5, 1),
    "cartpole_balance_sparse": (5, 1),
    "cartpole_swingup": (5, 1),
    "cartpole_swingup_sparse": (5, 1),
    "cartpole_two_poles": (8, 1),
    "cartpole_three_poles": (11, 1),
    "acrobot_swingup": (6, 1),
    "acrobot_swingup_sparse": (6, 1),
    "reacher_easy": (6, 2),
    "reacher_hard": (6, 2),
    "point_mass_easy": (4, 2),
    "point_mass_hard": (4, 2),
}


def arrays(structure):
    return keras.tree.map_structure(lambda x: np.array(ops.convert_to_numpy(x)), structure)


def test_every_task_is_an_environment_by_its_name():
    assert set(TASKS) == set(SIZES) <= set(envs.registered_envs())
    for name, (observation_size, num_controls) in SIZES.items():
        env = envs.make(name)
        assert isinstance(env, ControlTaskEnv) and env.task == name
        assert env.observation_space.shape == (observation_size,)
        assert env.action_space.shape == (num_controls,)
        assert env.max_episode_steps == 1000


@pytest.mark.slow
# One of each integrator; one that draws a target, one that draws directions.
@pytest.mark.parametrize("name", ["reacher_hard", "point_mass_hard", "cartpole_swingup"])
def test_recorded_draws_are_replayed(name):
    data, env = load(name), envs.make(name)
    draws = {"qpos": data["qpos"][:, 0], "qvel": data["qvel"][:, 0]}
    draws |= {key: data[key] for key in ("target", "tendon_coef") if key in data}
    state = env.initial(keras.tree.map_structure(ops.convert_to_tensor, draws))
    fresh = env.initial(env.draw_initial(random.key(0), 2))
    assert arrays(keras.tree.map_structure(ops.shape, state)) == arrays(
        keras.tree.map_structure(ops.shape, fresh)
    )

    def run(state, actions):
        def step(state, action):
            state, reward, terminated, truncated = env.transition(state, action, {})
            return state, (env.observation(state), reward, terminated, truncated)

        return env.observation(state), *backend.scan(step, state, actions)

    actions = ops.convert_to_tensor(data["action"][:, :NUM_STEPS].swapaxes(0, 1), dtype="float32")
    first, state, rows = arrays(backend.compile(run)(state, actions))
    observations, rewards, terminated, truncated = rows
    np.testing.assert_allclose(first, data["obs"][:, 0], atol=1e-6)
    np.testing.assert_allclose(
        observations, data["obs"][:, 1 : 1 + NUM_STEPS].swapaxes(0, 1), atol=5e-5
    )
    np.testing.assert_allclose(rewards, data["reward"][:, :NUM_STEPS].T, atol=1e-5)
    assert not terminated.any() and not truncated.any()
    np.testing.assert_array_equal(state["time"], NUM_STEPS)


@pytest.mark.slow
def test_an_action_is_clipped_held_and_paid_by_the_mean_of_its_steps():
    single = envs.make("point_mass_hard")
    repeated = envs.make("point_mass_hard", action_repeat=3, max_episode_steps=2)
    draws = single.draw_initial(random.key(1), 16)
    draws["qpos"] = 0.1 * draws["qpos"]
    steps = [
        lambda *arguments, env=env: env.transition(*arguments, {}) for env in (single, repeated)
    ]
    # A few steps alone: compiling pays only on JAX.
    step_once, step_thrice = map(backend.compile, steps) if BACKEND == "jax" else steps
    actions = np.random.default_rng(0).uniform(-2, 2, (2, 16, 2)).astype("float32")
    expected, ours = single.initial(draws), repeated.initial(draws)
    for time, action in enumerate(actions):
        rewards = []
        for _ in range(3):
            clipped = ops.convert_to_tensor(np.clip(action, -1, 1))
            expected, reward, _, _ = step_once(expected, clipped)
            rewards.append(arrays(reward))
        action = ops.convert_to_tensor(action)
        ours, reward, terminated, truncated = step_thrice(ours, action)
        for key in ("qpos", "qvel", "tendon_coef"):
            np.testing.assert_allclose(arrays(ours[key]), arrays(expected[key]), rtol=1e-5)
        np.testing.assert_allclose(arrays(reward), np.mean(rewards, axis=0), rtol=1e-5)
        assert np.mean(rewards) > 0
        np.testing.assert_array_equal(arrays(terminated), False)
        np.testing.assert_array_equal(arrays(truncated), time == 1)
        np.testing.assert_array_equal(arrays(repeated.discount(ours)), 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "cartpole"}, "`task` should be one of pendulum_swingup.*Received: task='cart"),
        ({"max_episode_steps": 0}, "`max_episode_steps` should be a positive integer"),
        ({"action_repeat": 1.5}, "`action_repeat` should be a positive integer"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ControlTaskEnv(**{"task": "cartpole_swingup", **arguments})
