"""`SeedRecords`: the metrics of several seeds that train side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from keras_s5rl.runs import RunError
from keras_s5rl.training.metrics import UpdateRecord

# What is the same for all seeds.
_SHARED = ("update", "env_steps", "wall_time_s", "steps_per_s")


class SeedRecords(UpdateRecord):
    """The record of a training of several seeds, a record of each.

    Scalars are means over the seeds that have a value, and `<name>_per_seed` lists the values of
    all. Environment steps, and steps per second, are those of one seed.

    Args:
        records: List of records, one for each seed.
    """

    def __init__(self, records: Sequence[UpdateRecord]) -> None:
        super().__init__(records[0].steps_per_update, records[0].wall_time_s)
        self.records = list(records)

    def after(
        self, values: dict[str, Any], seconds: float, update: int
    ) -> tuple[Self, dict[str, Any]]:
        """Returns the record after one more update, and the metrics of that update.

        Args:
            values: Dict of arrays from the iteration, whose leading axis is that of the seeds.
            seconds: Number, how long the update took.
            update: Integer, updates so far.
        """
        records, metrics = [], []
        for index, record in enumerate(self.records):
            own = {name: _of_seed(value, index) for name, value in values.items()}
            next_record, of_seed = record.after(own, seconds, update)
            records.append(next_record)
            metrics.append(of_seed)
        return type(self)(records), joined_metrics(metrics)

    def restored(self, metadata: Mapping[str, Any]) -> Self:
        """Returns the record that `to_metadata` wrote down.

        Raises:
            RunError: If it is of another number of seeds.
        """
        others = metadata.get("others")
        if not isinstance(others, list) or len(others) != len(self.records) - 1:
            raise RunError(
                f"The checkpoint should hold the episodes of {len(self.records)} seeds: it was "
                "written by other settings or another version."
            )
        saved = zip(self.records, [metadata, *others], strict=True)
        return type(self)([record.restored(dict(own)) for record, own in saved])

    def to_metadata(self) -> dict[str, Any]:
        """Returns the record as a dict of plain values."""
        first, *others = (record.to_metadata() for record in self.records)
        return {**first, "others": others}


def checkpoint_of_seed(checkpoint: dict[str, Any], index: int) -> dict[str, Any]:
    """Returns the checkpoint of one of several seeds as one of its training alone.

    Args:
        checkpoint: Dict of `arrays`, by path, and the metadata.
        index: Integer, which of the seeds.
    """
    if index == 0:
        return checkpoint
    start = path_of_seed(index, "")
    scores = checkpoint.get("scores_of_others") or [{}] * index
    own = {**checkpoint["others"][index - 1], **scores[index - 1]}
    arrays = {
        path.removeprefix(start): array
        for path, array in checkpoint["arrays"].items()
        if path.startswith(start)
    }
    return {**checkpoint, **own, "arrays": arrays}


def path_of_seed(index: int, path: str) -> str:
    """Returns where a checkpoint of several seeds has an array of one of them."""
    return f"others/{index - 1}/{path}" if index else path


def joined_metrics(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the metrics of several seeds as one dict: means over those that have a value, and
    lists of all."""
    joined = {name: metrics[0][name] for name in metrics[0] if name in _SHARED}
    lists = {name: [own[name] for own in metrics] for name in metrics[0] if name not in _SHARED}
    for name, values in lists.items():
        known = [value for value in values if value is not None]
        joined[name] = sum(known) / len(known) if known else None
    return joined | {f"{name}_per_seed": values for name, values in lists.items()}


def _of_seed(value: Any, index: int) -> Any:
    own = value[index]
    return own if own.ndim else float(own)
