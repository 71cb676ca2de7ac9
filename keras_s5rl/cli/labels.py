"""Names of runs in a picture: what distinguishes them besides their seeds."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from keras_s5rl.models import memory_settings, registered_memories
from keras_s5rl.ppo.config import PPOConfig

DEFAULTS = {field.name: field.default for field in dataclasses.fields(PPOConfig)}


def label_runs(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Returns a label for each run; runs with the same one are seeds of one experiment.

    Labels name the environment if the runs differ in it, the memory if they do or do not differ in
    the environment, and the arguments of the environment that not all have. A run whose policy does
    not see its previous action says so beside runs whose does. Other settings of the algorithm and
    of the memory are named, unless they have their default, where runs would have the same label
    without.

    Args:
        configs: List of dicts, the settings of each run, as its config.json holds them.
    """
    several = {name: len({config[name] for config in configs}) > 1 for name in ("env", "memory")}
    labels = []
    for config in configs:
        parts = [config["env"]] if several["env"] else []
        parts += [config["memory"]] if several["memory"] or not several["env"] else []
        for name, value in config.get("env_args", {}).items():
            if any(other.get("env_args", {}).get(name) != value for other in configs):
                parts.append(assignment(name, value))
        labels.append(", ".join(parts))
    labels = _distinguish(labels, configs, DEFAULTS, "observe_previous_action", everywhere=True)
    for name in DEFAULTS:
        labels = _distinguish(labels, configs, DEFAULTS, name)
    memory_args = [config.get("memory_args", {}) for config in configs]
    for name in dict.fromkeys(name for given in memory_args for name in given):
        labels = _distinguish(labels, memory_args, memory_defaults(configs), name)
    return labels


def memory_defaults(configs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the defaults of the settings of the memories; runs of one label have the same
    memory."""
    defaults: dict[str, Any] = {}
    for memory in {config["memory"] for config in configs} & set(registered_memories()):
        defaults |= {name: setting.default for name, setting in memory_settings(memory).items()}
    return defaults


def _distinguish(
    labels: list[str],
    configs: Sequence[dict[str, Any]],
    defaults: dict[str, Any],
    name: str,
    everywhere: bool = False,
) -> list[str]:
    """Adds a setting to the labels of runs that differ in it from others of the same label, or from
    any other."""
    default = as_json(defaults.get(name))
    values = [config.get(name, default) for config in configs]
    named = []
    for label, value in zip(labels, values, strict=True):
        differs = any(
            other != value and (everywhere or of_label == label)
            for of_label, other in zip(labels, values, strict=True)
        )
        is_named = differs and value != default
        named.append(f"{label}, {assignment(name, value)}" if is_named else label)
    return named


def as_json(value: Any) -> Any:
    """Returns a value as JSON gives it back: it has no tuples."""
    return json.loads(json.dumps(value))


def assignment(name: str, value: Any) -> str:
    """Returns a setting as the flags and JSON have it."""
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"
