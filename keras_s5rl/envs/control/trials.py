"""Trials: a context is made of several of them, one after the other, in one episode.

A state holds where each environment is:

| entry | shape | |
| --- | --- | --- |
| `trial` | int32 `(num_envs,)` | trials completed so far |
| `trial_step` | int32 `(num_envs,)` | steps taken in the trial under way, 0 at its start |
| `trial_returns` | float32 `(num_envs, num_trials)` | sum of rewards of each trial so far |
"""

import keras
import numpy as np
from keras import ops

from keras_s5rl.envs.arguments import MAX_EPISODE_STEPS, check_positive_integer
from keras_s5rl.typing import Tensor, Tensors

_MAX_TRIALS = 10_000
_NAMES = ("trial", "trial_step", "trial_returns")


def check_sizes(num_trials: int, trial_steps: int) -> None:
    """Raises ValueError unless an episode can have `num_trials` trials of `trial_steps` steps."""
    check_positive_integer("num_trials", num_trials, _MAX_TRIALS)
    check_positive_integer("trial_steps", trial_steps)
    if num_trials * trial_steps > MAX_EPISODE_STEPS:
        raise ValueError(
            f"`num_trials * trial_steps` should be at most {MAX_EPISODE_STEPS:,}. Received: "
            f"num_trials={num_trials}, trial_steps={trial_steps}"
        )


def begin(num_envs: int, num_trials: int) -> Tensors:
    """Returns the entries of a state at the start of the first trial."""
    return {
        "trial": ops.zeros((num_envs,), dtype="int32"),
        "trial_step": ops.zeros((num_envs,), dtype="int32"),
        "trial_returns": ops.zeros((num_envs, num_trials), dtype="float32"),
    }


def advance(state: Tensors, reward: Tensor, trial_over: Tensor) -> Tensors:
    """Counts a step.

    Args:
        state: Dict of tensors that holds the entries.
        reward: float32 tensor of shape `(num_envs,)`, of the step.
        trial_over: bool tensor of shape `(num_envs,)`, whether the trial ended with the step.

    Returns:
        Dict of the entries after the step. Where the trial is over they are those of the start of
        the next one.
    """
    trial, returns = state["trial"], state["trial_returns"]
    under_way = ops.equal(np.arange(returns.shape[1], dtype="int32"), ops.expand_dims(trial, 1))
    return {
        "trial": trial + ops.cast(trial_over, "int32"),
        "trial_step": ops.where(trial_over, 0, state["trial_step"] + 1),
        "trial_returns": returns + ops.where(under_way, ops.expand_dims(reward, 1), 0.0),
    }


def start_of_trial(starts: Tensors, trial: Tensor) -> Tensors:
    """Takes the start of a trial from those of all, or the last one past the last trial.

    Args:
        starts: Structure of tensors of shape `(num_envs, num_starts, ...)`.
        trial: int32 tensor of shape `(num_envs,)`.

    Returns:
        Structure of tensors of shape `(num_envs, ...)`.
    """

    def take(starts: Tensor) -> Tensor:
        row = ops.minimum(trial, starts.shape[1] - 1)
        row = ops.reshape(row, (-1, *[1] * (len(starts.shape) - 1)))
        return ops.squeeze(ops.take_along_axis(starts, row, axis=1), 1)

    return keras.tree.map_structure(take, starts)


def info(state: Tensors) -> Tensors:
    """Returns the entries of a state as they are."""
    return {name: state[name] for name in _NAMES}


def start_flag(state: Tensors) -> Tensor:
    """Returns 1 where a trial starts, else 0, as a column: float32 `(num_envs, 1)`."""
    return ops.expand_dims(ops.cast(ops.equal(state["trial_step"], 0), "float32"), 1)
