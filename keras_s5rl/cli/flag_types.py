"""Flags of whole numbers, of sizes, and of numbers that may be none."""

import decimal
from typing import Any

from absl import flags
from absl.flags import FlagValues

_LARGEST = 2**63 - 1  # what the backends and file formats hold


class _WholeNumber(flags.IntegerParser):
    """Takes whole numbers as `100000`, `100_000` and `1e5`."""

    def __init__(self, lower_bound: int | None = None, upper_bound: int | None = None) -> None:
        super().__init__(lower_bound=lower_bound, upper_bound=upper_bound)
        if lower_bound == 1:
            self.syntactic_help = "a positive integer"

    def convert(self, argument: Any) -> Any:
        if isinstance(argument, str) and "e" in argument.lower():
            try:
                number = decimal.Decimal(argument)
                whole = abs(number) <= _LARGEST and number == number.to_integral_value()
            except decimal.DecimalException:
                whole = False
            if not whole:
                raise ValueError(f"{argument} is not a whole number")
            return int(number)
        number = super().convert(argument)
        if abs(number) > _LARGEST:
            raise ValueError(f"{argument} is too large")
        return number


class _Sizes(flags.ArgumentParser):
    """Takes positive integers with commas between them, or nothing, as a tuple."""

    syntactic_help = "positive integers with commas between them"

    def parse(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            return tuple(argument)
        parts = argument.split(",") if argument.strip() else []
        return tuple(map(_WholeNumber(lower_bound=1).parse, parts))

    def flag_type(self) -> str:
        return "sizes"


class _SizesSerializer(flags.ArgumentSerializer):
    def serialize(self, value: Any) -> str:
        return ",".join(map(str, value))


class _NumberOrNone(flags.ArgumentParser):
    """Takes what another parser of numbers takes, and `none`."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def parse(self, argument: Any) -> Any:
        if isinstance(argument, str) and argument.lower() == "none":
            return "none"
        return self._parser.parse(argument)

    def flag_type(self) -> str:
        return f"{self._parser.flag_type()} or none"


def define_integer(
    name: str,
    default: Any,
    help: str,
    flag_values: FlagValues,
    lower_bound: int | None = None,
    upper_bound: int | None = None,
) -> None:
    """Defines a flag of a whole number, which may be in scientific notation."""
    parser = _WholeNumber(lower_bound, upper_bound)
    flags.DEFINE(parser, name, default, help, flag_values, flags.ArgumentSerializer())


def define_sizes(name: str, default: Any, help: str, flag_values: FlagValues) -> None:
    """Defines a flag of positive integers with commas between them."""
    flags.DEFINE(_Sizes(), name, default, help, flag_values, _SizesSerializer())


def define_optional_integer(name: str, default: Any, help: str, flag_values: FlagValues) -> None:
    """Defines a flag of a whole number or `none`."""
    _define_optional(_WholeNumber(), name, default, help, flag_values)


def define_optional_number(name: str, default: Any, help: str, flag_values: FlagValues) -> None:
    """Defines a flag of a number or `none`."""
    _define_optional(flags.FloatParser(), name, default, help, flag_values)


def _define_optional(
    parser: Any, name: str, default: Any, help: str, flag_values: FlagValues
) -> None:
    parser = _NumberOrNone(parser)
    flags.DEFINE(parser, name, default, help, flag_values, flags.ArgumentSerializer())
