import numpy as np
import pytest
from keras import ops

from keras_s5rl.ppo.reward_normalization import initial_returns, normalize_rewards

pytestmark = pytest.mark.not_on_tensorflow

DISCOUNT = 0.9


def numpy_normalized(rollouts, num_tasks):
    """The same in plain loops; yields the normalised rewards of each rollout."""
    num_envs = rollouts[0]["reward"].shape[1]
    carried, square, weight = np.zeros(num_envs), np.zeros(num_tasks), np.zeros(num_tasks)
    for rollout in rollouts:
        square, weight = 0.99 * square, 0.99 * weight
        for t in range(rollout["reward"].shape[0]):
            for env in range(num_envs):
                carried[env] += rollout["reward"][t, env]
                square[rollout["task"][t, env]] += 0.01 * carried[env] ** 2
                weight[rollout["task"][t, env]] += 0.01
                goes_on = rollout["discount"][t, env] and not rollout["done"][t, env]
                carried[env] *= DISCOUNT if goes_on else 0.0
        size = np.sqrt(square / np.maximum(weight, 1e-8))
        yield rollout["reward"] / np.maximum(size, 1e-3)[rollout["task"]]


def random_rollout(generator, num_steps=7, num_envs=5, num_tasks=3):
    shape = (num_steps, num_envs)
    task = np.broadcast_to(generator.integers(num_tasks, size=num_envs), shape)
    return {
        "reward": (generator.normal(size=shape) * 10.0**task).astype("float32"),
        "discount": (generator.random(shape) > 0.2).astype("float32"),
        "done": generator.random(shape) > 0.8,
        "task": task.astype("int32"),
    }


def normalized(rollouts, num_tasks):
    returns = initial_returns(rollouts[0]["reward"].shape[1], num_tasks)
    for rollout in rollouts:
        arguments = [
            ops.convert_to_tensor(rollout[k]) for k in ("reward", "discount", "done", "task")
        ]
        returns, reward = normalize_rewards(returns, *arguments, DISCOUNT)
        yield ops.convert_to_numpy(reward)


def test_rewards_are_divided_by_the_size_of_the_returns_of_their_task_over_all_rollouts():
    generator = np.random.default_rng(0)
    rollouts = [random_rollout(generator) for _ in range(3)]
    for found, expected in zip(normalized(rollouts, 4), numpy_normalized(rollouts, 4), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_task_without_a_reward_so_far_keeps_zeros():
    rollout = random_rollout(np.random.default_rng(1))
    rollout["reward"] = np.zeros_like(rollout["reward"])
    (found,) = normalized([rollout], 3)
    np.testing.assert_array_equal(found, 0.0)


def test_a_step_that_belongs_to_no_episode_does_not_count():
    rewards = {"reward": np.array([[4.0], [0.0], [4.0]], "float32")}
    rollout = {**rewards, "discount": np.ones((3, 1), "float32"), "task": np.zeros((3, 1), "int32")}
    rollout["done"] = np.array([[True], [False], [True]])
    arguments = [ops.convert_to_tensor(rollout[k]) for k in ("reward", "discount", "done", "task")]
    valid = ops.convert_to_tensor([[True], [False], [True]])
    _, found = normalize_rewards(initial_returns(1, 1), *arguments, DISCOUNT, valid)
    np.testing.assert_allclose(ops.convert_to_numpy(found), [[1.0], [0.0], [1.0]], rtol=1e-5)
