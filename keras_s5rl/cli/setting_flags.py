"""Flags of settings: one for every field of `PPOConfig` and every setting of a memory."""

import dataclasses
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.flag_types import (
    define_integer,
    define_optional_integer,
    define_optional_number,
    define_sizes,
)
from keras_s5rl.models.memories import memory_settings, resolve_memory_args
from keras_s5rl.models.settings import Setting
from keras_s5rl.ppo.config import PPOConfig

_DEFINE = {
    int: define_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
    tuple[int, ...]: define_sizes,
    int | None: define_optional_integer,
    float | None: define_optional_number,
}
_NONE = "none"  # what None is on the command line


def define_setting_flag(name: str, setting: Setting, values: FlagValues) -> None:
    """Defines the flag of a `Setting`, with its default and its meaning."""
    define = _DEFINE.get(setting.type, flags.DEFINE_string)
    expected = setting.expected
    if setting.type == tuple[int, ...]:
        expected = "positive integers with commas between them"
    default = _NONE if setting.default is None else setting.default
    define(name, default, f"{setting.help}; {expected}", flag_values=values)


def value_of_flag(setting: Setting, value: Any) -> Any:
    """Returns the value of a `Setting` that its flag has."""
    is_none = setting.is_optional and isinstance(value, str) and value.lower() == _NONE
    return None if is_none else value


def define_config_flags(values: FlagValues) -> None:
    """Defines a flag for every field of `PPOConfig`."""
    for field in dataclasses.fields(PPOConfig):
        define_setting_flag(field.name, field.metadata["setting"], values)


def config_from_flags(values: FlagValues, recorded: dict[str, Any] | None = None) -> PPOConfig:
    """Returns the `PPOConfig` that the flags describe.

    Args:
        values: Parsed `absl.flags.FlagValues`.
        recorded: Settings of an earlier run, which hold for every flag that was not given; or
            `None` for the defaults.

    Raises:
        UsageError: If a value is out of its range.
    """
    settings = {
        field.name: value_of_flag(field.metadata["setting"], values[field.name].value)
        for field in dataclasses.fields(PPOConfig)
        if recorded is None or values[field.name].present
    }
    try:
        if recorded is not None:
            return dataclasses.replace(PPOConfig.from_settings(recorded), **settings)
        return PPOConfig(**settings)
    except ValueError as error:
        raise UsageError(error) from None


def memory_args_from_flags(
    values: FlagValues, memory: str, recorded: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Returns the arguments of a memory that the flags describe.

    Args:
        values: Parsed `absl.flags.FlagValues`.
        memory: String, the name of the memory.
        recorded: Settings of an earlier run, of which those of the same memory hold for every flag
            that was not given; or `None` for the defaults.

    Raises:
        UsageError: If a value is out of its range.
    """
    given = {
        name: value_of_flag(setting, values[name].value)
        for name, setting in memory_settings(memory).items()
        if values[name].present
    }
    if recorded is not None and recorded["memory"] == memory:
        given = {**recorded["memory_args"], **given}
    try:
        return resolve_memory_args(memory, given)
    except ValueError as error:
        raise UsageError(error) from None
