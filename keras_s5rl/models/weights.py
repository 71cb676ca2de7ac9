"""The values of Keras variables as tensors, and programs that are given them."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_s5rl.typing import Tensor


def copy_values(variables: Sequence[Any]) -> list[Tensor]:
    """Returns the values of Keras variables as tensors of their own, from which torch records no
    gradients."""
    return [ops.copy(ops.stop_gradient(variable.value)) for variable in variables]


def detached_values(variables: Sequence[Any]) -> list[Tensor]:
    """Returns the values of Keras variables, without copies, for a program that needs no gradients:
    torch would keep the graph of all its steps for them."""
    return [ops.stop_gradient(ops.convert_to_tensor(variable)) for variable in variables]


def values_in_place(variables: Sequence[Any], values: Sequence[Tensor]) -> Any:
    """Returns a scope in which Keras variables have other values, tensors in the same order."""
    return keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))
