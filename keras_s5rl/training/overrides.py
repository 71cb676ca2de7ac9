"""Settings with which a run goes on in place of those it was started with.

In config.json they are a list `overrides` of `{"update": 120, "settings": {name: [old, new]}}`; the
settings of the run hold the new values. A checkpoint says how many of them it was written with.
"""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_s5rl.models.keras_configs import same_config
from keras_s5rl.ppo.config import OVERRIDABLE_SETTINGS, PPOConfig
from keras_s5rl.runs import RunError
from keras_s5rl.training.seed_records import path_of_seed
from keras_s5rl.typing import Array

# In which names are of no account
_KERAS_CONFIGS = ("encoder", "policy")
_FREE_SETTINGS = (
    *("total_steps", "checkpoint_every", "log_every", "eval_every", "early_stop_patience"),
    *("backend", "imports"),
)


def changed_settings(
    config: dict[str, Any], settings: dict[str, Any], override: bool
) -> dict[str, Any]:
    """Returns the settings that are to be overridden, `{name: [old, new]}`.

    Args:
        config: Dict, the run's config.json.
        settings: Dict, what the run should go on with.
        override: Whether settings may differ that leave the shape of the training's state as it is.

    Raises:
        RunError: If another setting differs, or one does and `override` is false.
    """
    PPOConfig.from_settings(config)
    free: Sequence[str] = _FREE_SETTINGS
    overridable: Sequence[str] = ("eval_episodes", *OVERRIDABLE_SETTINGS)
    if settings["anneal_learning_rate"]:  # the schedule ends at total_steps
        free = [name for name in free if name != "total_steps"]
        overridable = ("total_steps", *overridable)
    changed = {}
    for name, value in settings.items():
        recorded, value = _plain(config.get(name)), _plain(value)
        is_same = same_config if name in _KERAS_CONFIGS else operator.eq
        if name in free or is_same(recorded, value):
            continue
        if not (override and name in overridable):
            way = " Start a new run for another value."
            if name in overridable:
                way = " To go on with another value from here give `--override` (`override=True`)."
            raise RunError(
                f"`{name}` should be {recorded!r}, as in the run's config.json: a resumed run "
                f"keeps its settings.{way} Received: {name}={value!r}"
            )
        changed[name] = [recorded, value]
    return changed


def recorded_overrides(config: dict[str, Any]) -> list[Any]:
    """Returns the list `overrides` of a config.json, empty where there is none.

    Raises:
        RunError: If it is not such a list.
    """
    overrides = config.get("overrides", [])
    if not (isinstance(overrides, list) and all(map(_is_override, overrides))):
        raise RunError(
            "`overrides` in config.json should be a list of objects with an `update` and "
            f"`settings`, each with its old and its new value. Received: overrides={overrides!r}"
        )
    return overrides


def apply_overrides(checkpoint: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Returns a checkpoint as the settings of the run want it, if those that were overridden since
    decide what is in it: the learning rate.

    A constant learning rate is a variable of the optimizer. An annealed one follows from the
    optimizer's steps; where a number of steps in an update was overridden they are counted as if
    all updates had had that many.

    Args:
        checkpoint: Dict with `update`, `arrays` and `overrides`, how many there were.
        config: Dict, the run's config.json.
    """
    overrides = recorded_overrides(config)
    pending = overrides[checkpoint["overrides"] :]
    checkpoint = {**checkpoint, "overrides": len(overrides)}
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for override in pending:
        for name, (before, after) in override["settings"].items():
            old.setdefault(name, before)
            new[name] = after
    changed = {name for name in new if old[name] != new[name]}
    if not changed & {"learning_rate", "anneal_learning_rate", "num_epochs", "num_minibatches"}:
        return checkpoint
    ppo = PPOConfig.from_settings(config)
    arrays = dict(checkpoint["arrays"])
    for seed in range(config.get("num_seeds", 1)):
        path = path_of_seed(seed, "optimizer/")
        own = _overridden(_optimizer(arrays, path), checkpoint["update"], ppo, old, changed)
        arrays |= {f"{path}{index}": array for index, array in enumerate(own)}
    return {**checkpoint, "arrays": arrays}


def _overridden(
    optimizer: list[Array], update: int, ppo: PPOConfig, old: dict[str, Any], changed: set[str]
) -> list[Array]:
    """The optimizer's arrays of one seed as the settings want them."""
    was_annealed = old.get("anneal_learning_rate", ppo.anneal_learning_rate)
    iterations, *others = optimizer
    learning_rate = None if was_annealed else others.pop(0)
    if ppo.anneal_learning_rate:
        if changed != {"learning_rate"}:
            steps = update * ppo.num_epochs * ppo.num_minibatches
            if ppo.target_kl is None:
                iterations = np.asarray(steps, iterations.dtype)
            else:  # the schedule counts skipped steps, too
                others[0] = np.asarray(steps - int(iterations), "int64")
    else:
        if was_annealed or "learning_rate" in changed:
            learning_rate = np.asarray(ppo.learning_rate, "float32")
        others.insert(0, learning_rate)
    return [iterations, *others]


def _plain(value: Any) -> Any:
    """A value as JSON has it, without tuples."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _is_override(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and type(entry.get("update")) is int
        and isinstance(entry.get("settings"), dict)
        and all(isinstance(pair, list) and len(pair) == 2 for pair in entry["settings"].values())
    )


def _optimizer(arrays: dict[str, Array], path: str) -> list[Array]:
    """The optimizer's arrays in their order: its steps, a constant learning rate, and moments."""
    names = [name for name in arrays if name.startswith(path)]
    if {f"{path}{index}" for index in range(len(names))} != set(names) or len(names) < 2:
        raise RunError("The checkpoint should hold the variables of the optimizer, one by one.")
    return [arrays.pop(f"{path}{index}") for index in range(len(names))]
