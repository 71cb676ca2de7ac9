"""PPO in environments of Gymnasium, in each mode of autoreset."""

import keras
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.envs.gymnasium.host_environments import EnvironmentFailedError, HostEnvironments
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.learners import make_learner
from keras_s5rl.ppo.optimizer import make_optimizer
from keras_s5rl.ppo.policy import make_policy
from tests.envs.gymnasium.counting_env import BrokenEnv, CountingEnv

pytestmark = pytest.mark.not_on_tensorflow

SMALL = {"num_envs": 4, "num_steps": 16, "width": 8, "num_layers": 1, "num_minibatches": 2}


def learner_of(env, memory="mlp", **settings):
    config = PPOConfig(**SMALL | {"encoder_sizes": (8,), "head_sizes": (8,)} | settings)
    view = envs.AgentView(HostEnvironments(env, config.num_envs))
    policy = make_policy(view, memory, config, seed=0)
    optimizer = make_optimizer(config, 10_000, policy.trainable_variables)
    return make_learner(view, policy, optimizer, config)


def to_numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def to_tensors(structure):
    return keras.tree.map_structure(ops.convert_to_tensor, structure)


@pytest.mark.slow
@pytest.mark.parametrize("mode", AutoresetMode)
def test_the_critic_stands_for_the_return_behind_a_time_limit_and_for_nothing_else(mode):
    learner = learner_of(SyncVectorEnv([CountingEnv] * 4, autoreset_mode=mode))
    state = learner.initial_state(random.key(0))
    played, rollout = to_numpy(backend.compile(learner.rollout)(state, random.key(1)))

    def critic(observation):
        tensor = ops.convert_to_tensor(observation[None].astype("float32"))
        _, value, _ = learner.policy.step(tensor, ops.convert_to_tensor([False]), [])
        return float(ops.convert_to_numpy(value)[0])

    counts = {"terminated": 0, "truncated": 0}
    valid = rollout.get("valid", np.ones((16, 4), bool))
    for step, env in zip(*np.nonzero(valid[:-1]), strict=True):
        time, length = rollout["observation"][step, env, :2]
        action = rollout["action"][step, env]
        assert rollout["reward"][step, env] == 10.0 * (time + 1) + action
        over, odd = time + 1 == length, length % 2 == 1
        assert rollout["done"][step, env] == over
        assert rollout["discount"][step, env] == (not (over and odd))
        if over and not odd:
            counts["truncated"] += 1
            after = [length, length, *np.eye(3)[action], 1, 0]
            expected = critic(np.array(after))
        else:
            counts["terminated"] += over
            expected = rollout["value"][step + 1, env]
        assert rollout["next_value"][step, env] == pytest.approx(expected, abs=1e-5)
    assert min(counts.values()) > 1
    if mode == AutoresetMode.NEXT_STEP:  # every end but those of the last step, one step later
        np.testing.assert_array_equal(~valid[1:], rollout["done"][:-1])
        np.testing.assert_array_equal(rollout["reset"][1:][~valid[:-1]], True)
    else:
        assert "valid" not in rollout


@pytest.mark.slow
def test_steps_that_belong_to_no_episode_train_nothing():
    learner = learner_of(SyncVectorEnv([CountingEnv] * 4), "gru", normalize_rewards=True)
    state = learner.initial_state(random.key(0))
    _, rollout = to_numpy(backend.compile(learner.rollout)(state, random.key(1)))
    invalid = ~rollout["valid"]
    assert invalid.sum() > 4

    @backend.compile
    def update(rollout):
        batch = learner.training_batch(rollout, state["memory"])
        return learner.update(state["trainable"], state["optimizer"], batch, random.key(2))

    results = []
    for garbage in (0.0, 1e4):
        changed = dict(rollout)
        for name in ("reward", "log_prob", "next_value"):
            changed[name] = rollout[name] + np.where(invalid, garbage, 0.0).astype("float32")
        trainable, _, metrics = to_numpy(update(to_tensors(changed)))
        results.append((trainable, metrics))
    keras.tree.map_structure(np.testing.assert_array_equal, *results)


@pytest.mark.slow
def test_an_iteration_that_fails_has_not_happened_and_the_next_one_begins_new_episodes():
    BrokenEnv.steps = 0
    learner = learner_of(BrokenEnv)
    state = learner.initial_state(random.key(0))
    iterate = learner.compile(state)
    with pytest.raises(EnvironmentFailedError, match="the sensor fell off"):
        iterate(state)
    first, _ = iterate(state)
    second, metrics = iterate(first)
    assert int(second["environment"]["num_steps"]) == 32 and np.isfinite(float(metrics["loss"]))
    # Going back to a state begins the episodes that it began before.
    again, _ = iterate(first)
    once_more, _ = iterate(first)
    keras.tree.map_structure(np.testing.assert_array_equal, to_numpy(again), to_numpy(once_more))
