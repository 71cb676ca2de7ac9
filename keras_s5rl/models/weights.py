"""The values of Keras variables as tensors, and programs that are given them."""

import keras
from keras import ops


def copy_values(variables):
    """Returns the values of Keras variables as tensors of their own, from which torch records no
    gradients."""
    return [ops.copy(ops.stop_gradient(variable.value)) for variable in variables]


def detached_values(variables):
    """Returns the values of Keras variables, without copies, for a program that needs no gradients:
    torch would keep the graph of all its steps for them."""
    return [ops.stop_gradient(ops.convert_to_tensor(variable)) for variable in variables]


def values_in_place(variables, values):
    """Returns a scope in which Keras variables have other values, tensors in the same order."""
    return keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True)))
