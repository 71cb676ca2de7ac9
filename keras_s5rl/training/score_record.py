"""What a training remembers of its evaluations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from keras_s5rl.runs import RunError
from keras_s5rl.training.metrics import EVALUATION_METRICS, SCORE
from keras_s5rl.typing import Array

_WEIGHTS = "best_policy/"


class ScoreRecord:
    """The latest scores of a policy that trains, and the best ones with the weights that had them.

    An object is never changed: an evaluation makes a new one.

    Args:
        latest: Dict of the metrics of the latest evaluation, empty before the first. Defaults to
            `None`, an empty one.
        best: Dict of `update` and the metrics of the evaluation with the highest mean return, the
            first of equal ones; or `None` before the first. Defaults to `None`.
        best_weights: List of numpy arrays, the weights of the policy then. Defaults to `()`.
    """

    def __init__(
        self,
        latest: Mapping[str, float] | None = None,
        best: Mapping[str, Any] | None = None,
        best_weights: Sequence[Array] = (),
    ) -> None:
        self.latest = dict(latest or {})
        self.best = best
        self.best_weights = best_weights

    def after(self, scores: Mapping[str, float], update: int, model: Any, seed: int = 0) -> Self:
        """Returns the record after one more evaluation.

        Args:
            scores: Dict of its metrics.
            update: Integer, updates so far.
            model: Keras model with these scores. Its weights are copied where they are the best.
            seed: Integer, which of the seeds: there is but one. Defaults to `0`.
        """
        if self.best is not None and scores[SCORE] <= self.best[SCORE]:
            return type(self)(scores, self.best, self.best_weights)
        return type(self)(scores, {"update": update, **scores}, model.get_weights())

    def to_metadata(self) -> dict[str, Any]:
        """Returns the scores as a dict of plain values, empty before the first evaluation."""
        return {} if self.best is None else {"latest_scores": self.latest, "best_policy": self.best}

    def to_arrays(self) -> dict[str, Array]:
        """Returns the weights as a flat dict."""
        return {f"{_WEIGHTS}{index}": array for index, array in enumerate(self.best_weights)}

    @classmethod
    def restored(cls, checkpoint: Mapping[str, Any], weights: Sequence[Array]) -> Self:
        """Returns the record in a checkpoint: a dict of the metadata and `arrays`.

        Args:
            checkpoint: Dict.
            weights: List of numpy arrays, weights of such a policy.

        Raises:
            RunError: If it is not as it should be.
        """
        latest, best = checkpoint.get("latest_scores"), checkpoint.get("best_policy")
        if latest is None and best is None:
            return cls()
        best_weights = best_policy_weights(checkpoint["arrays"])
        shapes = [[np.shape(array) for array in arrays] for arrays in (best_weights, weights)]
        if not (_are_scores(latest) and _are_scores(best, "update") and shapes[0] == shapes[1]):
            raise RunError(
                "The checkpoint should hold the scores of evaluations and the weights of the best "
                "policy: it was written by other settings or another version."
            )
        return cls(latest, best, best_weights)


def best_policy_weights(arrays: Mapping[str, Array]) -> list[Array]:
    """Returns the weights of the best policy among the arrays of a checkpoint."""
    names = [name for name in arrays if name.startswith(_WEIGHTS)]
    return [arrays[name] for name in sorted(names, key=lambda name: (len(name), name))]


def _are_scores(value: Any, *others: str) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {*EVALUATION_METRICS, *others}
        and all(type(entry) in (int, float) and math.isfinite(entry) for entry in value.values())
    )
