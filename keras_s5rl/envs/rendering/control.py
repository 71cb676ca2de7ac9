"""Renderers of the control tasks, alone and under projections."""

from typing import Any

import numpy as np

from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.rendering.canvas import INK, Canvas
from keras_s5rl.envs.rendering.control_bodies import (
    HEIGHT,
    WIDTH,
    Body,
    body_facts,
    draw_body,
)
from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.envs.rendering.trial_bars import TRIALS_HEIGHT, draw_trials, trial_lines
from keras_s5rl.typing import Array

RENDERERS = {
    "control.control_task_env:ControlTaskEnv": "ControlTaskRenderer",
    "control.projected_control:ProjectedControl": "ProjectedControlRenderer",
}


class ControlTaskRenderer(Renderer):
    """`ControlTaskEnv`: the body, what moves it, and green where the reward is."""

    def title(self, env: Any) -> str:
        return env.task

    def duration(self, env: Any) -> float:
        return TASKS[env.task].time_step * env.action_repeat

    def size(self, env: Any) -> tuple[int, int]:
        return WIDTH, HEIGHT

    def name_action(self, env: Any, action: Any) -> str:
        return f"control {_numbers(_clipped(action))}"

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        return "\n".join(body_facts(self._body(env, state)))

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        control = None if action is None else _clipped(action)
        draw_body(canvas, self._body(env, state), control)

    def _body(self, env: Any, state: dict[str, Any]) -> Body:
        return Body(
            env.task,
            state["qpos"],
            state["qvel"],
            state.get("target"),
            state.get("tendon_coef", np.eye(2)),
        )


class ProjectedControlRenderer(Renderer):
    """The body as it is, not as it is projected, and the trials of the context.

    A body that MuJoCo itself moves is shown by the numbers of the observation.
    """

    seconds_per_step = 0.04  # a decision, unless the arguments say otherwise

    def size(self, env: Any) -> tuple[int, int]:
        return WIDTH, HEIGHT + TRIALS_HEIGHT

    def name_action(self, env: Any, action: Any) -> str:
        return _numbers(_clipped(action))

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        facts = [f"task {_task(env, state)}"]
        if _is_native(state):
            facts += body_facts(_padded_body(env, state))
            control = _control(env, state, action)
            facts += [] if control is None else [f"control {_numbers(control)}"]
        else:
            facts.append(super().describe(env, state, action))
        facts.append(trial_lines(env, state, _fell(state), env.trial_steps))
        return "\n".join(facts)

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        if _is_native(state):
            draw_body(canvas, _padded_body(env, state), _control(env, state, action))
        else:
            super().draw(canvas, env, state, action)
        canvas.text(WIDTH - 16, 14, _task(env, state), 13, INK, "rm")
        draw_trials(canvas, HEIGHT, env, state, _fell(state), env.trial_steps)


def _task(env: Any, state: dict[str, Any]) -> str:
    return env.tasks[int(state["task"])]


def _is_native(state: dict[str, Any]) -> bool:
    return "qpos" in state["body"]


def _fell(state: dict[str, Any]) -> bool:
    return bool(state["discount"] == 0)


def _padded_body(env: Any, state: dict[str, Any]) -> Body:
    name, body = _task(env, state), state["body"]
    task = TASKS[name]
    slots = slice(0 if task.slider_mass else 1, 1 + len(task.links))
    qpos, qvel = body["qpos"][slots], body["qvel"][slots]
    length = float(state.get("length", 1.0))
    return Body(name, qpos, qvel, body["target"], body["tendon_coef"], length)


def _control(env: Any, state: dict[str, Any], action: Any) -> Array | None:
    """Returns what moved the body, or `None` where another trial has started since then."""
    if action is None or int(state["trial_step"]) == 0:
        return None
    control = state["controls"] @ action if "controls" in state else action
    return _clipped(control)[: TASKS[_task(env, state)].num_controls]


def _clipped(action: Any) -> Array:
    return np.clip(np.asarray(action, "float64"), -1.0, 1.0)


def _numbers(values: Array) -> str:
    return " ".join(f"{value:+.2f}" for value in values)
