"""What Gymnasium's environments show: pictures of `keras_s5rl.envs.rendering`.

It is imported where a picture is asked for, since it needs Pillow.
"""

from typing import Any

import gymnasium
import keras
from keras import ops

from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensors

METADATA: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}


def metadata_of(env: Environment, render_mode: str | None) -> dict[str, Any]:
    """Returns the metadata of an environment that is made with `render_mode`.

    Raises:
        ValueError: If `render_mode` is neither None nor one of the render modes.
    """
    if render_mode is None:
        return dict(METADATA)
    if render_mode not in METADATA["render_modes"]:
        raise ValueError(
            f"`render_mode` should be one of {METADATA['render_modes']}, or None. Received: "
            f"render_mode={render_mode!r}"
        )
    from keras_s5rl.envs.rendering import renderer_for

    return {**METADATA, "render_fps": max(1, round(1 / renderer_for(env).duration(env)))}


def frames(
    env: Environment, state: Tensors | None, render_mode: str | None, **last_step: Any
) -> list[Any]:
    """Returns a list of frames, one of each environment: strings, or uint8 `(height, width, 3)`.

    Args:
        env: An `Environment`.
        state: Its state, a dict of tensors, or None before the first reset.
        render_mode: One of the render modes, or None: then it warns and there are no frames, as in
            Gymnasium's own environments.
        **last_step: What `keras_s5rl.envs.rendering.render` takes of the step before.

    Raises:
        gymnasium.error.ResetNeeded: If there is no state.
    """
    if render_mode is None:
        gymnasium.logger.warn(
            "`render` shows nothing without the argument `render_mode` of `make`."
        )
        return []
    if state is None:
        raise gymnasium.error.ResetNeeded("`render` shows an episode. Call `reset` first.")
    from keras_s5rl.envs.rendering import render

    columns = keras.tree.map_structure(ops.convert_to_numpy, state)
    num_envs = len(keras.tree.flatten(columns)[0])
    rows = [
        keras.tree.map_structure(lambda column, index=index: column[index], columns)
        for index in range(num_envs)
    ]
    return [render(env, row, render_mode, **last_step) for row in rows]
