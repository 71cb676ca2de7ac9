"""The optimizer of PPO."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_s5rl.ppo.adam import GroupAdam
from keras_s5rl.ppo.config import PPOConfig


def make_optimizer(
    config: PPOConfig,
    total_steps: int,
    variables: Sequence[Any],
    ssm_variables: Sequence[Any] = (),
) -> Any:
    """Returns Adam, built on some variables, with gradients clipped by their global norm.

    Args:
        config: `PPOConfig`.
        total_steps: Environment steps of the whole run; the learning rate falls linearly to 0 at
            their end when annealed.
        variables: List of the Keras variables that it is to train.
        ssm_variables: List of those among them whose learning rate is `config.ssm_learning_rate`,
            if there is one; it is annealed as the other. Defaults to `()`.

    Raises:
        ValueError: If there is such a learning rate and no such variables.
    """
    check_ssm_learning_rate(config, ssm_variables)
    learning_rate = config.learning_rate
    if config.anneal_learning_rate:
        learning_rate = keras.optimizers.schedules.PolynomialDecay(
            config.learning_rate,
            decay_steps=config.gradient_steps(total_steps),
            end_learning_rate=0.0,
        )
    settings = {"epsilon": config.adam_epsilon, "global_clipnorm": config.max_grad_norm}
    if config.ssm_learning_rate is None and config.target_kl is None:
        optimizer = keras.optimizers.Adam(learning_rate, **settings)
    else:
        factor = (config.ssm_learning_rate or config.learning_rate) / config.learning_rate
        slow = {id(variable) for variable in ssm_variables}
        optimizer = GroupAdam(
            learning_rate,
            rate_factors=[factor if id(variable) in slow else 1.0 for variable in variables],
            counts_skipped=config.target_kl is not None,
            **settings,
        )
    optimizer.build(variables)
    return optimizer


def check_ssm_learning_rate(config: PPOConfig, ssm_variables: Sequence[Any]) -> None:
    """Raises a ValueError if a learning rate is given for variables of which there are none."""
    if config.ssm_learning_rate is not None and not ssm_variables:
        raise ValueError(
            "`ssm_learning_rate` should be None where no layer of the memory declares weights of a "
            "state-space model by `ssm_weights`, as those of s5 and lru do: leave it out. "
            f"Received: ssm_learning_rate={config.ssm_learning_rate}"
        )
