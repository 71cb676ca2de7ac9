"""Pictures and texts of environments, for people.

What the agent does not see (hidden ships, mines, the cards of earlier steps) is drawn faint.
"""

from keras_s5rl.envs.rendering.frames import render
from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.envs.rendering.table import register_renderer, renderer_for

__all__ = ["Renderer", "register_renderer", "render", "renderer_for"]
