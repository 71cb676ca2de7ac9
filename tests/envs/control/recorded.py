"""Recorded MuJoCo trajectories in the engine's padded layout."""

from pathlib import Path

import numpy as np

from keras_s5rl.envs.control.tasks import TASKS

GOLDEN = Path(__file__).parent / "golden"


def load(task):
    """The file of a task: `qpos`, `qvel`, `obs` `(2, 401, ...)`, `action`, `reward` `(2, 400, ...)`
    and, of tasks that draw them, `target` `(2, 2)`, `tendon_coef` `(2, 4)`; all float64."""
    with np.load(GOLDEN / f"{task}.npz") as data:
        return dict(data)


def slots(task):
    """The slots of the padded layout that the task's own joints fill, in order."""
    first = 0 if TASKS[task].slider_mass else 1
    return list(range(first, 1 + len(TASKS[task].links)))


def padded(values, columns, size):
    """Puts the last axis of `values` into `columns` of `size`, zeros elsewhere."""
    result = np.zeros((*values.shape[:-1], size))
    result[..., columns] = values
    return result


def padded_body(task, data, num_dofs):
    """The recorded states as a body with axes `(2, 401)`, and the actions `(2, 400, 2)`."""
    batch = data["qpos"].shape[:2]
    target = data.get("target", np.zeros((2, 2)))
    directions = np.tile(np.eye(2), (2, 1, 1))
    if task == "point_mass_hard":
        directions = data["tendon_coef"].reshape(2, 2, 2)
    body = {
        "qpos": padded(data["qpos"], slots(task), num_dofs),
        "qvel": padded(data["qvel"], slots(task), num_dofs),
        "target": np.broadcast_to(target[:, None], (*batch, 2)),
        "tendon_coef": np.broadcast_to(directions[:, None], (*batch, 2, 2)),
    }
    num_controls = data["action"].shape[-1]
    return body, padded(data["action"], list(range(num_controls)), 2)
