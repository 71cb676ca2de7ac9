"""Settings: a default, what it means, and what a value has to be.

`PPOConfig` declares its fields with these, and a memory the settings that are its own; the commands
make a flag of each. Needs the standard library only.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        default: The value where none is given.
        help: String, what it means, with its unit: the help of its flag.
        check: Function of a value; whether it may be the setting's.
        expected: String, what a value should be: "should be {expected}".
        type: `int`, `float`, `bool`, `str` or `tuple[int, ...]`, or one of them or `None`
            (`float | None`): how its flag is read.

    Example:

    >>> from keras_s5rl.models import settings
    >>> settings.fraction(0.9, "decay of the trace").checked("decay", 1)
    1.0
    """

    default: Any
    help: str
    check: Callable[[Any], bool]
    expected: str
    type: Any

    @property
    def is_optional(self) -> bool:
        """Whether `None` is a value."""
        return types.NoneType in typing.get_args(self.type)

    @property
    def value_type(self) -> Any:
        """The type of values that are not `None`."""
        if not self.is_optional:
            return self.type
        return next(t for t in typing.get_args(self.type) if t is not types.NoneType)

    def checked(self, name: str, value: Any) -> Any:
        """Returns a value as the setting has it: a list, which a JSON file has in place of a tuple,
        becomes one, an integer becomes a float where that is wanted.

        Args:
            name: String, the name of the setting.
            value: The value.

        Raises:
            ValueError: If the setting cannot have this value.
        """
        if isinstance(value, list):
            value = tuple(value)
        if self.value_type is float and _is_integer(value) and _is_number(value):
            value = float(value)
        if not self.check(value):
            raise ValueError(
                f"`{name}` ({self.help}) should be {self.expected}. Received: {name}={value!r}"
            )
        return value


def count(default: int, help: str, multiple_of: int = 1) -> Setting:
    """A positive integer, or a positive multiple of one."""
    expected = "a positive integer" if multiple_of == 1 else f"a positive multiple of {multiple_of}"
    return Setting(default, help, lambda v: _is_count(v) and v % multiple_of == 0, expected, int)


def positive(default: float, help: str) -> Setting:
    """A number above 0."""
    return Setting(default, help, lambda v: _is_number(v) and v > 0, "a positive number", float)


def non_negative(default: float, help: str) -> Setting:
    """A number of 0 or more."""
    expected = "a number of 0 or more"
    return Setting(default, help, lambda v: _is_number(v) and v >= 0, expected, float)


def fraction(default: float, help: str) -> Setting:
    """A number from 0 to 1."""
    expected = "a number from 0 to 1"
    return Setting(default, help, lambda v: _is_number(v) and 0 <= v <= 1, expected, float)


def number(default: float, help: str) -> Setting:
    """Any finite number."""
    return Setting(default, help, _is_number, "a finite number", float)


def flag(default: bool, help: str) -> Setting:
    """True or False."""
    return Setting(default, help, lambda v: isinstance(v, bool), "True or False", bool)


def choice(default: str, help: str, options: tuple[str, ...]) -> Setting:
    """One of several texts."""
    return Setting(default, help, lambda v: v in options, f"one of {options}", str)


def sizes(default: tuple[int, ...], help: str) -> Setting:
    """Any number of positive integers."""

    def check(value: Any) -> bool:
        return isinstance(value, tuple) and all(map(_is_count, value))

    return Setting(default, help, check, "a tuple of positive integers", tuple[int, ...])


def name(default: str, help: str, expected: str = "a name") -> Setting:
    """A text that is not empty."""
    return Setting(default, help, lambda v: isinstance(v, str) and v != "", expected, str)


def optional(setting: Setting, default: Any = None) -> Setting:
    """Another setting, or `None`; on the command line `none`."""
    return Setting(
        default,
        setting.help,
        lambda v: v is None or setting.check(v),
        f"{setting.expected}, or None",
        setting.type | None,
    )


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    if _is_integer(value):
        return abs(value) < 2**1023  # it becomes a float
    return isinstance(value, float) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_integer(value) and 0 < value < 2**63
