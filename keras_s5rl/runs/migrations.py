"""config.json of earlier versions, as this one has it: the one place that knows other formats.

A new setting of training, or one that changes its name or meaning, is a new format: the next number
here, and a function that makes a config of it out of one of the number before.
"""

from typing import Any

FORMAT_VERSION = 6

# Format 2: settings that it gained before its end, with what runs without them were trained with.
_LATER_IN_2 = {
    "context_length": 128,
    "num_heads": 4,
    "observe_previous_action": True,
    "normalize_advantages_per_task": False,
    "normalize_rewards": False,
    "num_devices": 1,
}
# Format 2: settings of memories, which had no place of their own, and which memory used which.
_BLOCKS_IN_2 = ("norm", "block_activation")
_ALL_MEMORY_SETTINGS_IN_2 = (
    *("state_size", "clip_eigenvalues", "dt_min", "dt_max", "context_length", "num_heads"),
    *_BLOCKS_IN_2,
)
_MEMORY_SETTINGS_IN_2 = {
    "s5": ("state_size", *_BLOCKS_IN_2, "clip_eigenvalues", "dt_min", "dt_max"),
    "gru": (),
    "lstm": (),
    "lru": ("state_size", *_BLOCKS_IN_2),
    "mingru": _BLOCKS_IN_2,
    "attention": ("context_length", "num_heads"),
    "mlp": (),
}

# Format 4: settings that it added, with what runs without them were trained with.
_NEW_IN_4 = {"encoder": "dense", "normalize_observations": False}
# Format 5: likewise.
_NEW_IN_5 = {"eval_every": None, "eval_episodes": 64, "early_stop_patience": None}
# Format 6: likewise.
_NEW_IN_6 = {"ssm_learning_rate": None, "target_kl": None}


def migrate(config: dict[str, Any], version: int) -> dict[str, Any]:
    """Returns a config of format `version` as one of `FORMAT_VERSION`.

    Args:
        config: the settings, without `format_version` and `checksum`.
        version: the format in which they are.
    """
    for migration in _MIGRATIONS[version - 1 :]:
        config = migration(config)
    return config


def _from_1_to_2(config: dict[str, Any]) -> dict[str, Any]:
    """Format 2 added the checksum, no setting."""
    return config


def _from_2_to_3(config: dict[str, Any]) -> dict[str, Any]:
    """Format 3 holds the settings of the memory by themselves, `memory_args`, of two switches for
    advantages made a choice, and gave the clipping of values a range of its own.

    Settings that are missing stay so, and entries of `overrides` keep the names that they had.
    """
    if "num_envs" not in config:  # what is no training has none of these
        return config
    config = {**_LATER_IN_2, **config}
    memory = config.get("memory")
    used: tuple[str, ...] = _ALL_MEMORY_SETTINGS_IN_2
    if isinstance(memory, str):  # a memory of the user's own was given all of them
        used = _MEMORY_SETTINGS_IN_2.get(memory, used)
    of_memories = {name: config.pop(name) for name in _ALL_MEMORY_SETTINGS_IN_2 if name in config}
    config["memory_args"] = {name: of_memories[name] for name in used if name in of_memories}
    per_task = config.pop("normalize_advantages_per_task")
    per_minibatch = config.get("normalize_advantages")
    if isinstance(per_minibatch, bool):
        groups = "task" if per_task else "minibatch" if per_minibatch else "none"
        config["normalize_advantages"] = groups
    if "clip_value_loss" in config:
        config["value_clip"] = config.get("clip_epsilon") if config.pop("clip_value_loss") else None
    return config


def _from_3_to_4(config: dict[str, Any]) -> dict[str, Any]:
    """Format 4 added settings."""
    return {**_NEW_IN_4, **config} if "num_envs" in config else config


def _from_4_to_5(config: dict[str, Any]) -> dict[str, Any]:
    """Format 5 added settings."""
    return {**_NEW_IN_5, **config} if "num_envs" in config else config


def _from_5_to_6(config: dict[str, Any]) -> dict[str, Any]:
    """Format 6 added settings."""
    return {**_NEW_IN_6, **config} if "num_envs" in config else config


_MIGRATIONS = (_from_1_to_2, _from_2_to_3, _from_3_to_4, _from_4_to_5, _from_5_to_6)
