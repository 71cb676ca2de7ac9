import keras
import numpy as np
import pytest

from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.optimizer import make_optimizer


def test_annealed_learning_rate_is_half_in_the_middle_and_0_at_the_end():
    config = PPOConfig(num_envs=8, num_steps=24, learning_rate=1e-3)
    steps = config.gradient_steps(10_000)
    variables = [keras.Variable(np.zeros(1, "float32"))]
    optimizer, rates = make_optimizer(config, 10_000, variables), []
    for step in (0, steps // 2, steps):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [1e-3, 5e-4, 0], rtol=1e-2, atol=1e-9)
    constant = make_optimizer(PPOConfig(anneal_learning_rate=False), 10_000, variables)
    assert float(constant.learning_rate) == pytest.approx(2e-3)
