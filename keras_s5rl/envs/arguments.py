"""Checks of the arguments that several families share."""

import numbers

MAX_EPISODE_STEPS = 2**31 - 2  # steps are counted in int32


def check_positive_integer(name, value, largest=None):
    """Raises ValueError unless `value`, the argument called `name`, is a positive integer, and at
    most `largest` if that is given."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < 1 or (largest is not None and value > largest):
        limit = "" if largest is None else f" of at most {largest:,}"
        raise ValueError(
            f"`{name}` should be a positive integer{limit}. Received: {name}={value!r}"
        )


def check_choice(name, value, choices):
    """Raises ValueError unless `value`, the argument called `name`, is one of the choices."""
    if value not in choices:
        raise ValueError(
            f"`{name}` should be one of {', '.join(choices)}. Received: {name}={value!r}"
        )


def check_range(name, value, largest, others=""):
    """Raises ValueError unless `value`, the argument called `name`, is a number from 0 to
    `largest`; `others` says what else it may be."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and 0.0 <= value <= largest):
        raise ValueError(
            f"`{name}` should be a number from 0 to {largest}{others}. Received: {name}={value!r}"
        )
