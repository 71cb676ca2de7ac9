"""The bodies of the control tasks: poles on a cart, arms and a ball, in words and in pictures."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.rendering.canvas import (
    BLUE,
    FAINT,
    GOLD,
    GREEN,
    INK,
    MUTED,
    PAPER,
    RED,
    Canvas,
    blend,
)
from keras_s5rl.typing import Array

WIDTH, HEIGHT = 460, 300  # pixels of `draw_body`
_X, _Y, _ROOM = WIDTH / 2, 170, 124  # the middle of a body, and how far it may reach up and down
_GOAL = blend(GREEN, PAPER, 0.6)  # where the reward is
_PUSH = 28  # pixels of the arrow of the largest push


@dataclasses.dataclass(frozen=True)
class Body:
    """A task of the DeepMind Control Suite and how its body stands, as MuJoCo has it.

    Attributes:
        task: String, the name of the task.
        qpos: float array of shape `(dofs,)`, m and rad.
        qvel: float array of shape `(dofs,)`, m/s and rad/s.
        target: float array of shape `(2,)`, where the reacher's target is, in m.
        tendon_coef: float array of shape `(2, 2)`, the directions in which the two controls push
            the point mass, one each row.
        length: Number, how much longer than in the suite the links are. Defaults to `1.0`.
    """

    task: str
    qpos: np.ndarray
    qvel: np.ndarray
    target: np.ndarray | None = None
    tendon_coef: np.ndarray | None = None
    length: float = 1.0


def body_facts(body: Body) -> tuple[str, str]:
    """Returns two lines of text: the positions, and the speeds."""
    return _shape(body).facts(body)


def body_points(body: Body) -> Array:
    """Returns where joints and tips are, in metres to the right and upwards: `(points, 2)`."""
    return _shape(body).points(body)


def draw_body(canvas: Canvas, body: Body, control: Array | None) -> None:
    """Draws a body and what moves it; green is where the reward is.

    Args:
        canvas: `Canvas`, drawn on from `(0, 0)` to `(WIDTH, HEIGHT)`.
        body: `Body`.
        control: float array of the controls that led here, from -1 to 1, or `None`.
    """
    positions, speeds = body_facts(body)
    canvas.text(16, 14, positions, 13, MUTED)
    canvas.text(16, 32, speeds, 13, MUTED)
    _shape(body).draw(canvas, body, control)


def _shape(body: Body) -> "_Shape":
    return next(shape for name, shape in _SHAPES.items() if body.task.startswith(name))


class _Shape:
    """One kind of bodies.

    A subclass defines `points`, `facts` and `draw`, as the functions above, and `reach`.
    """

    def reach(self, body: Body) -> tuple[float, float]:
        """Returns how far the body gets from its middle to the side and upwards, in m."""
        raise NotImplementedError

    def points(self, body: Body) -> Array:
        raise NotImplementedError

    def facts(self, body: Body) -> tuple[str, str]:
        raise NotImplementedError

    def draw(self, canvas: Canvas, body: Body, control: Array | None) -> None:
        raise NotImplementedError

    def scale(self, body: Body) -> float:
        """Returns the pixels of a metre, so that the body fits wherever it stands."""
        side, up = self.reach(body)
        return min((_X - 12) / side, _ROOM / up)

    def place(self, body: Body, points: Any) -> list[tuple[float, float]]:
        """Returns the pixels of points that are given in metres: a list of `(x, y)`."""
        scale = self.scale(body)
        return [(_X + scale * x, _Y - scale * y) for x, y in np.asarray(points).tolist()]


class _CartPoles(_Shape):
    """Poles on top of each other on a cart; sparse tasks want the cart near the middle."""

    def reach(self, body: Body) -> tuple[float, float]:
        height = _lengths(body).sum()
        return TASKS[body.task].limits[0] + max(height, 0.3), height + 0.12

    def points(self, body: Body) -> Array:
        return _chain((body.qpos[0], 0.0), np.cumsum(body.qpos[1:]), _lengths(body))

    def facts(self, body: Body) -> tuple[str, str]:
        return (
            f"x {body.qpos[0]:+.2f} m  {_angles(np.cumsum(body.qpos[1:]))}",
            f"{body.qvel[0]:+.2f} m/s  {_turning(np.cumsum(body.qvel[1:]))}",
        )

    def draw(self, canvas: Canvas, body: Body, control: Array | None) -> None:
        task, scale = TASKS[body.task], self.scale(body)
        joints = self.place(body, self.points(body))
        x, y = joints[0]
        canvas.rectangle(0, _Y - 1, WIDTH, 2, FAINT)
        if body.task.endswith("sparse"):
            half = task.goal_radius * scale
            canvas.rectangle(_X - half, _Y - 3, 2 * half, 6, _GOAL)
        for side in (-1, 1):
            end = _X + side * task.limits[0] * scale
            canvas.line([(end, _Y - 8), (end, _Y + 8)], RED, 2)
        width, height = 0.4 * scale, max(0.2 * scale, 12)
        canvas.rectangle(x - width / 2, y - height / 2, width, height, BLUE, radius=4)
        for pole in itertools.pairwise(joints):
            canvas.line(pole, GOLD, max(0.09 * scale, 5))
        for joint in joints[:-1]:
            canvas.circle(*joint, 2.5, INK)
        if control is not None:
            offset = math.copysign(width / 2 + 6, control[0])
            _draw_push(canvas, x + offset, y, control[0], 0.0)


class _Pendulum(_Shape):
    """A mass on a rod, wanted upright."""

    def reach(self, body: Body) -> tuple[float, float]:
        return (_lengths(body).sum() + 0.06,) * 2

    def points(self, body: Body) -> Array:
        return _chain((0.0, 0.0), body.qpos, _lengths(body))

    def facts(self, body: Body) -> tuple[str, str]:
        return _angles(body.qpos), _turning(body.qvel)

    def draw(self, canvas: Canvas, body: Body, control: Array | None) -> None:
        scale, joints = self.scale(body), self.place(body, self.points(body))
        radius = _lengths(body).sum() * scale
        lean = math.acos(TASKS[body.task].least_cosine)
        goal = [
            (_X + radius * math.sin(turn), _Y - radius * math.cos(turn))
            for turn in np.linspace(-lean, lean, 9)
        ]
        canvas.circle(_X, _Y, radius, None, FAINT, 1.5)
        canvas.line(goal, _GOAL, 14)
        canvas.line(joints, RED, 7)
        canvas.circle(*joints[1], 0.05 * scale, RED)
        canvas.circle(*joints[0], 4, INK)
        if control is not None:
            canvas.turn(_X, _Y, 34, control[0])


class _Acrobot(_Shape):
    """Two links, driven between them; the tip is wanted where it is when both are upright."""

    def reach(self, body: Body) -> tuple[float, float]:
        return (_lengths(body).sum() + TASKS[body.task].goal_radius + 0.06,) * 2

    def points(self, body: Body) -> Array:
        return _chain((0.0, 0.0), np.cumsum(body.qpos), _lengths(body))

    def facts(self, body: Body) -> tuple[str, str]:
        distance = np.hypot(*(self.points(body)[-1] - (0, _lengths(body).sum())))
        return (
            f"{_angles(np.cumsum(body.qpos))}  tip {distance:.2f} m from target",
            _turning(np.cumsum(body.qvel)),
        )

    def draw(self, canvas: Canvas, body: Body, control: Array | None) -> None:
        scale, joints = self.scale(body), self.place(body, self.points(body))
        radius = _lengths(body).sum() * scale
        canvas.circle(_X, _Y, radius, None, FAINT, 1.5)
        canvas.circle(_X, _Y - radius, TASKS[body.task].goal_radius * scale, _GOAL)
        for link, color in zip(itertools.pairwise(joints), (BLUE, GOLD), strict=True):
            canvas.line(link, color, 0.1 * scale + 2)
        for joint in joints[:2]:
            canvas.circle(*joint, 3.5, INK)
        if control is not None:
            canvas.turn(*joints[1], 22, control[0])


class _Reacher(_Shape):
    """An arm of two links, seen from above; its finger is wanted on the target."""

    _WALL, _FINGER = 0.3, 0.01  # m

    def reach(self, body: Body) -> tuple[float, float]:
        return (max(_lengths(body).sum() + self._FINGER, self._WALL) + 0.004,) * 2

    def points(self, body: Body) -> Array:
        # MuJoCo counts these angles counterclockwise from the right.
        return _chain((0.0, 0.0), 0.5 * math.pi - np.cumsum(body.qpos), _lengths(body))

    def facts(self, body: Body) -> tuple[str, str]:
        distance = np.hypot(*(self.points(body)[-1] - body.target))
        return (
            f"{_angles(body.qpos)}  finger {100 * distance:.1f} cm from target",
            _turning(body.qvel),
        )

    def draw(self, canvas: Canvas, body: Body, control: Array | None) -> None:
        scale, joints = self.scale(body), self.place(body, self.points(body))
        (target,) = self.place(body, [body.target])
        _draw_walls(canvas, self._WALL * scale)
        canvas.circle(*target, (TASKS[body.task].goal_radius - self._FINGER) * scale, _GOAL)
        for link, color in zip(itertools.pairwise(joints), (BLUE, GOLD), strict=True):
            canvas.line(link, color, 2 * self._FINGER * scale)
        canvas.circle(*joints[2], self._FINGER * scale, RED)
        for joint, share in zip(joints, () if control is None else control, strict=False):
            canvas.turn(*joint, 16, -share, 3)
        for joint in joints[:2]:
            canvas.circle(*joint, 2.5, INK)


class _PointMass(_Shape):
    """A ball between walls, seen from above; it is wanted in the middle."""

    _BALL = 6  # pixels

    def reach(self, body: Body) -> tuple[float, float]:
        return 0.38, 0.38  # with room for the arrow

    def points(self, body: Body) -> Array:
        return body.qpos[None]

    def facts(self, body: Body) -> tuple[str, str]:
        (x, y), (x_speed, y_speed) = 100 * body.qpos, 100 * body.qvel
        return (
            f"x {x:+.1f} cm  y {y:+.1f} cm  {math.hypot(x, y):.1f} cm from target",
            f"{x_speed:+.1f} cm/s  {y_speed:+.1f} cm/s",
        )

    def draw(self, canvas: Canvas, body: Body, control: Array | None) -> None:
        task, scale = TASKS[body.task], self.scale(body)
        ((x, y),) = self.place(body, self.points(body))
        _draw_walls(canvas, task.limits[0] * scale + self._BALL)
        # The ball is inside of it where its middle is within the radius of the goal.
        canvas.circle(_X, _Y, task.goal_radius * scale + self._BALL, _GOAL)
        if control is not None:
            _draw_push(canvas, x, y, *(control @ body.tendon_coef).tolist())
        canvas.circle(x, y, self._BALL, RED)


_SHAPES = {
    "cartpole": _CartPoles(),
    "pendulum": _Pendulum(),
    "acrobot": _Acrobot(),
    "reacher": _Reacher(),
    "point_mass": _PointMass(),
}


def _lengths(body: Body) -> Array:
    return body.length * np.array([link.length for link in TASKS[body.task].links])


def _chain(start: Any, angles: Array, lengths: Array) -> Array:
    """Returns the joints of a chain of links; angles are clockwise from upright."""
    links = np.stack([lengths * np.sin(angles), lengths * np.cos(angles)], axis=1)
    return np.concatenate([[start], start + np.cumsum(links, axis=0)])


def _draw_walls(canvas: Canvas, half: float) -> None:
    canvas.rectangle(_X - half, _Y - half, 2 * half, 2 * half, None, FAINT, 3, 2)


def _draw_push(canvas: Canvas, x: float, y: float, to_side: float, up: float) -> None:
    """Draws an arrow from `(x, y)`, as long as the push is large; 1 is the largest control."""
    if math.hypot(to_side, up) >= 0.01:
        canvas.arrow([(x, y), (x + _PUSH * to_side, y - _PUSH * up)], INK, 3)


def _angles(radians: Array) -> str:
    degrees = [f"{math.remainder(math.degrees(angle), 360):+.1f}°" for angle in radians]
    return f"angle{'s' * (len(degrees) > 1)} {' '.join(degrees)}"


def _turning(speeds: Array) -> str:
    return " ".join(f"{math.degrees(speed):+.0f}°/s" for speed in speeds)
