"""The command that makes a run again, and its settings as texts."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from keras_s5rl.cli.labels import DEFAULTS, as_json, memory_defaults
from keras_s5rl.ppo.run_settings import EVALUATION_SETTINGS
from keras_s5rl.runs import recorded_imports

# Not settings, or shown one by one.
_NOT_SHOWN = {"env_args", "memory_args", "device", "versions", "machine"}
_ALWAYS = ("env", "memory", "backend", "seed", "total_steps")
_NO_DEFAULT = "no default"
# Flags of train that are neither a field of `PPOConfig` nor a setting of a memory.
_RUN_DEFAULTS = {
    **{"num_seeds": 1, "checkpoint_every": 50, "log_every": 10},
    **{name: setting.default for name, setting in EVALUATION_SETTINGS.items()},
}


def command_of(config: dict[str, Any]) -> str:
    """Returns the command that trains a run with these settings again, a flag on each line, or says
    why none does.

    Settings that have their default are left out.

    Args:
        config: Dict, the settings as config.json holds them.
    """
    if "policy" in config or not isinstance(config["encoder"], str):
        return "# It was trained from Python, with a policy or an encoder of its own."
    words = ["python launch/train.py"]
    words += [f"--import={module}" for module in recorded_imports(config)]
    words += [f"--{name}={config[name]}" for name in _ALWAYS]
    words.append(f"--encoder={config['encoder']}")
    if config["env_args"]:
        words.append(f"--env_args={json.dumps(config['env_args'])}")
    given = {**config, **config["memory_args"]}
    defaults = {**_RUN_DEFAULTS, **DEFAULTS, **memory_defaults([config])}
    for name in (*_RUN_DEFAULTS, *DEFAULTS, *config["memory_args"]):
        default = as_json(defaults.get(name, _NO_DEFAULT))
        if name in given and given[name] != default:
            words.append(_flag(name, given[name]))
    program, *arguments = words
    return " \\\n    ".join([program, *map(shlex.quote, arguments)])


def settings_of(configs: Sequence[dict[str, Any]]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Returns the settings in which runs differ, and those that they share.

    Args:
        configs: List of dicts, the settings of each run.

    Returns:
        Dict of names to a list of texts, one for each run, and a dict of names to a text. A run
        that has no such setting has a dash there.
    """
    flat = [_flat(config) for config in configs]
    differing, common = {}, {}
    for name in dict.fromkeys(name for settings in flat for name in settings):
        values = [settings.get(name, "–") for settings in flat]
        if len(set(values)) > 1:
            differing[name] = values
        else:
            common[name] = values[0]
    return differing, common


def _flat(config: dict[str, Any]) -> dict[str, str]:
    own = {name: value for name, value in config.items() if name not in _NOT_SHOWN}
    nested = {**config["memory_args"]}
    nested |= {f"env_args.{name}": value for name, value in config["env_args"].items()}
    return {name: _text(value) for name, value in {**own, **nested}.items()}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    if isinstance(value, list):
        return f"--{name}={','.join(map(str, value))}"
    return f"--{name}={'none' if value is None else value}"
