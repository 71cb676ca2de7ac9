"""The gradient steps of an update, while the policy is near that of the rollout."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Structure, Tensor

# Stable-Baselines3 and Spinning Up have this factor, too.
_MARGIN = 1.5
# Of a step, float32 scalars.
_METRICS = (
    *("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction"),
    *("loss", "gradient_norm"),
)


def steps_to_kl(
    step: Callable[..., Any],
    skip: Callable[..., Any],
    carry: Structure,
    minibatches: Structure,
    target_kl: float,
) -> tuple[Structure, dict[str, Tensor]]:
    """Makes gradient steps until the approximate KL of a minibatch exceeds `1.5 * target_kl`.

    The step of this minibatch is not made, and those after it are not computed. Devices that run
    the program together stop by the mean over them.

    Args:
        step: `(carry, minibatch) -> (carry, metrics)`, the metrics a dict of float32 scalars, those
            of the minibatch before the step.
        skip: `carry -> carry`, what a step that is not made leaves.
        carry: Structure of tensors.
        minibatches: Structure of tensors, minibatches along the leading axis.
        target_kl: Positive number, in nats.

    Returns:
        `(carry, metrics)`: the metrics are means over the minibatches that were looked at, the last
        one among them, and `gradient_step_share`, the share of the steps that were made.

    Reference:
    - Achiam, "Spinning up in deep reinforcement learning", 2018; Raffin et al.,
      "Stable-Baselines3", 2021 (`target_kl` of their PPO).
    """

    def guarded_step(state: Any, minibatch: Any) -> Any:
        carry, is_going_on = state

        def attempt() -> Any:
            new_carry, metrics = step(carry, minibatch)
            is_near = backend.devices.mean(metrics["approx_kl"]) <= _MARGIN * target_kl
            is_near = ops.logical_and(is_going_on, is_near)  # a copy may have stopped before
            kept = keras.tree.map_structure(
                lambda new, old: ops.where(is_near, new, old), new_carry, skip(carry)
            )
            return kept, is_near, metrics

        def leave_out() -> Any:
            zeros = {name: ops.zeros((), "float32") for name in _METRICS}
            return skip(carry), ops.zeros((), "bool"), zeros

        # Under `vmap` one branch for all copies, until the last of them stops.
        carry, is_near, metrics = backend.cond(backend.any_copy(is_going_on), attempt, leave_out)
        return (carry, is_near), (is_going_on, is_near, metrics)

    (carry, _), (was_going_on, was_made, metrics) = backend.packed_scan(
        guarded_step, (carry, ops.ones((), "bool")), minibatches
    )
    count = ops.sum(ops.cast(was_going_on, "float32"))
    means = {
        name: ops.sum(ops.where(was_going_on, value, 0.0)) / count
        for name, value in metrics.items()
    }
    return carry, means | {"gradient_step_share": ops.mean(ops.cast(was_made, "float32"))}
