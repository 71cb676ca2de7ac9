"""Flags of whole numbers and of sizes."""

import decimal

from absl import flags

_LARGEST = 2**63 - 1  # what the backends and file formats hold


class _WholeNumber(flags.IntegerParser):
    """Takes whole numbers as `100000`, `100_000` and `1e5`."""

    def __init__(self, lower_bound=None, upper_bound=None):
        super().__init__(lower_bound=lower_bound, upper_bound=upper_bound)
        if lower_bound == 1:
            self.syntactic_help = "a positive integer"

    def convert(self, argument):
        if isinstance(argument, str) and "e" in argument.lower():
            try:
                number = decimal.Decimal(argument)
                whole = abs(number) <= _LARGEST and number == number.to_integral_value()
            except decimal.DecimalException:
                whole = False
            if not whole:
                raise ValueError(f"{argument} is no whole number")
            return int(number)
        number = super().convert(argument)
        if abs(number) > _LARGEST:
            raise ValueError(f"{argument} is too large")
        return number


class _Sizes(flags.ArgumentParser):
    """Takes positive integers with commas between them, or nothing, as a tuple."""

    syntactic_help = "positive integers with commas between them"

    def parse(self, argument):
        if not isinstance(argument, str):
            return tuple(argument)
        parts = argument.split(",") if argument.strip() else []
        return tuple(map(_WholeNumber(lower_bound=1).parse, parts))

    def flag_type(self):
        return "sizes"


class _SizesSerializer(flags.ArgumentSerializer):
    def serialize(self, value):
        return ",".join(map(str, value))


def define_integer(name, default, help, flag_values, lower_bound=None, upper_bound=None):
    """Defines a flag of a whole number, which may be in scientific notation."""
    parser = _WholeNumber(lower_bound, upper_bound)
    flags.DEFINE(parser, name, default, help, flag_values, flags.ArgumentSerializer())


def define_sizes(name, default, help, flag_values):
    """Defines a flag of positive integers with commas between them."""
    flags.DEFINE(_Sizes(), name, default, help, flag_values, _SizesSerializer())
