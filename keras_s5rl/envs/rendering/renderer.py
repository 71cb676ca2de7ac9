"""`Renderer`: how an environment looks; the base class shows the observation of any."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl.envs import spaces
from keras_s5rl.envs.rendering.canvas import INK, Canvas

_COLUMNS = 8
_MOST_ROWS = 16


class Renderer:
    """Says in words and in a picture how one environment stands.

    This one shows the numbers of the observation, whatever the environment. A renderer of one kind
    of environments overrides the methods, all without side effects: equal arguments give an equal
    result. `state` is the state of one environment, arrays without the batch axis; `action` is what
    led to it, or `None`.

    Attributes:
        seconds_per_step: Number, how long an animation shows a step, in seconds, where all
            environments of the kind have one speed.

    Example:

    >>> from keras_s5rl.envs.rendering import Renderer
    >>> class TwoNumbers(Renderer):
    ...     def size(self, env):
    ...         return 360, 60
    ...
    ...     def describe(self, env, state, action):
    ...         return f"sum {state['a'] + state['b']}"
    ...
    ...     def draw(self, canvas, env, state, action):
    ...         canvas.text(180, 30, self.describe(env, state, action), anchor="mm")
    """

    seconds_per_step = 0.25

    def title(self, env: Any) -> str:
        """Returns the headline of texts and pictures, by default the name of the class."""
        return type(env).__name__

    def duration(self, env: Any) -> float:
        """Returns how long an animation shows a step, by default `seconds_per_step`."""
        return self.seconds_per_step

    def size(self, env: Any) -> tuple[int, int]:
        """Returns `(width, height)` of what `draw` draws, in pixels: the same for all states."""
        num_rows = -(-spaces.flat_size(env.observation_space) // _COLUMNS)
        return 24 + 64 * _COLUMNS, 40 + 22 * min(num_rows, _MOST_ROWS + 1)

    def describe(self, env: Any, state: dict[str, Any], action: Any) -> str:
        """Returns the facts of `state` as lines of text."""
        return "observation " + " ".join(_numbers(env, state))

    def draw(self, canvas: Canvas, env: Any, state: dict[str, Any], action: Any) -> None:
        """Draws `state` on a `Canvas` from `(0, 0)` to `size(env)`."""
        canvas.text(20, 18, "observation", 13)
        numbers = _numbers(env, state)
        for index, number in enumerate(numbers[: _COLUMNS * _MOST_ROWS]):
            row, column = divmod(index, _COLUMNS)
            canvas.text(74 + 64 * column, 44 + 22 * row, number, 14, INK, "rm")
        if len(numbers) > _COLUMNS * _MOST_ROWS:
            rest = f"and {len(numbers) - _COLUMNS * _MOST_ROWS} more"
            canvas.text(20, 44 + 22 * _MOST_ROWS, rest, 13)

    def name_action(self, env: Any, action: Any) -> str:
        """Returns an action in words."""
        return " ".join(f"{number:g}" for number in np.ravel(action).tolist())


def _numbers(env: Any, state: dict[str, Any]) -> list[str]:
    batch = keras.tree.map_structure(
        lambda leaf: ops.convert_to_tensor(np.expand_dims(leaf, 0)), state
    )
    observation = ops.convert_to_numpy(env.observation(batch))[0]
    return [f"{number:.4g}" for number in np.ravel(observation).tolist()]
