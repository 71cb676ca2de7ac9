"""Engines by name: what computes the physics of control tasks."""

import importlib
from collections.abc import Sequence
from typing import Any

from keras_s5rl.envs.arguments import check_choice

_ENGINES = {
    "native": "keras_s5rl.envs.control.engine:ControlEngine",
    "mujoco": "keras_s5rl.envs.mujoco.mujoco_engine:MujocoEngine",
    "mjx": "keras_s5rl.envs.mujoco.mjx_engine:MjxEngine",
}


def check_no_scales(scales: Any) -> None:
    """Raises ValueError unless `scales`, factors on the physics, is None."""
    if scales is not None:
        raise ValueError(
            "`scales` should be None: MuJoCo's models are stepped as they are. Use the native "
            f"engine to vary the physics. Received: scales={sorted(scales)}"
        )


def make_engine(engine: str, tasks: Sequence[str]) -> Any:
    """Makes an engine for a set of tasks.

    Args:
        engine: String: `"native"` (keras.ops, the contact-free tasks), `"mujoco"` (C MuJoCo on the
            host, any task with bounded actions) or `"mjx"` (MuJoCo in JAX).
        tasks: Sequence of names.

    Raises:
        ValueError: If the engine is unknown, cannot run here, or does not know a task.
    """
    check_choice("engine", engine, _ENGINES)
    if not isinstance(tasks, list | tuple) or not all(isinstance(task, str) for task in tasks):
        raise ValueError(f"`tasks` should be a tuple of names of tasks. Received: tasks={tasks!r}")
    module, name = _ENGINES[engine].split(":")
    return getattr(importlib.import_module(module), name)(tasks)
