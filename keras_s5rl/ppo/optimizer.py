"""The optimizer of PPO."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_s5rl.ppo.config import PPOConfig


def make_optimizer(config: PPOConfig, total_steps: int, variables: Sequence[Any]) -> Any:
    """Returns Adam, built on some variables, with gradients clipped by their global norm.

    Args:
        config: `PPOConfig`.
        total_steps: Environment steps of the whole run; the learning rate falls linearly to 0 at
            their end when annealed.
        variables: List of the Keras variables that it is to train.
    """
    learning_rate = config.learning_rate
    if config.anneal_learning_rate:
        learning_rate = keras.optimizers.schedules.PolynomialDecay(
            config.learning_rate,
            decay_steps=config.gradient_steps(total_steps),
            end_learning_rate=0.0,
        )
    optimizer = keras.optimizers.Adam(
        learning_rate, epsilon=config.adam_epsilon, global_clipnorm=config.max_grad_norm
    )
    optimizer.build(variables)
    return optimizer
