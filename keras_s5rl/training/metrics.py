"""From the iteration's sums to the metrics of an update."""

import math


class EpisodeRecord:
    """What a training remembers from update to update beside the learner's state.

    Args:
        mmer: Best mean episodic return of an update so far (POPGym's MMER), or `None` before an
            episode has ended.
        wall_time_s: Seconds trained so far, compiling included.
    """

    def __init__(self, mmer=None, wall_time_s=0.0):
        self.mmer = mmer
        self.wall_time_s = wall_time_s

    def metrics(self, values, seconds, update, env_steps, steps_per_update):
        """Returns the metrics of one update, in the order in which they are written.

        Args:
            values: Dict of finite numbers from the iteration, among them `episodes` and the sums of
                their returns and lengths.
            seconds: Number, how long the update took.
            update: Integer, updates so far.
            env_steps: Integer, environment steps so far.
            steps_per_update: Integer.
        """
        self.wall_time_s += seconds
        values = dict(values)
        episodes = int(values.pop("episodes"))
        return_sum, length_sum = values.pop("episode_return_sum"), values.pop("episode_length_sum")
        return_mean = return_sum / episodes if episodes else None
        if return_mean is not None:
            self.mmer = return_mean if self.mmer is None else max(self.mmer, return_mean)
        return {
            "update": update,
            "env_steps": env_steps,
            "wall_time_s": self.wall_time_s,
            "steps_per_s": steps_per_update / seconds,
            "episode_return_mean": return_mean,
            "episode_length_mean": length_sum / episodes if episodes else None,
            "episodes": episodes,
            "mmer": self.mmer,
            **values,
        }


_LATEST = ("update", "env_steps", "wall_time_s", "mmer")
_PER_EPISODE = ("episode_return_mean", "episode_length_mean")


def interval_means(metrics):
    """Returns the metrics of several updates as one dict of numbers, as Keras callbacks want them.

    Counters are those of the last update, `episodes` is the sum, means over episodes are weighted
    by their number (NaN if none ended), everything else is a mean over the updates.
    """
    means = {}
    weights = [m["episodes"] for m in metrics]
    for name in metrics[0]:
        column = [m[name] for m in metrics]
        if name in _LATEST:
            value = column[-1]
            means[name] = math.nan if value is None else value
        elif name == "episodes":
            means[name] = sum(column)
        elif name in _PER_EPISODE:
            total = sum(w * v for w, v in zip(weights, column, strict=True) if w)
            means[name] = total / sum(weights) if sum(weights) else math.nan
        else:
            means[name] = sum(column) / len(column)
    return means
