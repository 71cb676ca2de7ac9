"""The renderer of the pendulums."""

import math
from typing import Any

import numpy as np

from keras_s5rl.envs.rendering.canvas import FAINT, INK, MUTED, RED, Canvas, faint
from keras_s5rl.envs.rendering.renderer import Renderer

RENDERERS = {"popgym.position_only_pendulum:PositionOnlyPendulum": "PendulumRenderer"}

_X, _Y = 200, 140
_LENGTH = 96
_MAX_TORQUE = 2.0  # N m


class PendulumRenderer(Renderer):
    """Rod, pivot and torque; faint, the end of the rod where a noisy observation has it.

    Angles grow counterclockwise from upright, as in Gymnasium's pictures.
    """

    seconds_per_step = 0.05

    def size(self, env: Any) -> tuple[int, int]:
        return 2 * _X, 270

    def name_action(self, env: Any, action: Any) -> str:
        return f"torque {_torque(action):+.2f} N m"

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        return "  ".join(self._facts(state))

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        angle, _ = state["physics"].tolist()
        position, speed = self._facts(state)
        canvas.text(16, 14, position, 13, MUTED)
        canvas.text(2 * _X - 16, 14, speed, 13, MUTED, "rm")
        canvas.circle(_X, _Y, _LENGTH, None, FAINT, 1.5)
        canvas.line([(_X, _Y - _LENGTH - 6), (_X, _Y - _LENGTH + 6)], FAINT, 2)
        if "noise" in state:
            seen = np.array([math.cos(angle), math.sin(angle)]) + state["noise"]
            cos, sin = seen.clip(-1, 1).tolist()
            end = _X - _LENGTH * sin, _Y - _LENGTH * cos
            canvas.line([(_X, _Y), end], faint(RED), 4)
            canvas.circle(*end, 7, faint(RED))
        end = _X - _LENGTH * math.sin(angle), _Y - _LENGTH * math.cos(angle)
        canvas.line([(_X, _Y), end], RED, 14)
        canvas.circle(_X, _Y, 5, INK)
        if action is not None:
            canvas.turn(_X, _Y, 34, -_torque(action) / _MAX_TORQUE)

    def _facts(self, state: dict[str, Any]) -> tuple[str, str]:
        angle, speed = state["physics"].tolist()
        degrees = math.remainder(math.degrees(angle), 360)
        return f"angle {degrees:+.1f}°", f"{speed:+.2f} rad/s"


def _torque(action: Any) -> float:
    return float(np.clip(np.ravel(action)[0], -_MAX_TORQUE, _MAX_TORQUE))
