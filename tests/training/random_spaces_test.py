"""PPO over random spaces: it trains, or it refuses them and says why."""

import re

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from keras_s5rl import PPO, PPOConfig
from tests.support.any_spaces import AnySpaces
from tests.support.random_spaces import nested

pytestmark = [pytest.mark.slow, pytest.mark.not_on_tensorflow]

CONFIG = PPOConfig(
    **{"num_envs": 2, "num_steps": 2, "num_minibatches": 1, "num_epochs": 1},
    **{"width": 4, "num_layers": 1, "encoder_sizes": (4,), "head_sizes": (4,)},
)
SETTINGS = {
    **{"deadline": None, "derandomize": True, "database": None},
    "suppress_health_check": list(HealthCheck),
}
REASON = re.compile(
    r"`(AnySpaces\.(observation|action)_space|action_space.*|action_mask)`.* should .*Received: ",
    re.DOTALL,
)
outcomes = {"trained": 0, "refused": 0}


def train_or_refuse(observation_space, action_space):
    try:
        agent = PPO(AnySpaces(observation_space, action_space), memory="mlp", config=CONFIG)
    except ValueError as error:
        assert REASON.match(str(error))
        outcomes["refused"] += 1
        return
    agent.fit(2 * CONFIG.steps_per_update, verbose=False)
    assert agent.update == 2
    assert all(np.isfinite(weight).all() for weight in agent.policy.get_weights())
    outcomes["trained"] += 1


# Each pair is a program of its own, which takes JAX seconds to compile and torch none.
NUM_PAIRS = 30 if keras.backend.backend() == "torch" else 6


def test_random_pairs_of_spaces_are_trained_or_refused_with_the_reason():
    @settings(max_examples=NUM_PAIRS, **SETTINGS)
    @given(
        nested(unsupported=True), nested(dtypes=("float32", "float32", "int32"), unsupported=True)
    )
    def run(observation_space, action_space):
        train_or_refuse(observation_space, action_space)

    run()
    assert outcomes["trained"] >= NUM_PAIRS / 3 and outcomes["refused"] >= NUM_PAIRS / 10
