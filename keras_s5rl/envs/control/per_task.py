"""Arguments that are given task by task."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_s5rl.envs.arguments import check_positive_integer
from keras_s5rl.envs.control.observation_entries import ENTRIES
from keras_s5rl.typing import Array

_DECISION_TIME = 0.04  # seconds
_LARGEST_WEIGHT = 1e9


def action_repeats(
    tasks: Sequence[str], time_steps: Sequence[float], action_repeat: int | dict[str, int] | None
) -> list[int]:
    """Returns the number of control steps of a decision in each task, a list of integers.

    Args:
        tasks: Tuple of names.
        time_steps: The control step of each task in seconds.
        action_repeat: An integer for all; or a dict of integers by task. Where nothing is given a
            decision takes 0.04 s, with the point masses 0.08 s.
    """
    steps = zip(tasks, time_steps, strict=True)
    repeats = {task: max(1, round(_DECISION_TIME / step)) for task, step in steps}
    repeats |= {task: 4 for task in tasks if task.startswith("point_mass")}
    if isinstance(action_repeat, dict):
        _check_names("action_repeat", action_repeat, tasks)
        repeats |= action_repeat
    elif action_repeat is not None:
        repeats = dict.fromkeys(tasks, action_repeat)
    for repeat in repeats.values():
        check_positive_integer("action_repeat", repeat, largest=1_000)
    return [repeats[task] for task in tasks]


def task_bounds(tasks: Sequence[str], task_weights: Mapping[str, float] | None) -> Array:
    """Returns where the tasks part the numbers from 0 to 1 in proportion to their weights, an
    increasing float32 array of one number less than there are tasks.

    Args:
        tasks: Tuple of names.
        task_weights: Dict of positive numbers by task, 1 for those that it lacks.
    """
    if not isinstance(task_weights, dict):
        raise ValueError(
            "`task_weights` should be a dict of positive numbers by task. Received: "
            f"task_weights={task_weights!r}"
        )
    _check_names("task_weights", task_weights, tasks)
    for weight in task_weights.values():
        is_number = isinstance(weight, numbers.Real) and not isinstance(weight, bool)
        if not is_number or not 0 < weight <= _LARGEST_WEIGHT:
            raise ValueError(
                f"`task_weights` should hold positive numbers of at most {_LARGEST_WEIGHT:g} by "
                f"task. Received: task_weights={task_weights}"
            )
    weights = np.array([task_weights.get(task, 1.0) for task in tasks])
    return (np.cumsum(weights)[:-1] / np.sum(weights)).astype("float32")


def _check_names(name: str, by_task: Mapping[str, Any], tasks: Sequence[str]) -> None:
    # Tasks that are not drawn may be named: other tiers have others.
    unknown = sorted(map(str, set(by_task) - set(tasks) - set(ENTRIES)))
    if unknown:
        raise ValueError(
            f"`{name}` should name control tasks, such as {', '.join(tasks)}; {', '.join(unknown)} "
            f"are none. Received: {name}={by_task}"
        )
