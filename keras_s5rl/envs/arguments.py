"""Checks of the arguments that several families share."""

import numbers


def check_positive_integer(name, value):
    """Raises ValueError unless `value`, the argument called `name`, is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value!r}")
