"""`render`: one state of one environment as text or picture."""

import textwrap
from typing import Any

import numpy as np

from keras_s5rl.envs.rendering.canvas import FAINT, GREEN, INK, MUTED, RED, Canvas
from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.envs.rendering.table import renderer_for
from keras_s5rl.typing import Array

_HEAD, _FOOT = 42, 38


def render(
    env: Any,
    state: dict[str, Any],
    mode: str,
    action: Any = None,
    reward: float | None = None,
    episode_return: float | None = None,
) -> str | Array:
    """Shows one state of one environment.

    A picture of an environment has the same size in all states. What the agent does not see is
    drawn faint. An environment of your own is shown by the numbers of its observation, until
    `register_renderer` says better.

    Args:
        env: An `Environment`.
        state: The state of one environment: dict of numpy arrays, without the batch axis.
        mode: `"ansi"` or `"rgb_array"`.
        action: The action that led to `state`, an element of `env.action_space`, or `None`.
        reward: Number, the reward of that step, or `None`.
        episode_return: Number, the sum of rewards so far, or `None`.

    Returns:
        For `"ansi"` a string of lines, for `"rgb_array"` uint8 of shape `(height, width, 3)`.

    Raises:
        ValueError: If `mode` is neither.

    Example:

    >>> from keras import ops
    >>> from keras_s5rl import envs
    >>> from keras_s5rl.envs.rendering import render
    >>> env = envs.make("MineSweeperEasy")
    >>> batch = env.initial({"mines_flat": ops.convert_to_tensor([[0, 6]])})
    >>> state = {name: ops.convert_to_numpy(leaf)[0] for name, leaf in batch.items()}
    >>> print(render(env, state, "ansi"))
    MineSweeper  step 0 of 14
    viewed 0 of 14 clear cells, 2 mines (*)
    * . . .
    . . * .
    . . . .
    . . . .
    >>> render(env, state, "rgb_array").shape
    (364, 400, 3)
    """
    renderer = renderer_for(env)
    title = renderer.title(env)
    progress = ""
    if np.ndim(state.get("time", [])) == 0:
        progress = f"step {int(state['time'])} of {env.max_episode_steps}"
    last_step = _last_step(renderer, env, action, reward, episode_return)
    if mode == "ansi":
        lines = [
            "  ".join(filter(None, [title, progress])),
            renderer.describe(env, state, action),
            "  ".join(f"{name} {value}" for name, value, _ in last_step),
        ]
        return "\n".join(filter(None, lines))
    if mode != "rgb_array":
        raise ValueError(f"`mode` should be 'ansi' or 'rgb_array'. Received: mode={mode!r}")
    width, height = renderer.size(env)
    canvas = Canvas(width, _HEAD + height + _FOOT)
    canvas.text(16, 21, title, 17)
    canvas.text(width - 16, 21, progress, 14, MUTED, "rm")
    for y in (_HEAD - 4, _HEAD + height + 3):
        canvas.rectangle(16, y, width - 32, 1, FAINT)
    places = {"action": (16, "lm"), "reward": (0.53 * width, "mm"), "return": (width - 16, "rm")}
    for name, value, color in last_step:
        x, anchor = places[name]
        words = textwrap.shorten(value, 26) if name == "action" else f"{name} {value}"
        canvas.text(x, _HEAD + height + 21, words, 14, color, anchor)
    canvas.top = _HEAD
    renderer.draw(canvas, env, state, action)
    return canvas.pixels()


def _last_step(
    renderer: Renderer, env: Any, action: Any, reward: float | None, episode_return: float | None
) -> list[tuple[str, str, str]]:
    """The text about the step that led to a state: pieces of name, value and colour."""
    pieces = []
    if action is not None:
        pieces.append(("action", renderer.name_action(env, action), INK))
    if reward is not None:
        color = GREEN if reward > 0 else RED if reward < 0 else MUTED
        pieces.append(("reward", f"{float(reward):+.4f}", color))
    if episode_return is not None:
        pieces.append(("return", f"{float(episode_return):+.4f}", INK))
    return pieces
