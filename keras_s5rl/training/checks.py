"""Checks of arguments and results."""

import math

import keras


class NonFiniteLossError(RuntimeError):
    """A loss or gradient became infinite or not a number."""


def check_count(name, value):
    """Raises a ValueError unless the value is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value!r}")


def check_activation(name):
    """Raises a ValueError unless Keras has an activation of this name."""
    try:
        keras.activations.get(name)
    except ValueError:
        raise ValueError(
            "`activation` should be the name of a Keras activation, such as 'leaky_relu'. "
            f"Received: activation={name!r}"
        ) from None


def check_finite(values, update):
    """Raises a NonFiniteLossError unless all metrics of an update are finite numbers."""
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise NonFiniteLossError(
            f"Update {update} has non-finite {', '.join(wrong)}: training has diverged. Lower "
            "`learning_rate` or `max_grad_norm`, or look for infinite rewards or observations. "
            f"Received: {wrong[0]}={values[wrong[0]]}"
        )
