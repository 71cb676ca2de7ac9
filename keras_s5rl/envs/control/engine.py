"""`ControlEngine`: any mix of control tasks in one stream of vector operations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.control import dynamics, tables
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.typing import Array, Tensor, Tensors

_LEAST_ANGLE = math.acos(0.9)  # between two directions of controls (rad)
_INTEGRATORS = ("euler", "rk4")


class ControlEngine:
    """Physics, observations and rewards of control tasks, each environment with a task of its own.

    The tasks are those of the DeepMind Control Suite without contacts, equal to MuJoCo's to float32
    rounding. All of them are one chain of links on a slider with different constants, so that no
    operation asks which task it is: `constants` gathers the numbers of every environment's task,
    and all other methods compute with them.

    A body is the state of the physics in a padded layout, a dict of float32 tensors:

    | key | shape | what |
    | --- | --- | --- |
    | `qpos` | `(num_envs, num_dofs)` | slot 0: the slider (m); slots 1, 2, ...: hinges (rad) |
    | `qvel` | `(num_envs, num_dofs)` | their speeds (m/s, rad/s) |
    | `target` | `(num_envs, 2)` | the reacher's target (m), else 0 |
    | `tendon_coef` | `(num_envs, 2, 2)` | row k: direction in which control k acts |

    A pendulum has slot 1, an acrobot and a reacher slots 1 and 2, a cart-pole slots 0 and up, a
    point mass slots 0 and 1; other slots stay 0.

    Args:
        tasks: Tuple of names of `keras_s5rl.envs.control.tasks.TASKS`.

    Raises:
        ValueError: If `tasks` is empty or holds another name.

    Attributes:
        tasks: The argument.
        num_dofs: Integer, slots: one more than the most links of a task.
        num_controls: 2; a task with one control ignores the second.
        observation_size: Integer, the largest observation of a task.
        observation_sizes, control_sizes: Tuples of integers, of each task.
        time_steps: Tuple of floats, seconds of a control step of each task.

    Example:

    >>> from keras import ops
    >>> from keras_s5rl import random
    >>> from keras_s5rl.envs.control.engine import ControlEngine
    >>> engine = ControlEngine(("cartpole_swingup", "reacher_easy"))
    >>> task = ops.convert_to_tensor([0, 1, 1], dtype="int32")
    >>> constants = engine.constants(task)
    >>> body = engine.draw_starts(random.key(0), task)
    >>> control = ops.ones((3, 2))
    >>> body = engine.step(constants, body, control)
    >>> engine.observation(constants, body).shape
    (3, 6)
    >>> engine.reward(constants, body, control).shape
    (3,)

    Reference: Tassa et al., 2018, "DeepMind Control Suite" (dm-control 1.0.50, MuJoCo 3.17).
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        is_sequence = isinstance(tasks, list | tuple) and len(tasks) > 0
        if not is_sequence or any(not isinstance(t, str) or t not in TASKS for t in tasks):
            raise ValueError(
                "`tasks` should be a tuple of at least one name among "
                f"{', '.join(TASKS)}. Received: tasks={tasks!r}"
            )
        self.tasks = tuple(tasks)
        self._specs = [TASKS[task] for task in self.tasks]
        self.num_controls = 2
        self.num_dofs = 1 + max(len(spec.links) for spec in self._specs)
        self.observation_sizes = tuple(len(spec.observation) for spec in self._specs)
        self.observation_size = max(self.observation_sizes)
        self.control_sizes = tuple(
            int(np.count_nonzero(np.any(spec.gear, axis=0))) for spec in self._specs
        )
        self.time_steps = tuple(spec.time_step for spec in self._specs)
        self._tables = {
            **tables.physics_tables(self._specs, self.num_dofs),
            **tables.goal_tables(self._specs, self.num_dofs),
            "observation_index": tables.observation_table(self._specs, self.num_dofs),
        }
        self._start_tables = tables.start_tables(self._specs, self.num_dofs)
        self._limited_slots = {
            integrator: self._find_limited_slots(integrator) for integrator in _INTEGRATORS
        }
        used = {spec.integrator for spec in self._specs}
        steps = {"euler": dynamics.euler_step, "rk4": dynamics.rk4_step}
        self._integrate = steps[used.pop()] if len(used) == 1 else dynamics.mixed_step

    def _find_limited_slots(self, integrator: Any) -> list[int]:
        limits = [spec.limits for spec in self._specs if spec.integrator == integrator]
        finite = [np.flatnonzero(np.isfinite(row)).tolist() for row in limits]
        return sorted({slot for slots in finite for slot in slots})

    def constants(self, task: Tensor, scales: Tensors | None = None) -> Tensors:
        """Gathers the numbers of every environment's task.

        Args:
            task: int32 `(num_envs,)`, indices into `tasks`.
            scales: `None`, or a dict of float32 `(num_envs,)`, factors of all masses (`mass`), of
                all lengths (`length`), of the forces of the controls (`gear`) and of the joints'
                damping (`damping`). Moments of inertia go with mass and length squared. A point
                mass has no length. Of the goals, only an acrobot's goes with its length; bounds of
                rewards and the range of targets stay as they are.

        Returns:
            Dict of tensors with leading axis `num_envs`.
        """
        constants = _gather(self._tables, task)
        resizes = constants.pop("resizes")
        if scales is None:
            return constants
        scales = {name: ops.cast(factor, "float32") for name, factor in scales.items()}
        mass, length = scales["mass"], ops.where(resizes, scales["length"], 1.0)
        factors = {
            "inertia": mass * ops.square(length),
            "coupling": mass * length,
            "weight": mass * length,
            "slider_mass": mass,
            "gear": scales["gear"],
            "damping": scales["damping"],
            "reach": length,
            "goal_height": length,
        }
        for name, factor in factors.items():
            trailing = [1] * (len(constants[name].shape) - 1)
            constants[name] = constants[name] * ops.reshape(factor, (-1, *trailing))
        slider, hinge = 1.0 / mass, 1.0 / (mass * ops.square(length))
        constants["limit_inverse_inertia"] *= ops.stack(
            [slider, *[hinge] * (self.num_dofs - 1)], axis=1
        )
        return constants

    def draw_starts(self, key: Tensor, task: Tensor, num_trials: int | None = None) -> Tensors:
        """Draws everything random about starts, as DMC does.

        Args:
            key: uint32 tensor of shape `(2,)`.
            task: int32 `(num_envs,)`, indices into `tasks`.
            num_trials: `None`, or an integer: so many starts of every environment.

        Returns:
            A body; with `num_trials` its tensors have that axis after `num_envs`.
        """
        table = _gather(self._start_tables, task)
        batch = tuple(task.shape)
        if num_trials is not None:
            batch = (*batch, num_trials)
            table = {name: ops.expand_dims(values, 1) for name, values in table.items()}
        keys = ops.unstack(random.split(key, 5), 5)
        joints = (*batch, self.num_dofs)
        qpos = (
            table["center"]
            + table["half_width"] * random.uniform(keys[0], joints, -1.0, 1.0)
            + table["deviation"] * random.normal(keys[1], joints)
        )
        qvel = table["speed_deviation"] * random.normal(keys[2], joints)

        turn, share = ops.unstack(random.uniform(keys[3], (*batch, 2)), 2, axis=-1)
        nearest, farthest = ops.unstack(table["target_radius"], 2, axis=-1)
        radius = nearest + (farthest - nearest) * share
        angle = 2.0 * math.pi * turn
        target = ops.expand_dims(radius, -1) * ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1)

        # DMC draws the second direction anew until it is not too parallel to the first. The angle
        # between them is then uniform on what is left of the circle.
        turn, between = ops.unstack(random.uniform(keys[4], (*batch, 2), -1.0, 1.0), 2, axis=-1)
        first, width = math.pi * turn, math.pi - 2.0 * _LEAST_ANGLE
        second = first + ops.where(between < 0.0, -_LEAST_ANGLE, _LEAST_ANGLE) + width * between
        angles = ops.stack([first, second], axis=-1)
        tendon_coef = ops.where(
            table["mixes_controls"][..., None, None],
            ops.stack([ops.cos(angles), ops.sin(angles)], axis=-1),
            ops.eye(2, dtype="float32"),
        )
        return {"qpos": qpos, "qvel": qvel, "target": target, "tendon_coef": tendon_coef}

    def step(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensors:
        """Takes one control step, which is one step of MuJoCo's integrator.

        Args:
            constants: Dict from `constants`.
            body: Body before the step.
            control: float32 `(num_envs, 2)` in `[-1, 1]`.

        Returns:
            The body after the step.
        """
        control = ops.sum(body["tendon_coef"] * control[:, :, None], axis=1)
        force = ops.sum(constants["gear"] * control[:, None, :], axis=2)
        q, v = self._integrate(
            self._chain(constants), *map(_columns, (body["qpos"], body["qvel"], force))
        )
        return {**body, "qpos": ops.stack(q, axis=1), "qvel": ops.stack(v, axis=1)}

    def _chain(self, constants: Tensors) -> dict[str, Any]:
        """Returns the constants as `dynamics` takes them: lists of `(num_envs,)`."""
        chain = {
            name: _columns(constants[name])
            for name in (
                "coupling",
                "weight",
                "damping",
                "is_present",
                "limit",
                "limit_inverse_inertia",
            )
        }
        for name in ("slider_mass", "time_step", "is_rk4", "limit_stiffness", "limit_damping"):
            chain[name] = constants[name]
        chain["inertia"] = [
            _columns(constants["inertia"][:, link]) for link in range(self.num_dofs - 1)
        ]
        chain["euler_limits"] = self._limited_slots["euler"]
        chain["rk4_limits"] = self._limited_slots["rk4"]
        return chain

    def observation(self, constants: Tensors, body: Tensors) -> Tensor:
        """Returns DMC's observations in DMC's order, zeros after them.

        Args:
            constants: Dict from `constants`.
            body: Body.

        Returns:
            float32 `(num_envs, observation_size)`.
        """
        cos, sin, goal = self._kinematics(constants, body)
        nothing = ops.zeros_like(goal[:, :1])
        features = [body["qpos"], body["qvel"], cos, sin, goal, nothing]
        features = ops.concatenate(features, axis=1)
        return ops.take_along_axis(features, constants["observation_index"], axis=1)

    def reward(self, constants: Tensors, body: Tensors, control: Tensor) -> Tensor:
        """Returns DMC's rewards.

        Every task's is a product of the same five factors, of which it has some:

            near(distance to the goal) * [all cos h_i >= least cosine]
            * (1 - sum_i w_i (1 - cos h_i) / 2)
            * (1 + bell(fastest hinge)) / 2 * (1 - sum_k c_k u_k^2 / 5)

        where `h` are the links' angles, `bell(x) = 0.1^{x^2}` of a quantity over its margin, and
        `near` is the bell of what is beyond the goal's radius, above a least value. A margin next
        to nothing makes the bell a step.

        Args:
            constants: Dict from `constants`.
            body: Body after the step.
            control: float32 `(num_envs, 2)` in `[-1, 1]`, the controls of the step.

        Returns:
            float32 `(num_envs,)` in `[0, 1]`.
        """
        cos, _, goal = self._kinematics(constants, body)
        beyond = ops.sqrt(ops.sum(ops.square(goal), axis=1)) - constants["goal_radius"]
        near = _bell(ops.maximum(beyond, 0.0) * constants["goal_inverse_margin"])
        near = constants["goal_minimum"] + (1.0 - constants["goal_minimum"]) * near
        upright = ops.cast(ops.min(cos, axis=1) >= constants["least_cosine"], "float32")
        high = 1.0 - ops.sum(constants["height_weights"] * (1.0 - cos), axis=1) / 2.0
        fastest = ops.max(ops.abs(body["qvel"][:, 1:]), axis=1)
        slow = (1.0 + _bell(fastest * constants["speed_inverse_margin"])) / 2.0
        effort = ops.sum(constants["control_weights"] * ops.square(control), axis=1)
        return near * upright * high * slow * (1.0 - effort / 5.0)

    def has_fallen(self, constants: Tensors, body: Tensors) -> Tensor:
        """Returns whether a pole to be balanced is more than 0.25 rad off upright.

        Args:
            constants: Dict from `constants`.
            body: Body.

        Returns:
            bool `(num_envs,)`, False in all tasks but `cartpole_balance` and its sparse sister.
        """
        cos, _, _ = self._kinematics(constants, body)
        return ops.min(cos, axis=1) < constants["fall_cosine"]

    def _kinematics(self, constants: Tensors, body: Tensors) -> tuple[Tensor, Tensor, Tensor]:
        """Returns cosines and sines of the links' angles, `(num_envs, links)`, and the vector to
        the goal, `(num_envs, 2)`."""
        angles = ops.stack(dynamics.link_angles(_columns(body["qpos"])), axis=1)
        cos, sin = ops.cos(angles), ops.sin(angles)
        reach = constants["reach"]
        tip = [ops.sum(reach * cos, axis=1), ops.sum(reach * sin, axis=1)]
        tip[0] = tip[0] - constants["goal_height"]
        slots = constants["aims_slots"] * body["qpos"][:, :2]
        return cos, sin, body["target"] - slots - ops.stack(tip, axis=1)


def _gather(tables: dict[str, Array], task: Tensor) -> Tensors:
    return {
        name: ops.take(ops.convert_to_tensor(table), task, axis=0) for name, table in tables.items()
    }


def _columns(values: Tensor) -> list[Tensor]:
    return [values[:, i] for i in range(values.shape[1])]


def _bell(x: Tensor) -> Tensor:
    """DMC's Gaussian tolerance: 1 at 0, a tenth at the margin."""
    return ops.exp(-math.log(10.0) * ops.square(x))
