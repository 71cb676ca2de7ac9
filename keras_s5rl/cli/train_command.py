"""The command that trains a run again."""

import json
import shlex
from typing import Any

from keras_s5rl.cli import command, train
from keras_s5rl.cli.memory_flags import MemoryFlags

_OF_THE_PROCESS = ("run_dir", "resume", "override", "checkpoint_every", "log_every")


def train_command(config: dict[str, Any]) -> str:
    """Returns a command with which `launch/train.py` trains with the settings of a run.

    Args:
        config: Dict, the contents of a config.json. Modules that it names have been imported.
    """
    memory = config["memory"]
    defaults = command.parse_flags(
        train.define_flags, ["train", f"--memory={memory}"], MemoryFlags(lambda values: memory)
    )
    settings = {**config, **(config["memory_args"] or {})}
    arguments = [f"--import={name}" for name in config["imports"]]
    for name in defaults:
        if name in settings and name not in _OF_THE_PROCESS:
            text, default = _text(settings[name]), _text(defaults[name].default)
            is_needed = name == "env" or (text != default and settings[name] != {})
            if is_needed:
                arguments.append(_flag(name, settings[name], text))
    return shlex.join(["python", "launch/train.py", *arguments])


def _flag(name: str, value: Any, text: str) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={text}"


def _text(value: Any) -> str:
    """A value as the command line has it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value)
    return "none" if value is None else str(value)
