"""The control tasks once more, slowly: Lagrange's equations in float64, and DMC's rewards in its
own words.

Coordinates are the joints' (relative angles), the matrix of masses comes from Jacobians of the
links' centres, its derivatives from complex steps, forces of limits from an iterative solver.
"""

import numpy as np

from keras_s5rl.envs.control.tasks import TASKS

_STEP = 1e-30  # of the complex derivatives


class Lagrangian:
    """One task with factors on its physics; `q`, `v` are float64 `(1 + links,)`, slot 0 unused by a
    chain without a slider."""

    def __init__(self, task, mass=1.0, length=1.0, gear=1.0, damping=1.0):
        self.task, self.spec = task, TASKS[task]
        self.is_point = task.startswith("point_mass")
        self.length = 1.0 if self.is_point else length
        self.mass = mass
        self.gear = gear * np.array(self.spec.gear)
        self.damping = damping * np.array(self.spec.damping)
        self.free = [] if self.spec.slider_mass else [0]  # slots that no joint fills

    def jacobians(self, q):
        """For each body: mass, inertia, and derivatives of its centre (x, z) and its angle."""
        spec, num = self.spec, len(q)
        rows = [np.eye(num)[0], np.zeros(num), np.zeros(num)]
        yield self.mass * spec.slider_mass, 0.0, [row.astype(q.dtype) for row in rows]
        if self.is_point:
            along_y = np.eye(num)[1]
            yield self.mass * spec.slider_mass, 0.0, [0 * along_y, along_y, 0 * along_y]
            return
        angles = np.cumsum(q[1:])
        for i, link in enumerate(spec.links):
            x, z, turn = np.zeros((3, num), q.dtype)
            x[0] = spec.slider_mass > 0
            for k in range(i + 1):
                arms = [other.length for other in spec.links[k:i]] + [link.center]
                x[k + 1] = self.length * np.dot(arms, np.cos(angles[k : i + 1]))
                z[k + 1] = -self.length * np.dot(arms, np.sin(angles[k : i + 1]))
                turn[k + 1] = 1.0
            yield self.mass * link.mass, self.mass * self.length**2 * link.inertia, [x, z, turn]

    def masses(self, q):
        matrix = np.zeros((len(q), len(q)), q.dtype)
        for mass, inertia, (x, z, turn) in self.jacobians(q):
            matrix += mass * (np.outer(x, x) + np.outer(z, z)) + inertia * np.outer(turn, turn)
        matrix[self.free, self.free] = 1.0
        return matrix

    def forces(self, q, v, control):
        """All forces but those of limits and inertia."""
        total = self.gear @ control - self.damping * v
        for mass, _, (_, z, _) in self.jacobians(q):
            total -= mass * self.spec.gravity * z
        slopes = []
        for k in range(len(q)):
            stepped = q.astype(complex)
            stepped[k] += 1j * _STEP
            slopes.append(self.masses(stepped).imag / _STEP)
        slopes = np.array(slopes)
        total -= np.einsum("ikj,i,j->k", slopes, v, v) - np.einsum("kij,i,j->k", slopes, v, v) / 2
        total[self.free] = 0.0
        return total

    def limit_forces(self, q, v, matrix, forces):
        """Gauss-Seidel on all limits that are passed."""
        rest = np.linalg.inv(self.masses(np.zeros(len(q))))
        rows = [slot for slot, limit in enumerate(self.spec.limits) if abs(q[slot]) > limit]
        pushes = np.zeros(len(q))
        inverse = np.linalg.inv(matrix)
        time_constant = max(self.spec.limit_time_constant, 2 * self.spec.time_step)
        for _ in range(100):
            for slot in rows:
                sign = -np.sign(q[slot])
                beyond = abs(q[slot]) - self.spec.limits[slot]
                x = min(beyond / 0.001, 1.0)
                impedance = 0.9 + 0.05 * (2 * x**2 if x < 0.5 else 1 - 2 * (1 - x) ** 2)
                target = -2 / (0.95 * time_constant) * sign * v[slot]
                target += impedance * beyond / (0.95 * time_constant) ** 2
                slack = (1 - impedance) / impedance * rest[slot, slot]
                others = pushes.copy()
                others[slot] = 0.0
                acceleration = sign * (inverse @ (forces + others))[slot]
                pushes[slot] = sign * max(
                    0, (target - acceleration) / (inverse[slot, slot] + slack)
                )
        return pushes

    def evaluate(self, q, v, control):
        matrix, forces = self.masses(q), self.forces(q, v, control)
        return matrix, forces + self.limit_forces(q, v, matrix, forces)

    def step(self, q, v, directions, control):
        control, h = directions.T @ control, self.spec.time_step
        if self.spec.integrator == "euler":
            matrix, forces = self.evaluate(q, v, control)
            v = v + h * np.linalg.solve(matrix + h * np.diag(self.damping), forces)
            return q + h * v, v
        speeds, accelerations = [v], [np.linalg.solve(*self.evaluate(q, v, control))]
        for part in (h / 2, h / 2, h):
            stage = q + part * speeds[-1], v + part * accelerations[-1]
            speeds.append(stage[1])
            accelerations.append(np.linalg.solve(*self.evaluate(*stage, control)))
        weights = h / 6 * np.array([1, 2, 2, 1])
        return q + weights @ speeds, v + weights @ accelerations

    def goal(self, q, target):
        """From what is to be moved to where it is to be."""
        angles, arms = np.cumsum(q[1:]), [self.length * link.length for link in self.spec.links]
        if self.task.startswith("reacher"):
            return target - [np.dot(arms, np.cos(angles)), np.dot(arms, np.sin(angles))]
        if self.task.startswith("acrobot"):
            return np.array(
                [sum(arms) - np.dot(arms, np.cos(angles)), np.dot(arms, np.sin(angles))]
            )
        return -q[:2]

    def observation(self, q, v, target):
        angles = np.cumsum(q[1:])
        cos, sin = np.cos(angles), np.sin(angles)
        if self.task.startswith("pendulum"):
            return np.array([cos[0], sin[0], v[1]])
        if self.task.startswith("acrobot"):
            return np.concatenate([sin, cos, v[1:]])
        if self.task.startswith("reacher"):
            return np.concatenate([q[1:], self.goal(q, target), v[1:]])
        if self.task.startswith("point_mass"):
            return np.concatenate([q, v])
        return np.concatenate([q[:1], np.stack([cos, sin], axis=1).ravel(), v])

    def reward(self, q, v, target, control):
        cos = np.cos(np.cumsum(q[1:]))
        distance = np.linalg.norm(self.goal(q, target))
        if self.task == "pendulum_swingup":
            return float(cos[0] >= np.cos(np.deg2rad(8)))
        if self.task.startswith("acrobot"):
            return tolerance(distance, 0.2, margin=0 if self.task.endswith("sparse") else 1)
        if self.task.startswith("reacher"):
            return tolerance(distance, {"easy": 0.05, "hard": 0.015}[self.task[8:]] + 0.01)
        if self.task.startswith("point_mass"):
            near = tolerance(distance, 0.015, margin=0.015)
            return near * (np.mean(np.maximum(0, 1 - control**2)) + 4) / 5
        if self.task.endswith("sparse"):
            return float(abs(q[0]) <= 0.25) * float(np.all(cos >= 0.995))
        centered = (1 + tolerance(abs(q[0]), 0, margin=2)) / 2
        small_control = (4 + max(0, 1 - control[0] ** 2)) / 5
        small_speed = (1 + min(tolerance(abs(speed), 0, margin=5) for speed in v[1:])) / 2
        return np.mean((cos + 1) / 2) * small_control * small_speed * centered


def tolerance(value, bound, margin=0.0):
    """DMC's `tolerance` of a value that is not negative."""
    if value <= bound:
        return 1.0
    return 0.0 if margin == 0 else np.exp(-0.5 * ((value - bound) / margin) ** 2 * 2 * np.log(10))
