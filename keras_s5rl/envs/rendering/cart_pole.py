"""The renderer of the cart-poles."""

import math
from typing import Any

from keras_s5rl.envs.rendering.canvas import BLUE, FAINT, GOLD, INK, MUTED, RED, Canvas, faint
from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.envs.rendering.trial_bars import TRIALS_HEIGHT, draw_trials, trial_lines

RENDERERS = {
    "control.projected_cart_pole:ProjectedCartPole": "ProjectedCartPoleRenderer",
    "popgym.position_only_cart_pole:PositionOnlyCartPole": "CartPoleRenderer",
}

_METRE = 84  # pixels of the track; the pole is drawn longer than on this scale
_POLE = 120
_MIDDLE, _TRACK = 230, 168
_LIMIT = 2.4  # m
_COLUMNS = 48


class CartPoleRenderer(Renderer):
    """Cart, pole and track with its ends; faint, the cart where a noisy observation has it."""

    seconds_per_step = 0.02

    def size(self, env: Any) -> tuple[int, int]:
        return 2 * _MIDDLE, 204

    def name_action(self, env: Any, action: Any) -> str:
        return ("push left", "push right")[int(action)]

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        x, x_speed, angle, angle_speed = state["physics"].tolist()
        place = round((x + _LIMIT) / (2 * _LIMIT) * _COLUMNS)
        track = ["-"] * (_COLUMNS + 1)
        track[min(max(place, 0), _COLUMNS)] = (
            "/" if angle > 0.02 else "\\" if angle < -0.02 else "|"
        )
        return f"|{''.join(track)}|\n{_positions(x, angle)}  {_speeds(x_speed, angle_speed)}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        x, x_speed, angle, angle_speed = state["physics"].tolist()
        canvas.text(16, 14, _positions(x, angle), 13, MUTED)
        canvas.text(2 * _MIDDLE - 16, 14, _speeds(x_speed, angle_speed), 13, MUTED, "rm")
        canvas.rectangle(0, _TRACK + 15, 2 * _MIDDLE, 2, FAINT)
        for side in (-1, 1):
            end = _MIDDLE + side * _LIMIT * _METRE
            canvas.line([(end, _TRACK + 8), (end, _TRACK + 24)], RED, 2)
        if "noise" in state:
            space = env.observation_space
            seen = (state["physics"][::2] + state["noise"]).clip(space.low, space.high)
            seen_x, seen_angle = seen.tolist()
            _draw_cart(canvas, seen_x, seen_angle, faint(BLUE), faint(GOLD))
        _draw_cart(canvas, x, angle, BLUE, GOLD)
        if action is not None:
            side = 1 if self.pushes_right(state, action) else -1
            start = _MIDDLE + x * _METRE + side * 34
            canvas.arrow([(start, _TRACK), (start + side * 24, _TRACK)], INK, 4)

    def pushes_right(self, state: dict[str, Any], action: Any) -> bool:
        """Returns whether an action pushes to the right."""
        return int(action) == 1


class ProjectedCartPoleRenderer(CartPoleRenderer):
    """The cart as it is, not as it is projected, and the trials of the context."""

    def size(self, env: Any) -> tuple[int, int]:
        width, height = super().size(env)
        return width, height + TRIALS_HEIGHT

    def name_action(self, env: Any, action: Any) -> str:
        # Where actions may be swapped, what one does depends on the context.
        return f"choice {int(action)}" if env.project_actions else super().name_action(env, action)

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        swapped = "\nleft and right are swapped" if state.get("swapped", False) else ""
        lines = trial_lines(env, state, self._fell(env, state), best=1.0)
        return f"{super().describe(env, state, action)}{swapped}\n{lines}"

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        # A push that ended a trial is not one on the cart of the next.
        is_start = int(state["trial_step"]) == 0
        super().draw(canvas, env, state, None if is_start else action)
        top = super().size(env)[1]
        draw_trials(canvas, top, env, state, self._fell(env, state), best=1.0)

    def pushes_right(self, state: dict[str, Any], action: Any) -> bool:
        return super().pushes_right(state, action) != bool(state.get("swapped", False))

    def _fell(self, env: Any, state: dict[str, Any]) -> bool:
        """Returns whether the trial that ended in the last step was not of full length."""
        trial = int(state["trial"])
        if trial == 0 or int(state["trial_step"]) > 0:
            return False
        return state["trial_returns"][trial - 1] < 1 - 0.5 / env.trial_steps


def _draw_cart(canvas: Canvas, x: float, angle: float, color: str, pole_color: str) -> None:
    middle = _MIDDLE + x * _METRE
    pole = (middle + _POLE * math.sin(angle), _TRACK - 8 - _POLE * math.cos(angle))
    for side in (-15, 15):
        canvas.circle(middle + side, _TRACK + 9, 6, color)
    canvas.rectangle(middle - 28, _TRACK - 12, 56, 22, color, radius=5)
    canvas.line([(middle, _TRACK - 8), pole], pole_color, 8)
    canvas.circle(middle, _TRACK - 8, 3, color)


def _positions(x: float, angle: float) -> str:
    return f"x {x:+.2f} m  angle {math.degrees(angle):+.1f}°"


def _speeds(x_speed: float, angle_speed: float) -> str:
    return f"{x_speed:+.2f} m/s  {math.degrees(angle_speed):+.0f}°/s"
