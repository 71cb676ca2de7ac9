"""`JointDistribution`: discrete and continuous actions at once."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.models.distributions.distribution import Distribution
from keras_s5rl.typing import Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class JointDistribution(Distribution):
    """Independent distributions side by side; parameters are those of the parts, concatenated,
    actions float32 `(..., numbers)`, classes among them.

    Args:
        parts: Sequence of `MultiCategorical` and `DiagonalGaussian`, in the order of the actions.
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = list(parts)
        self.num_outputs = sum(part.num_outputs for part in self.parts)
        self.num_log_stds = sum(part.num_log_stds for part in self.parts)
        self.num_parameters = sum(part.num_parameters for part in self.parts)

    def parameters(self, outputs: Tensor, log_std: Tensor | None = None) -> Tensor:
        outputs = _split(outputs, [part.num_outputs for part in self.parts])
        log_stds = _split(log_std, [part.num_log_stds for part in self.parts])
        each = zip(self.parts, outputs, log_stds, strict=True)
        return ops.concatenate([part.parameters(*inputs) for part, *inputs in each], axis=-1)

    def _parameters_of_parts(self, parameters: Tensor) -> list[Tensor]:
        return _split(parameters, [part.num_parameters for part in self.parts])

    def mode(self, parameters: Tensor) -> Tensor:
        pairs = zip(self.parts, self._parameters_of_parts(parameters), strict=True)
        return _join([part.mode(of_part) for part, of_part in pairs])

    def sample(self, parameters: Tensor, key: Tensor) -> Tensor:
        keys = random.split(key, len(self.parts))
        each = enumerate(zip(self.parts, self._parameters_of_parts(parameters), strict=True))
        return _join([part.sample(of_part, keys[i]) for i, (part, of_part) in each])

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        each = zip(
            self.parts,
            self._parameters_of_parts(parameters),
            _split(action, [_num_numbers(part) for part in self.parts]),
            strict=True,
        )
        return sum(
            part.log_prob(of_part, numbers if part.num_log_stds else ops.cast(numbers, "int32"))
            for part, of_part, numbers in each
        )

    def entropy(self, parameters: Tensor) -> Tensor:
        pairs = zip(self.parts, self._parameters_of_parts(parameters), strict=True)
        return sum(part.entropy(of_part) for part, of_part in pairs)

    def get_config(self) -> dict[str, Any]:
        return {"parts": [keras.saving.serialize_keras_object(part) for part in self.parts]}

    def __repr__(self) -> str:
        return f"JointDistribution({self.parts})"

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls([keras.saving.deserialize_keras_object(part) for part in config["parts"]])


def _num_numbers(part: Any) -> int:
    """The numbers of one action of a part."""
    return part.num_log_stds or len(part.num_actions)


def _split(values: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """The columns of each part."""
    ends = np.cumsum(sizes).tolist()
    return [values[..., end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _join(actions: Sequence[Tensor]) -> Tensor:
    return ops.concatenate([ops.cast(action, "float32") for action in actions], axis=-1)
