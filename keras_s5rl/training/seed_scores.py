"""`SeedScores`: what a training of several seeds remembers of their evaluations."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from keras_s5rl.runs import RunError
from keras_s5rl.training.score_record import ScoreRecord
from keras_s5rl.training.seed_records import checkpoint_of_seed, joined_metrics, path_of_seed
from keras_s5rl.typing import Array


class SeedScores:
    """The scores of several seeds that train side by side, a record of each.

    An object is never changed: an evaluation makes a new one.

    Args:
        records: List of `ScoreRecord`, one for each seed.
    """

    def __init__(self, records: Sequence[ScoreRecord]) -> None:
        self.records = list(records)

    @property
    def latest(self) -> dict[str, Any]:
        """The metrics of the latest evaluation, means over the seeds and lists of their values;
        empty before the first."""
        return joined_metrics([record.latest for record in self.records])

    @property
    def best(self) -> Any:
        """List of the updates and metrics of the best evaluations, or `None` before the first."""
        found = [record.best for record in self.records]
        return None if None in found else found

    def after(self, scores: Mapping[str, float], update: int, model: Any, seed: int = 0) -> Self:
        """Returns the record after one more evaluation of one seed.

        Args:
            scores: Dict of its metrics.
            update: Integer, updates so far.
            model: Keras model with these scores.
            seed: Integer, which of the seeds. Defaults to `0`.
        """
        records = list(self.records)
        records[seed] = records[seed].after(scores, update, model)
        return type(self)(records)

    def to_metadata(self) -> dict[str, Any]:
        """Returns the scores as a dict of plain values, empty before the first evaluation."""
        first, *others = (record.to_metadata() for record in self.records)
        return first and {**first, "scores_of_others": others}

    def to_arrays(self) -> dict[str, Array]:
        """Returns the weights as a flat dict."""
        return {
            path_of_seed(index, path): array
            for index, record in enumerate(self.records)
            for path, array in record.to_arrays().items()
        }

    def restored(self, checkpoint: dict[str, Any], weights: Sequence[Array]) -> Self:
        """Returns the record in a checkpoint: a dict of the metadata and `arrays`.

        Args:
            checkpoint: Dict.
            weights: List of numpy arrays, weights of such a policy.

        Raises:
            RunError: If it is not as it should be.
        """
        others = checkpoint.get("scores_of_others", [{}] * (len(self.records) - 1))
        if not (
            isinstance(others, list)
            and len(others) == len(self.records) - 1
            and all(isinstance(scores, dict) for scores in others)
        ):
            raise RunError(
                f"The checkpoint should hold the scores of {len(self.records)} seeds: it was "
                "written by other settings or another version."
            )
        return type(self)(
            [
                record.restored(checkpoint_of_seed(checkpoint, index), weights)
                for index, record in enumerate(self.records)
            ]
        )
