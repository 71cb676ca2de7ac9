"""The flags of `PPOConfig`, one a field."""

import dataclasses

from absl import flags

from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import define_integer, define_sizes
from keras_s5rl.ppo.config import PPOConfig

_DEFINE = {
    int: define_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
    tuple[int, ...]: define_sizes,
}


def define_config_flags(values):
    """Defines a flag for every field of `PPOConfig`, with its default and its meaning."""
    for field in dataclasses.fields(PPOConfig):
        define = _DEFINE.get(field.type, flags.DEFINE_string)
        help, expected = field.metadata["help"], field.metadata["expected"]
        if isinstance(field.default, tuple):
            expected = "positive integers with commas between them"
        help = f"{help}; {expected}"
        define(field.name, _as_flag(field.default), help, flag_values=values)


def config_from_flags(values, recorded=None):
    """Returns the `PPOConfig` that the flags describe.

    Args:
        values: Parsed `absl.flags.FlagValues`.
        recorded: Settings of an earlier run, which hold for every flag that was not given; or
            `None` for the defaults.

    Raises:
        UsageError: If a value is out of its range.
    """
    settings = {
        field.name: _from_flag(field, values[field.name].value)
        for field in dataclasses.fields(PPOConfig)
        if recorded is None or values[field.name].present
    }
    try:
        if recorded is not None:
            return dataclasses.replace(PPOConfig.from_settings(recorded), **settings)
        return PPOConfig(**settings)
    except ValueError as error:
        raise UsageError(error) from None


def _as_flag(value):
    return "none" if value is None else value


def _from_flag(field, value):
    return None if value == "none" and field.name == "norm" else value
