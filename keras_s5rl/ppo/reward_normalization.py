"""Rewards divided by the size of the returns that they add up to, task by task."""

from typing import Any

from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Tensor

_DECAY = 0.99  # of the running mean, an update
_LEAST = 1e-3  # size of returns below which rewards are no longer enlarged, in units of the reward


def initial_returns(num_envs: int, num_tasks: int) -> dict[str, Tensor]:
    """Returns what is known of the returns before the first rollout.

    Returns:
        Dict of float32 tensors: `return` of shape `(num_envs,)`, the rewards of each environment's
        episode so far, discounted; `square` and `weight` of shape `(num_tasks,)`, whose ratio is
        the mean square of the returns of each task.
    """
    return {
        "return": ops.zeros((num_envs,), dtype="float32"),
        "square": ops.zeros((num_tasks,), dtype="float32"),
        "weight": ops.zeros((num_tasks,), dtype="float32"),
    }


def normalize_rewards(
    returns: dict[str, Tensor],
    reward_t: Tensor,
    discount_t: Tensor,
    done_t: Tensor,
    task_t: Tensor,
    discount: float,
    valid_t: Tensor | None = None,
) -> tuple[dict[str, Tensor], Tensor]:
    """Divides rewards by the root mean square of the discounted returns of their task.

        G_t = reward_t + discount * discount_{t-1} * (1 - done_{t-1}) * G_{t-1}
        normalized_t = reward_t / rms(G)

    so that a task with small or rare rewards counts as much to the critic as any other. The mean is
    over time and environments (of all devices), with a weight of 0.99 an update for what was
    before.

    Args:
        returns: Dict as of `initial_returns`, after the rollout before.
        reward_t: float32 tensor `(time, num_envs)`.
        discount_t: float32 tensor `(time, num_envs)`, 0 where the return ends with step t, else 1.
        done_t: bool tensor `(time, num_envs)`, whether the episode ends with step t.
        task_t: int32 tensor `(time, num_envs)`, the task of step t.
        discount: Number from 0 to 1 (gamma).
        valid_t: bool tensor `(time, num_envs)`, which steps count in the mean; `None` for all.
            Defaults to `None`.

    Returns:
        `(returns, reward_t)`: the dict after the rollout, and the normalised rewards.

    Reference:
    - Engstrom et al., "Implementation matters in deep policy gradients", 2020, section 3, whose
      divisor is the standard deviation, which vanishes where the return has become constant.
    """
    decay_t = discount * discount_t * ops.cast(ops.logical_not(done_t), "float32")

    def step(carried: Tensor, inputs: Any) -> tuple[Tensor, Tensor]:
        reward, decay = inputs
        value = reward + carried
        return decay * value, value

    carried, return_t = backend.scan(step, returns["return"], (reward_t, decay_t))
    member = ops.one_hot(task_t, returns["square"].shape[0], dtype="float32")
    counted = member if valid_t is None else ops.where(valid_t[..., None], member, 0.0)
    square, weight = backend.devices.sum(
        [
            ops.sum(counted * ops.square(return_t)[..., None], axis=(0, 1)),
            ops.sum(counted, axis=(0, 1)),
        ]
    )
    square = _DECAY * returns["square"] + (1.0 - _DECAY) * square
    weight = _DECAY * returns["weight"] + (1.0 - _DECAY) * weight
    size = ops.sqrt(square / ops.maximum(weight, 1e-8))
    size = ops.sum(member * ops.maximum(size, _LEAST), axis=-1)
    return {"return": carried, "square": square, "weight": weight}, reward_t / size
