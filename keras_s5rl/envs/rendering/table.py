"""Which renderer draws which environment."""

import importlib
from typing import Any

from keras_s5rl.envs.rendering.renderer import Renderer

# Class of environments, by name so that looking one up imports no other: its renderer.
_BUILT_IN = {
    f"keras_s5rl.envs.{path}": f"keras_s5rl.envs.rendering.{renderer}"
    for path, renderer in {
        "control.control_task_env:ControlTaskEnv": "control:ControlTaskRenderer",
        "control.projected_cart_pole:ProjectedCartPole": "cart_pole:ProjectedCartPoleRenderer",
        "control.projected_control:ProjectedControl": "control:ProjectedControlRenderer",
        "memory_chain:MemoryChain": "memory_chain:MemoryChainRenderer",
        "popgym.autoencode:Autoencode": "card_piles:AutoencodeRenderer",
        "popgym.battleship:Battleship": "board_games:BattleshipRenderer",
        "popgym.concentration:Concentration": "concentration:ConcentrationRenderer",
        "popgym.count_recall:CountRecall": "count_recall:CountRecallRenderer",
        "popgym.higher_lower:HigherLower": "card_piles:HigherLowerRenderer",
        "popgym.labyrinth:Labyrinth": "labyrinth:LabyrinthRenderer",
        "popgym.mine_sweeper:MineSweeper": "board_games:MineSweeperRenderer",
        "popgym.multiarmed_bandit:MultiarmedBandit": "bandit:BanditRenderer",
        "popgym.position_only_cart_pole:PositionOnlyCartPole": "cart_pole:CartPoleRenderer",
        "popgym.position_only_pendulum:PositionOnlyPendulum": "pendulum:PendulumRenderer",
        "popgym.repeat_first:RepeatFirst": "card_piles:RepeatFirstRenderer",
        "popgym.repeat_previous:RepeatPrevious": "card_piles:RepeatPreviousRenderer",
    }.items()
}
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
        path = _BUILT_IN.get(f"{env_class.__module__}:{env_class.__qualname__}")
        if path is not None:
            module, name = path.split(":")
            return getattr(importlib.import_module(module), name)()
    return Renderer()
