"""The tasks of DeepMind Control by name, for which the extra `mujoco` is needed."""

import difflib
import importlib
import warnings
from typing import Any

_UNBOUNDED = 1e10


def task_names() -> list[str]:
    """Returns the names of the tasks, such as `"finger_spin"`: `<domain>_<task>`, a sorted list."""
    return sorted(f"{domain}_{task}" for domain, task in _import_suite().ALL_TASKS)


def load(name: str) -> Any:
    """Loads a task.

    Args:
        name: String, a name of `task_names()`.

    Returns:
        A `dm_control.rl.control.Environment`.

    Raises:
        ValueError: If dm_control is not installed, the name is unknown, or actions are unbounded
            (the lqr tasks).
    """
    suite = _import_suite()
    pairs = {f"{domain}_{task}": (domain, task) for domain, task in suite.ALL_TASKS}
    if name not in pairs:
        nearest = difflib.get_close_matches(str(name), pairs, n=5, cutoff=0.5)
        hint = f"the nearest known names are {', '.join(nearest)}" if nearest else "none is similar"
        raise ValueError(
            f"`task` should be the name of a task of DeepMind Control, `<domain>_<task>`; {hint}. "
            f"Received: task={name!r}"
        )
    env = suite.load(*pairs[name])
    if env.action_spec().maximum.max(initial=0.0) >= _UNBOUNDED:
        raise ValueError(f"`task` should have bounded actions. Received: task={name!r}")
    return env


def import_domain(domain: str) -> Any:
    """Returns the module of a domain of the suite, such as `"finger"`.

    Raises:
        ValueError: If dm_control is not installed.
    """
    _import_suite()
    return importlib.import_module(f"dm_control.suite.{domain}")


def _import_suite() -> Any:
    try:
        with warnings.catch_warnings():
            # Without a display the libraries that draw warn; nothing is drawn here.
            warnings.simplefilter("ignore")
            import mujoco  # noqa: F401  the extra is both
            from dm_control import suite
    except ImportError as error:
        raise ValueError(
            "The tasks of DeepMind Control need MuJoCo and dm_control: "
            f'pip install "keras_s5rl[mujoco]". Received: {error}'
        ) from error
    return suite
