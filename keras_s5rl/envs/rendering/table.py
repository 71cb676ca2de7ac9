"""Which renderer draws which environment.

A module of this folder declares in a table `RENDERERS` what it draws: the class of environments, as
`"module:class"` below `keras_s5rl.envs`, and the name of the renderer.
"""

import functools
import importlib
from typing import Any

from keras_s5rl.envs.rendering.renderer import Renderer
from keras_s5rl.envs.tables import read_tables

_own: dict[type, Renderer] = {}


def register_renderer(env_class: type, renderer: Renderer) -> None:
    """Says how the environments of a class of your own, and of its subclasses, are drawn.

    Args:
        env_class: Class of environments. Registered again, it gets the new renderer.
        renderer: A `Renderer`.

    Raises:
        ValueError: If an argument is none of these.

    Example:

    >>> from keras_s5rl import envs
    >>> from keras_s5rl.envs.rendering import Renderer, register_renderer
    >>> class Quiet(envs.Environment):
    ...     pass
    >>> class Silence(Renderer):
    ...     def describe(self, env, state, action):
    ...         return "nothing to be seen"
    >>> register_renderer(Quiet, Silence())
    """
    if not isinstance(env_class, type):
        raise ValueError(
            "`env_class` should be a class of environments, not an object or a name. Received: "
            f"env_class={env_class!r}"
        )
    if not isinstance(renderer, Renderer):
        raise ValueError(
            "`renderer` should be an object of a subclass of "
            f"keras_s5rl.envs.rendering.Renderer. Received: renderer={renderer!r}"
        )
    _own[env_class] = renderer


def renderer_for(env: Any) -> Renderer:
    """Returns the `Renderer` of an environment: that of its class or of the nearest base class.

    One without any is shown by the numbers of its observation.
    """
    for env_class in type(env).__mro__:
        if env_class in _own:
            return _own[env_class]
        path = _built_in().get(f"{env_class.__module__}:{env_class.__qualname__}")
        if path is not None:
            module, name = path
            return getattr(importlib.import_module(module), name)()
    return Renderer()


@functools.cache
def _built_in() -> dict[str, tuple[str, str]]:
    """`"module:class"` of the package's environments: module and name of the renderer."""
    return {
        f"keras_s5rl.envs.{env_class}": (module, renderer)
        for module, _, table in read_tables("envs/rendering", "RENDERERS")
        for env_class, renderer in table.items()
    }
