"""A run whose observations are normalised: recorded, resumed, loaded and scored."""

import numpy as np
import pytest

from keras_s5rl import PPO, load_policy
from tests.support.small_runs import STEPS, metrics_of, newest_arrays, small_config

pytestmark = [pytest.mark.slow, pytest.mark.not_on_tensorflow]

CONFIG = small_config(normalize_observations=True, anneal_learning_rate=False)


def test_a_resumed_run_has_the_statistics_of_one_that_was_not_stopped(tmp_path):
    def fit(agent, folder, updates, **arguments):
        agent.fit(updates * STEPS, run_dir=tmp_path / folder, verbose=False, **arguments)
        return agent

    def make():
        return PPO("PositionOnlyCartPoleEasy", memory="mlp", config=CONFIG)

    fit(make(), "whole", 3)
    fit(make(), "parts", 2)
    stopped = PPO.load(tmp_path / "parts")
    agent = fit(make(), "parts", 3, resume=True)
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")
    assert newest_arrays(tmp_path / "parts") == newest_arrays(tmp_path / "whole")

    for trained, updates in ((stopped, 2), (agent, 3)):
        assert float(trained.policy.normalization.count) == updates * STEPS
    weights = agent.policy.get_weights()
    report = agent.evaluate(4)
    for before, after in zip(weights, agent.policy.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)  # frozen in an evaluation
    agent.policy.set_weights([0 * weight for weight in weights])
    saved = load_policy(tmp_path / "whole" / "policy.keras")
    agent.policy.set_weights(saved.get_weights())
    assert agent.evaluate(4) == report
