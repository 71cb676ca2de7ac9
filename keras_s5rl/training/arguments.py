"""Checks of the arguments that a user gives to the agent."""

import inspect
import os
from collections.abc import Mapping
from typing import Any

import keras

from keras_s5rl.envs.arguments import check_boolean
from keras_s5rl.ppo.config import PPOConfig
from keras_s5rl.ppo.run_settings import EVALUATION_SETTINGS


def check_count(name: str, value: Any) -> None:
    """Raises a ValueError unless the value is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value!r}")


def check_verbose(value: Any) -> None:
    """Raises a ValueError unless the value says whether to show progress, as Keras' `fit` takes it
    too."""
    if not (isinstance(value, int) and value in (0, 1, 2)):
        raise ValueError(f"`verbose` should be True or False. Received: verbose={value!r}")


def check_env_args(env_args: Any) -> None:
    """Raises a ValueError unless the value is a dict of keyword arguments, or `None`."""
    if env_args is None:
        return
    if not isinstance(env_args, dict) or not all(isinstance(name, str) for name in env_args):
        raise ValueError(
            "`env_args` should be a dict of keyword arguments of the environment, such as "
            f"{{'k': 8}}, or None. Received: env_args={env_args!r}"
        )


def check_config(config: Any) -> None:
    """Raises a ValueError unless the value is a `PPOConfig`, or `None`."""
    if config is None or isinstance(config, PPOConfig):
        return
    if isinstance(config, type):
        what = "an object: make one with PPOConfig(...)"
    else:
        what = "a PPOConfig: make one of a dict of settings with PPOConfig(**settings)"
    raise ValueError(f"`config` should be {what}. Received: config={config!r}")


def check_policy(policy: Any) -> None:
    """Raises a ValueError unless the value has what `ActorCritic` has for acting."""
    if not all(hasattr(policy, name) for name in ("act", "get_initial_state", "programs")):
        raise ValueError(
            "`policy` should be a keras_s5rl policy, such as `agent.policy` or what "
            f"`load_policy(path)` returns. Received: policy={policy!r}"
        )


def check_callbacks(callbacks: Any) -> None:
    """Raises a ValueError unless the value is a Keras callback, or a list of them."""
    for callback in keras.tree.flatten(callbacks or ()):
        if not isinstance(callback, keras.callbacks.Callback):
            hint = ", an object and not its class" if inspect.isclass(callback) else ""
            raise ValueError(
                f"`callbacks` should hold Keras callbacks (`keras.callbacks.Callback`){hint}. "
                f"Received: {callback!r} among callbacks"
            )


def check_path(name: str, path: Any, required: bool = False) -> None:
    """Raises a ValueError unless the value is the path of a folder, or `None` where none is
    required."""
    if path is None and not required:
        return
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(
            f"`{name}` should be the path of a folder, such as 'runs/demo'. "
            f"Received: {name}={path!r}"
        )


def check_fit(
    counts: Mapping[str, Any],
    run_dir: Any,
    resume: Any,
    resuming: Mapping[str, Any],
    unnamed: str | None,
) -> None:
    """Raises a ValueError unless these arguments of `PPO.fit` are right, and go together.

    Args:
        counts: Dict of the arguments that should be positive integers, by name.
        run_dir: As for `fit`.
        resume: As for `fit`.
        resuming: Dict of the arguments that say how to resume, by name.
        unnamed: String, the class of an environment that was given as an object; else `None`.
    """
    for name, value in counts.items():
        check_count(name, value)
    check_boolean("resume", resume)
    check_path("run_dir", run_dir)
    if resume and run_dir is None:
        raise ValueError("`run_dir` should name the run to resume. Received: run_dir=None")
    if run_dir is not None and unnamed is not None:
        raise ValueError(
            "`run_dir` needs an environment that can be made again by its name: register it with "
            "`keras_s5rl.envs.register_env`, or with `gymnasium.register` and name it "
            f"'gymnasium:module:id'. Received: env={unnamed}"
        )
    for name, value in resuming.items():
        check_boolean(name, value)
        if value and not resume:
            raise ValueError(
                f"`{name}` goes with `resume=True`. Received: {name}={value}, resume=False"
            )


def check_evaluation(evaluation: Mapping[str, Any], num_seeds: int = 1) -> None:
    """Raises a ValueError unless the arguments of `PPO.fit` on evaluations are right, and go
    together."""
    for name, setting in EVALUATION_SETTINGS.items():
        setting.checked(name, evaluation[name])
    patience = evaluation["early_stop_patience"]
    if num_seeds > 1 and patience is not None:
        raise ValueError(
            "`early_stop_patience` goes with one seed: side by side all train for as long. Leave "
            "it out, and take the best policy of each; or train the seeds one after the other. "
            f"Received: early_stop_patience={patience}, num_seeds={num_seeds}"
        )
    if patience is not None and evaluation["eval_every"] is None:
        raise ValueError(
            "`early_stop_patience` counts evaluations while training: give `eval_every`, too. "
            f"Received: early_stop_patience={patience}, eval_every=None"
        )
