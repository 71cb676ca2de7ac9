"""Which runs are seeds of one experiment: those of one task whose settings are the same."""

import hashlib
from collections.abc import Sequence
from typing import Any

from keras_s5rl.cli.labels import DEFAULTS, as_json, assignment, memory_defaults

# What may differ between the seeds of one experiment, or is its task.
_NOT_COMPARED = {
    *("seed", "num_seeds", "env", "env_args", "memory", "memory_args", "checkpoint_every"),
    *("log_every", "eval_every", "eval_episodes", "device", "versions", "machine", "imports"),
    "num_parameters",
}
_NO_DEFAULT = "no default"
_LONGEST = 60  # characters of a setting that are shown


def name_tasks(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the task of each run: its environment, and those of the environment's arguments in
    which the runs in this environment differ.

    Args:
        configs: List of dicts, the settings of each run, as its config.json holds them.
    """
    arguments = [{"env": config["env"], **config["env_args"]} for config in configs]
    names = []
    for config, own in zip(configs, arguments, strict=True):
        others = [other for other in arguments if other["env"] == config["env"]]
        differing = [name for name in own if any(_differ(own, other, name) for other in others)]
        parts = [setting_text(name, own[name]) for name in differing]
        names.append(", ".join([config["env"], *parts]))
    return names


def group_runs(
    configs: Sequence[dict[str, Any]], tasks: Sequence[str]
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Returns the group of each run, and the settings that distinguish the groups.

    Runs of one group have the same memory and agree in every setting in which runs of any one task
    differ: what differs between tasks alone, such as the length of a training, is no difference
    between groups. Settings of memories are compared between runs of the same memory.

    A group is named by its memory, and by as many of these settings as it takes to tell it from
    others, those that have their default left out.

    Args:
        configs: List of dicts, the settings of each run.
        tasks: List of strings, the task of each run, as of `name_tasks`.

    Returns:
        List of names, and a dict of the names to the settings that differ and their values.
    """
    common = [{n: v for n, v in config.items() if n not in _NOT_COMPARED} for config in configs]
    own = [config["memory_args"] for config in configs]
    memories = [config["memory"] for config in configs]
    names = _differing(common, tasks)
    names_of_memories = _differing(own, list(zip(tasks, memories, strict=True)))
    keys = []
    for memory, settings, memory_args in zip(memories, common, own, strict=True):
        key = {"memory": memory} | {n: settings[n] for n in names if n in settings}
        keys.append(key | {n: memory_args[n] for n in names_of_memories if n in memory_args})
    labels = [str(memory) for memory in memories]
    defaults = {**memory_defaults(configs), **DEFAULTS}
    for name in (*names, *names_of_memories):
        default = as_json(defaults.get(name, _NO_DEFAULT))
        labels = [
            f"{label}, {setting_text(name, key[name])}"
            if key.get(name, default) != default and _is_needed(name, label, key, labels, keys)
            else label
            for label, key in zip(labels, keys, strict=True)
        ]
    return labels, dict(zip(labels, keys, strict=True))


def setting_text(name: str, value: Any) -> str:
    """Returns a setting as the flags and JSON have it; a long value by its hash."""
    text = assignment(name, value)
    if len(text) > _LONGEST:
        text = f"{name}=#{hashlib.sha256(text.encode()).hexdigest()[:6]}"
    return text


def _differing(settings: Sequence[dict[str, Any]], kinds: Sequence[Any]) -> list[str]:
    """The names in which settings of the same kind differ."""
    pairs = list(zip(settings, kinds, strict=True))
    first = {kind: given for given, kind in reversed(pairs)}
    names = dict.fromkeys(name for given in settings for name in given)
    return [
        name for name in names if any(_differ(given, first[kind], name) for given, kind in pairs)
    ]


def _is_needed(
    name: str, label: str, key: dict[str, Any], labels: list[str], keys: list[dict[str, Any]]
) -> bool:
    """Whether a group differs in a setting from another one that has the same name so far."""
    return any(
        other_label == label and _differ(key, other, name)
        for other_label, other in zip(labels, keys, strict=True)
    )


def _differ(one: dict[str, Any], other: dict[str, Any], name: str) -> bool:
    return (name in one, one.get(name)) != (name in other, other.get(name))
