"""Action masks: the columns of an observation that say which actions are legal."""

from collections.abc import Sequence
from typing import Any

from keras_s5rl.models.distributions import Distribution


def check_action_mask(
    action_mask: Sequence[int] | None, observation_size: int, distribution: Any
) -> tuple[int, int] | None:
    """Returns the columns of a mask as a tuple `(start, stop)`, or `None` of `None`.

    Raises:
        ValueError: If they are no columns of the observation, not as many as the distribution has
            logits, or if its actions are continuous.
    """
    if action_mask is None:
        return None
    if getattr(type(distribution), "masked", None) in (None, Distribution.masked):
        raise ValueError(
            "`action_mask` should be None where actions are continuous: a mask is for Discrete, "
            "MultiDiscrete and MultiBinary actions; leave the entry 'action_mask' out of the "
            f"observations. Received: action_mask={action_mask} with {distribution}"
        )
    start, stop = action_mask
    if not 0 <= start < stop <= observation_size or stop - start != distribution.num_outputs:
        raise ValueError(
            f"`action_mask` should be {distribution.num_outputs} columns of the "
            f"{observation_size} of an observation, one for each logit: give the entry "
            "'action_mask' of the observations a number for each choice of the action. "
            f"Received: action_mask={action_mask}, {stop - start} columns"
        )
    return int(start), int(stop)
