"""From what an iteration returns to the metrics of an update."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.runs import RunError
from keras_s5rl.typing import Array

SCORE = "eval_return_mean"  # by which the best policy is chosen
EVALUATION_METRICS = (SCORE, "eval_return_std", "eval_length_mean")
_OF_EPISODES = ("episodes", "episode_returns", "episode_lengths")
_CHECKED_ALONE = ("weights",)  # whether they are finite matters, how large they are does not


class UpdateRecord:
    """What a training remembers from update to update besides the learner's state: its time.

    An object is never changed: an update makes a new one.

    Args:
        steps_per_update: Positive integer, environment steps (or examples) of an update.
        wall_time_s: Seconds trained so far, compiling included.
    """

    def __init__(self, steps_per_update: int, wall_time_s: float = 0.0) -> None:
        self.steps_per_update = steps_per_update
        self.wall_time_s = wall_time_s

    def after(
        self, values: dict[str, Any], seconds: float, update: int
    ) -> tuple[Self, dict[str, Any]]:
        """Returns the record after one more update, and the metrics of that update.

        Args:
            values: Dict of finite numbers and arrays from the iteration.
            seconds: Number, how long the update took.
            update: Integer, updates so far.

        Returns:
            `(record, metrics)`: the next record, and a dict in the order in which metrics are
            written.
        """
        record = type(self)(self.steps_per_update, self.wall_time_s + seconds)
        return record, {**record._progress(seconds, update), **values}

    def _progress(self, seconds: float, update: int) -> dict[str, Any]:
        return {
            "update": update,
            "env_steps": update * self.steps_per_update,
            "wall_time_s": self.wall_time_s,
            "steps_per_s": self.steps_per_update / seconds,
        }

    def restored(self, metadata: dict[str, Any]) -> Self:
        """Returns the record that `to_metadata` wrote down."""
        return type(self)(self.steps_per_update, metadata["wall_time_s"])

    def to_metadata(self) -> dict[str, Any]:
        """Returns the record as a dict of plain values."""
        return {"wall_time_s": self.wall_time_s}


class EpisodeRecord(UpdateRecord):
    """The record of a training in environments, with their latest episodes.

    Of each environment it keeps the latest episodes that ended, a hundred or more of all
    environments together, and averages the means of the environments. An update's own episodes
    would be a biased sample: the lucky ones that end early are over before the others, and more of
    them fit in an update. The latest episodes of one environment are a fair one: how long the
    episode under way is does not depend on those that ended before it. For the same reason
    there is no mean before every environment has ended an episode.

    Args:
        steps_per_update: Positive integer, environment steps of an update.
        returns: float64 array `(num_envs, kept)`, returns of the latest episodes, newest first.
        lengths: float64 array of that shape, their lengths in steps.
        count: int array `(num_envs,)`, how many of these there are so far.
        mmer: Best mean return so far (POPGym's MMER), of those over all `num_envs * kept` episodes,
            or `None` before there are as many.
        wall_time_s: Seconds trained so far, compiling included.
    """

    def __init__(
        self,
        steps_per_update: int,
        returns: Array,
        lengths: Array,
        count: Array,
        mmer: float | None = None,
        wall_time_s: float = 0.0,
    ) -> None:
        super().__init__(steps_per_update, wall_time_s)
        self.returns = returns
        self.lengths = lengths
        self.count = count
        self.mmer = mmer

    @classmethod
    def empty(
        cls,
        num_envs: int,
        num_kept: int,
        steps_per_update: int,
        mmer: float | None = None,
        wall_time_s: float = 0.0,
    ) -> Self:
        """Returns the record of `num_envs` environments before an episode has ended."""
        zeros = np.zeros((num_envs, num_kept))
        count = np.zeros(num_envs, "int64")
        return cls(steps_per_update, zeros, zeros, count, mmer, wall_time_s)

    @classmethod
    def of_config(cls, config: PPOConfig) -> Self:
        """Returns the first record of a training with a `PPOConfig`."""
        return cls.empty(config.num_envs, config.episodes_kept, config.steps_per_update)

    def restored(self, metadata: dict[str, Any]) -> Self:
        """Returns the record that `to_metadata` wrote down; one from before returns were kept
        begins without any.

        Raises:
            RunError: If it is of other environments.
        """
        num_envs, num_kept = self.returns.shape
        start = metadata["mmer"], metadata["wall_time_s"]
        record = self.empty(num_envs, num_kept, self.steps_per_update, *start)
        episodes = metadata.get("latest_episodes")
        if episodes is None:
            return record
        pairs: list[Any] = [
            episodes.get(name) if isinstance(episodes, dict) else None for name in _KEPT
        ]
        if not all(_fits(rows, num_envs, num_kept) for rows in pairs):
            raise RunError(
                "The checkpoint should hold `latest_episodes` as returns and lengths of at most "
                f"{num_kept} episodes of each of {num_envs} environments: it was written by other "
                "settings or another version."
            )
        count = np.array([len(row) for row in pairs[0]])
        if count.tolist() != [len(row) for row in pairs[1]]:
            raise RunError("The checkpoint should hold as many lengths as returns of episodes.")
        returns, lengths = record.returns.copy(), record.lengths.copy()
        for array, rows in zip((returns, lengths), pairs, strict=True):
            for env, row in enumerate(rows):
                array[env, : len(row)] = row
        return record._with(returns, lengths, count)

    def _with(self, returns: Array, lengths: Array, count: Array) -> Self:
        return type(self)(
            self.steps_per_update, returns, lengths, count, self.mmer, self.wall_time_s
        )

    def to_metadata(self) -> dict[str, Any]:
        """Returns the record as a dict of plain values."""
        kept = {
            name: [row[:n].tolist() for row, n in zip(array, self.count, strict=True)]
            for name, array in zip(_KEPT, (self.returns, self.lengths), strict=True)
        }
        return {"mmer": self.mmer, "wall_time_s": self.wall_time_s, "latest_episodes": kept}

    def after(
        self, values: dict[str, Any], seconds: float, update: int
    ) -> tuple[Self, dict[str, Any]]:
        """Returns the record after one more update, and the metrics of that update.

        Args:
            values: Dict of finite numbers and arrays from the iteration; `episodes`,
                `episode_returns` and `episode_lengths` as of `keras_s5rl.ppo.ended_episodes`.
            seconds: Number, how long the update took.
            update: Integer, updates so far.

        Returns:
            `(record, metrics)`: an `EpisodeRecord`, and a dict in the order in which metrics are
            written. The means are `None` where no episode ended.
        """
        record = self._with_episodes(*(values[name] for name in _OF_EPISODES))
        record.wall_time_s += seconds
        episodes = int(values["episodes"].sum())
        return_mean = length_mean = None
        if episodes and record.count.min() > 0:
            return_mean, length_mean = record._mean(record.returns), record._mean(record.lengths)
            if record.count.min() == record.returns.shape[1]:
                best = return_mean if self.mmer is None else max(self.mmer, return_mean)
                record.mmer = best
        left_out = (*_OF_EPISODES, *_CHECKED_ALONE)
        return record, {
            **record._progress(seconds, update),
            "episode_return_mean": return_mean,
            "episode_length_mean": length_mean,
            "episodes": episodes,
            "mmer": record.mmer,
            **{name: value for name, value in values.items() if name not in left_out},
        }

    def _with_episodes(self, ended: Array, returns: Array, lengths: Array) -> Self:
        """The record with an update's episodes in front, the oldest ones dropped."""
        kept = self.returns.shape[1]
        new = np.minimum(ended.astype("int64"), kept)
        # Column j is the j-th new episode, or one of the old ones behind them.
        columns = np.arange(kept) - new[:, None]
        columns = np.where(columns < 0, np.arange(kept), kept + columns)

        def shift(latest: Array, old: Array) -> Array:
            joined = np.concatenate([latest, old], axis=1)
            return np.take_along_axis(joined, columns, axis=1)

        count = np.minimum(self.count + new, kept)
        returns, lengths = shift(returns, self.returns), shift(lengths, self.lengths)
        return self._with(returns, lengths, count)

    def _mean(self, values: Array) -> float:
        counted = np.arange(values.shape[1]) < self.count[:, None]
        return float((np.where(counted, values, 0.0).sum(axis=1) / self.count).mean())


_KEPT = ("returns", "lengths")


def _fits(rows: Any, num_envs: int, num_kept: int) -> bool:
    return (
        isinstance(rows, list)
        and len(rows) == num_envs
        and all(
            isinstance(row, list)
            and len(row) <= num_kept
            and all(isinstance(value, int | float) for value in row)
            for row in rows
        )
    )


_LATEST = ("update", "env_steps", "wall_time_s", "mmer", *EVALUATION_METRICS)


def interval_means(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the metrics of several updates as one dict of numbers, as Keras callbacks want them.

    Counters and scores are those of the last update, `episodes` is the sum, everything else is a
    mean over the updates that have a value (NaN if none has). Lists, of seeds, are left out.
    """
    means = {}
    for name in metrics[0]:
        if name.endswith("_per_seed"):
            continue
        column = [m[name] for m in metrics]
        if name in _LATEST:
            value = column[-1]
            means[name] = math.nan if value is None else value
        elif name == "episodes":
            means[name] = sum(column)
        else:
            values = [value for value in column if value is not None]
            means[name] = sum(values) / len(values) if values else math.nan
    return means
