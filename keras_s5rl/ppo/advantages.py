"""Generalised advantage estimation."""

from keras import ops

from keras_s5rl.ops.linear_recurrence import linear_recurrence_time_major
from keras_s5rl.typing import Tensor


def generalized_advantages(
    reward_t: Tensor,
    value_t: Tensor,
    next_value_t: Tensor,
    discount_t: Tensor,
    done_t: Tensor,
    discount: float,
    gae_lambda: float,
) -> Tensor:
    """Advantages of a rollout, from its end to its start.

        delta_t = reward_t + discount * discount_t * next_value_t - value_t
        A_t     = delta_t + discount * gae_lambda * discount_t * (1 - done_t) * A_{t+1},    A_T = 0

    A terminated step has `discount_t = 0`: nothing after it counts. A step that is only truncated
    has `done_t` but `discount_t = 1`: its return goes on behind the cut, where `next_value_t` (the
    critic at the final observation) stands for it.

    Args:
        reward_t: float32 tensor `(time, num_envs)`, reward of step t.
        value_t: float32 tensor `(time, num_envs)`, the critic before step t.
        next_value_t: float32 tensor `(time, num_envs)`, the critic after step t in the same
            episode.
        discount_t: float32 tensor `(time, num_envs)`, 0 where the return ends with step t, else 1.
        done_t: bool tensor `(time, num_envs)`, whether the episode ends with step t, for whatever
            reason.
        discount: Number from 0 to 1 (gamma).
        gae_lambda: Number from 0 to 1 (lambda).

    Returns:
        float32 tensor `(time, num_envs)`.

    Reference:
    - Schulman et al., "High-dimensional continuous control using generalized advantage estimation",
      2016.
    """
    delta_t = reward_t + discount * discount_t * next_value_t - value_t
    decay_t = discount * gae_lambda * discount_t * ops.cast(ops.logical_not(done_t), "float32")

    # One real sequence, of which the environments are the features.
    advantage_t = linear_recurrence_time_major(
        decay_t[:, None, None], delta_t[:, None, None], reverse=True
    )
    return advantage_t[:, 0, 0]
