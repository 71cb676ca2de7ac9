"""The episodes that ended in a rollout, one environment after the other."""

from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Tensor


def ended_episodes(rollout: dict[str, Tensor], num_kept: int) -> dict[str, Tensor]:
    """Returns how many episodes ended in each environment, and the latest of them.

    Args:
        rollout: Dict of tensors `(time, num_envs)` as of `collect_rollout`: `episode_ended`,
            `episode_return` and `episode_length`.
        num_kept: Positive integer, episodes of each environment of which returns are kept.

    Returns:
        Dict of float32 tensors of all devices' environments: `episodes` of shape `(num_envs,)`;
        `episode_returns` and `episode_lengths` (steps) of shape `(num_envs, num_kept)`, the latest
        episode first, 0 where fewer ended.
    """
    ended = rollout["episode_ended"]
    count = ops.cast(ended, "int32")
    later = ops.flip(ops.cumsum(ops.flip(count, axis=0), axis=0), axis=0) - 1
    places = ops.arange(num_kept, dtype="int32")
    kept = ops.logical_and(ended[..., None], ops.equal(later[..., None], places))

    def latest(name: str) -> Tensor:
        values = ops.cast(rollout[name], "float32")[..., None]
        return ops.sum(ops.where(kept, values, 0.0), axis=0)

    return backend.devices.gather(
        {
            "episodes": ops.cast(ops.sum(count, axis=0), "float32"),
            "episode_returns": latest("episode_return"),
            "episode_lengths": latest("episode_length"),
        }
    )
