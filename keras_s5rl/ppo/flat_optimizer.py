"""The steps of an optimizer on one vector of all weights, or on each weight by itself."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend
from keras_s5rl.typing import Tensor

_SLOTS = ("_momentums", "_velocities")  # Adam's lists of variables, one a weight


def arranged(optimizer: Any, variables: Sequence[Any]) -> "FlatOptimizer | SeparateWeights":
    """Returns how the weights lie best while an optimizer trains them, on the device in use: on an
    accelerator in one vector, on a CPU, where XLA would multiply with pieces of it by slower code,
    as they are."""
    if backend.device_name().startswith("cpu"):
        return SeparateWeights(optimizer)
    return FlatOptimizer(optimizer, variables)


class SeparateWeights:
    """Weights and optimizer state as they are, with the methods of `FlatOptimizer`."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def join(
        self, trainable: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        return list(trainable), list(state)

    split = join

    def weights(self, trainable: Sequence[Tensor]) -> list[Tensor]:
        return list(trainable)

    vectors = weights


class FlatOptimizer:
    """Takes the steps of an Adam on one vector, in which all weights lie side by side.

    An optimizer that goes from weight to weight launches a few small kernels for each of them, and
    more for the global norm of the gradients: a third of all kernels of a minibatch on a GPU. On
    one vector they are a few kernels altogether. The numbers are the same but for the rounding of
    that norm, whose terms are added in another order.

    Weights of several dtypes are a vector for each dtype.

    Args:
        optimizer: A built `keras.optimizers.Adam` or `GroupAdam`.
        variables: List of the variables that it was built on.

    Attributes:
        optimizer: The optimizer of the vectors, of the same class and settings.

    Example:

    >>> import keras
    >>> from keras_s5rl.ppo.flat_optimizer import FlatOptimizer
    >>> weights = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])]
    >>> adam = keras.optimizers.Adam(0.1)
    >>> adam.build(weights)
    >>> flat = FlatOptimizer(adam, weights)
    >>> vectors, state = flat.join([w.value for w in weights], [v.value for v in adam.variables])
    >>> [vector.shape for vector in vectors], len(state)
    ([(3,)], 4)
    >>> gradients = [keras.ops.ones(3)]
    >>> vectors, state = flat.optimizer.stateless_apply(state, gradients, vectors)
    >>> weights, adam_state = flat.split(vectors, state)
    >>> [round(float(x), 3) for x in weights[0]], len(adam_state)
    ([0.9, 1.9], 6)
    """

    def __init__(self, optimizer: Any, variables: Sequence[Any]) -> None:
        self._shapes = [tuple(variable.shape) for variable in variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        groups: dict[str, list[int]] = {}
        for index, variable in enumerate(variables):
            groups.setdefault(keras.backend.standardize_dtype(variable.dtype), []).append(index)
        self._groups = list(groups.values())
        self.optimizer = type(optimizer).from_config(self._config(optimizer))
        self.optimizer.build(
            [
                keras.Variable(np.zeros(sum(self._sizes[i] for i in group)), dtype=dtype)
                for dtype, group in groups.items()
            ]
        )
        self._places = self._place(optimizer)

    def join(
        self, trainable: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Returns weights and optimizer state as vectors.

        Args:
            trainable: List of tensors, one a weight.
            state: List of tensors, one for each variable of the optimizer of the weights.

        Returns:
            `(vectors, state)`: one vector a dtype, and a list of tensors, one for each variable of
            `optimizer`.
        """
        joined = [
            state[places[0]] if group is None else self._joined(state, places)
            for group, places in self._places
        ]
        return self.vectors(trainable), joined

    def split(
        self, vectors: Sequence[Tensor], state: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Returns `(trainable, state)` of which `join` makes these vectors and this state."""
        separate: dict[int, Tensor] = {}
        for (group, places), value in zip(self._places, state, strict=True):
            parts = [value] if group is None else self._parts(value, self._groups[group])
            separate |= zip(places, parts, strict=True)
        return self.weights(vectors), [separate[place] for place in range(len(separate))]

    def vectors(self, trainable: Sequence[Tensor]) -> list[Tensor]:
        """Returns weights as vectors, one a dtype."""
        return [self._joined(trainable, group) for group in self._groups]

    def weights(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """Returns the weights, a list of tensors, that lie in these vectors."""
        weights: dict[int, Tensor] = {}
        for vector, group in zip(vectors, self._groups, strict=True):
            weights |= zip(group, self._parts(vector, group), strict=True)
        return [weights[index] for index in range(len(weights))]

    def _joined(self, tensors: Sequence[Tensor], places: Sequence[int]) -> Tensor:
        return ops.concatenate([ops.reshape(tensors[place], (-1,)) for place in places])

    def _parts(self, vector: Tensor, group: Sequence[int]) -> list[Tensor]:
        ends = np.cumsum([self._sizes[index] for index in group])
        return [
            ops.reshape(vector[end - self._sizes[index] : end], self._shapes[index])
            for index, end in zip(group, ends, strict=True)
        ]

    def _config(self, optimizer: Any) -> dict[str, Any]:
        config = optimizer.get_config()
        factors = config.get("rate_factors")
        if factors is not None:
            config["rate_factors"] = [
                np.repeat(np.float32([factors[i] for i in group]), [self._sizes[i] for i in group])
                for group in self._groups
            ]
        return config

    def _place(self, optimizer: Any) -> list[tuple[int | None, list[int]]]:
        """For each variable of the optimizer of the vectors: its group, `None` for what is not of a
        weight, and the places of its parts among the variables of the optimizer of the weights."""
        place = {id(variable): index for index, variable in enumerate(optimizer.variables)}
        slots = {
            id(vector): (number, [place[id(getattr(optimizer, name)[index])] for index in group])
            for name in _SLOTS
            for number, (vector, group) in enumerate(
                zip(getattr(self.optimizer, name), self._groups, strict=True)
            )
        }
        of_weights = {index for _, places in slots.values() for index in places}
        others = iter(index for index in place.values() if index not in of_weights)
        return [
            slots.get(id(variable)) or (None, [next(others)])
            for variable in self.optimizer.variables
        ]
