"""The flags of one memory, besides those that all trainings have."""

from collections.abc import Callable, Iterable
from typing import Any

from absl.flags import FlagValues

from keras_s5rl.cli.command import UsageError
from keras_s5rl.cli.setting_flags import define_setting_flag
from keras_s5rl.models.memories import memories_with, memory_settings, registered_memories
from keras_s5rl.models.settings import Setting


class MemoryFlags:
    """The flags of the memory that the other flags name, for `command.run`.

    Args:
        memory_of: Function of the other flags, parsed; returns the name of the memory, which it has
            checked, or `""` where there is none.
    """

    def __init__(self, memory_of: Callable[[FlagValues], str]) -> None:
        self._memory_of = memory_of
        self.memory = ""  # that of `define`

    def define(self, values: FlagValues, first: Any, arguments: list[str]) -> list[str]:
        """Defines a flag for every setting of the memory.

        A flagfile may have settings of the memory that it names. Where the command line names
        another memory they do not count, so that one flagfile serves to compare memories.

        Args:
            values: `absl.flags.FlagValues` that has the other flags.
            first: Another one, in which they were parsed.
            arguments: List of strings, the arguments of the command.

        Returns:
            The arguments with their flagfiles read, without what does not count.

        Raises:
            UsageError: If a setting has the name of another flag.
        """
        self.memory = self._memory_of(first)
        for name, setting in _settings_of(self.memory).items():
            if name in values:
                raise UsageError(
                    f"The memory {self.memory} should have settings with other names than the "
                    f"flags of the command. Received: {name}"
                )
            define_setting_flag(name, setting, values)
        return self._read_flagfiles(values, arguments)

    def explain(self, name: str) -> str:
        """Says, of a flag that there is not, what settings there are."""
        settings = ", ".join(_settings_of(self.memory)) or "none"
        own = f"The settings of the memory {self.memory} are: {settings}"
        for setting in (name, name.removeprefix("no")):
            owners = memories_with(setting)
            if owners:
                return f"`{setting}` is a setting of {', '.join(owners)}. {own}"
        return own

    def _read_flagfiles(self, values: FlagValues, arguments: list[str]) -> list[str]:
        found: list[str] = []
        rest = list(arguments)
        while rest:
            argument, *rest = rest
            if argument in ("-flagfile", "--flagfile") and rest:
                argument, *rest = f"--flagfile={rest[0]}", *rest[1:]
            lines = values.read_flags_from_files([argument])
            found += lines if lines == [argument] else self._of_this_memory(lines)
        return found

    def _of_this_memory(self, lines: list[str]) -> list[str]:
        """The lines of a flagfile that count."""
        memories = [line.partition("=")[2] for line in lines if _name(line) == "memory"]
        if not memories or memories[-1] not in registered_memories():
            return lines
        others = memory_settings(memories[-1]).keys() - _settings_of(self.memory).keys()
        return [line for line in lines if not _setting(_name(line), others)]


def _settings_of(memory: str) -> dict[str, Setting]:
    return memory_settings(memory) if memory else {}


def _setting(name: str, settings: Iterable[str]) -> str | None:
    """The one of the settings that a flag gives, also as `noname`, or `None`."""
    return next((n for n in (name, name.removeprefix("no")) if n in settings), None)


def _name(line: str) -> str:
    """The name of the flag on a line of a flagfile."""
    return line.partition("=")[0].strip().lstrip("-")
