"""Tasks as rows of padded tables: what an engine gathers for each environment."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from keras_s5rl.envs.control import limits
from keras_s5rl.envs.control.tasks import ControlTask
from keras_s5rl.typing import Array

_FALL_ANGLE = 0.25  # rad
_NEVER = -2.0  # no cosine is below it


def physics_tables(specs: Sequence[ControlTask], num_dofs: int) -> dict[str, Array]:
    """Returns the physics of tasks: masses, forces, limits.

    With `m` a link's mass, `c` the distance from its hinge to its centre of mass, `l` its length,
    `I` its moment of inertia and `m+` the mass of all links after it,

        b_i  = m_i c_i + m+_i l_i
        A_ii = I_i + m_i c_i^2 + m+_i l_i^2,     A_ij = l_i b_j   (i < j)

    A link that a task does not have has `A_ii = 1` and `b_i = 0`, so that it stays where it is.

    Args:
        specs: List of `ControlTask`.
        num_dofs: Integer, slots of the padded layout.

    Returns:
        Dict of numpy arrays with leading axis `len(specs)`.
    """
    return _stacked(_physics(spec, num_dofs) for spec in specs)


def _physics(spec: ControlTask, num_dofs: int) -> dict[str, Array]:
    num_links = num_dofs - 1
    inertia, moment = np.eye(num_links), np.zeros(num_links)
    for j, link in enumerate(spec.links):
        after = sum(other.mass for other in spec.links[j + 1 :])
        moment[j] = link.mass * link.center + after * link.length
        inertia[j, j] = link.inertia + link.mass * link.center**2 + after * link.length**2
        for i in range(j):
            inertia[i, j] = inertia[j, i] = spec.links[i].length * moment[j]
    on_slider = spec.slider_mass > 0.0
    coupling = moment * on_slider
    slider_mass = spec.slider_mass + sum(link.mass for link in spec.links) if on_slider else 1.0

    # The inverse inertia that MuJoCo gives a joint (`invweight0`) is that of all joints at zero.
    matrix = np.block(
        [[np.full((1, 1), slider_mass), coupling[None]], [coupling[:, None], inertia]]
    )
    to_angles = np.eye(num_dofs)
    to_angles[1:, 1:] = np.tri(num_links)
    inverse_inertia = np.diag(np.linalg.inv(to_angles.T @ matrix @ to_angles))
    stiffness, damping = limits.gains(spec.limit_time_constant, spec.time_step)
    return {
        "inertia": inertia,
        "coupling": coupling,
        "weight": spec.gravity * moment,
        "slider_mass": slider_mass,
        "damping": _padded(spec.damping, num_dofs),
        "gear": _padded(spec.gear, num_dofs),
        "is_present": _padded([1.0] * (1 + len(spec.links)), num_dofs),
        "time_step": spec.time_step,
        "is_rk4": spec.integrator == "rk4",
        "resizes": spec.resizes,
        "limit": _padded(spec.limits, num_dofs, fill=math.inf),
        "limit_inverse_inertia": inverse_inertia,
        "limit_stiffness": stiffness,
        "limit_damping": damping,
    }


def goal_tables(specs: Sequence[ControlTask], num_dofs: int) -> dict[str, Array]:
    """Returns where the goals of tasks are and what their rewards ask for, as `physics_tables`."""
    return _stacked(_goal(spec, num_dofs) for spec in specs)


def _goal(spec: ControlTask, num_dofs: int) -> dict[str, Array]:
    num_links = len(spec.links)
    reach = [link.length * spec.aims_tip for link in spec.links]
    heights = [spec.raises_links / num_links] * num_links
    return {
        "reach": _padded(reach, num_dofs - 1),
        "aims_slots": np.array(spec.aims_slots),
        "goal_height": spec.aims_upright * sum(reach),
        "goal_radius": spec.goal_radius,
        "goal_inverse_margin": 1.0 / spec.goal_margin,
        "goal_minimum": spec.goal_minimum,
        "least_cosine": spec.least_cosine,
        "height_weights": _padded(heights, num_dofs - 1),
        "speed_inverse_margin": 1.0 / spec.speed_margin,
        "control_weights": np.array(spec.control_weights),
        "fall_cosine": math.cos(_FALL_ANGLE) if spec.falls else _NEVER,
    }


def start_tables(specs: Sequence[ControlTask], num_dofs: int) -> dict[str, Array]:
    """Returns the distributions of tasks' starts, as `physics_tables`."""
    return _stacked(_start(spec, num_dofs) for spec in specs)


def _start(spec: ControlTask, num_dofs: int) -> dict[str, Array]:
    speeds = [spec.start_speed_deviation] * (1 + len(spec.links))
    return {
        "center": _padded(spec.start_center, num_dofs),
        "half_width": _padded(spec.start_half_width, num_dofs),
        "deviation": _padded(spec.start_deviation, num_dofs),
        "speed_deviation": _padded(speeds, num_dofs),
        "target_radius": np.array(spec.target_radius),
        "mixes_controls": spec.mixes_controls,
    }


def feature_names(num_dofs: int) -> list[str]:
    """Returns the names that `ControlTask.observation` chooses from, in the engine's order."""
    slots, links = range(num_dofs), range(1, num_dofs)
    return [
        *(f"q{slot}" for slot in slots),
        *(f"v{slot}" for slot in slots),
        *(f"cos{link}" for link in links),
        *(f"sin{link}" for link in links),
        "goal0",
        "goal1",
    ]


def observation_table(specs: Sequence[ControlTask], num_dofs: int) -> Array:
    """Returns the places of tasks' observations among the features, int32 `(len(specs), largest
    observation)`; where a task has none left, the place after the last feature."""
    names = feature_names(num_dofs)
    size = max(len(spec.observation) for spec in specs)
    table = np.full((len(specs), size), len(names), dtype="int32")
    for row, spec in zip(table, specs, strict=True):
        row[: len(spec.observation)] = [names.index(name) for name in spec.observation]
    return table


def _padded(values: Any, size: int, fill: float = 0.0) -> Array:
    values = np.asarray(values, dtype=float)
    padding = [(0, size - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, padding, constant_values=fill)


def _stacked(rows: Iterable[dict[str, Array]]) -> dict[str, Array]:
    rows = list(rows)
    tables = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return {
        name: table if table.dtype == bool else table.astype("float32")
        for name, table in tables.items()
    }
