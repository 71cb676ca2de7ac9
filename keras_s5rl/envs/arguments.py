"""Checks of the arguments that several families share.

Sizes have a largest value: what is larger would not fit in memory, or never end.
"""

import numbers
from collections.abc import Collection
from typing import Any

MAX_EPISODE_STEPS = 10_000_000


def check_positive_integer(name: str, value: Any, largest: float = MAX_EPISODE_STEPS) -> None:
    """Raises ValueError unless `value`, the argument called `name`, is an integer from 1 to
    `largest`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value!r}")
    if int(value) > largest:
        raise ValueError(f"`{name}` should be at most {largest:,}. Received: {name}={value!r}")


def check_positive_integers(name: str, values: Any, largest: float) -> None:
    """Raises ValueError unless `values`, the argument called `name`, is a list or tuple of integers
    from 1 to `largest`."""
    if not isinstance(values, list | tuple):
        raise ValueError(
            f"`{name}` should be a list or tuple of integers. Received: {name}={values!r}"
        )
    for value in values:
        check_positive_integer(name, value, largest)


def check_boolean(name: str, value: Any) -> None:
    """Raises ValueError unless `value`, the argument called `name`, is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` should be True or False. Received: {name}={value!r}")


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Raises ValueError unless `value`, the argument called `name`, is one of these strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"`{name}` should be one of {', '.join(choices)}. Received: {name}={value!r}"
        )


def check_range(name: str, value: Any, largest: float, others: str = "") -> None:
    """Raises ValueError unless `value`, the argument called `name`, is a number from 0 to
    `largest`; `others` says what else it may be."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and 0.0 <= value <= largest):
        raise ValueError(
            f"`{name}` should be a number from 0 to {largest}{others}. Received: {name}={value!r}"
        )
