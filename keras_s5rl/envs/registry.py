"""Environments by name: `make`, `register_env`, `registered_envs`."""

import difflib
import importlib
import inspect

from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.popgym import FAMILIES, PAPER_NAMES

# name: (factory, or "module:attribute" of one, and its default keyword arguments)
_BUILT_IN = {
    f"{family}{difficulty}": (factory, arguments)
    for family, (factory, difficulties) in FAMILIES.items()
    for difficulty, arguments in difficulties.items()
}
_BUILT_IN["MemoryChain"] = ("keras_s5rl.envs.memory_chain:MemoryChain", {})
_BUILT_IN |= {
    task: ("keras_s5rl.envs.control.control_task_env:ControlTaskEnv", {"task": task})
    for task in TASKS
}
_BUILT_IN["projected_control"] = (
    "keras_s5rl.envs.control.projected_control:ProjectedControl",
    {},
)
_BUILT_IN["projected_cartpole"] = (
    "keras_s5rl.envs.control.projected_cart_pole:ProjectedCartPole",
    {},
)
_BUILT_IN["dm_control"] = ("keras_s5rl.envs.mujoco.mujoco_task_env:MujocoTaskEnv", {})
_ALIASES = {
    f"{paper_name}{difficulty}": f"{family}{difficulty}"
    for paper_name, family in PAPER_NAMES.items()
    for difficulty in FAMILIES[family][1]
}
_own = {}


def make(env, /, **env_args):
    """Makes a registered environment.

    Args:
        env: String, a name of `registered_envs()` or the POPGym paper's name of one
            (`"StatelessCartPoleEasy"` is `"PositionOnlyCartPoleEasy"`).
        **env_args: Arguments of the environment, which replace those that the name stands for.

    Returns:
        An `Environment`.

    Raises:
        ValueError: If the name is unknown, or the environment does not take an argument.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("RepeatPreviousEasy", k=8).max_episode_steps
    51
    """
    factory, arguments = resolve(env, env_args)
    return factory(**arguments)


def resolve(env, env_args):
    """Returns what `make` calls: `(factory, arguments)`, those that the name stands for and the
    dict `env_args` together."""
    factory, defaults = _entry(env)
    arguments = {**defaults, **env_args}
    signature = inspect.signature(factory)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ValueError(
            f"`env_args` should fit {env}{signature}: {error}. Received: env_args={env_args}"
        ) from None
    return factory, arguments


def arguments_of(env):
    """Returns the names of the arguments that the environment called `env` takes."""
    factory, _ = _entry(env)
    return list(inspect.signature(factory).parameters)


def is_built_in(env):
    """Returns whether `env` is an object of one of the package's own classes of environments."""
    path = f"{type(env).__module__}:{type(env).__qualname__}"
    return any(path == factory for factory, _ in _BUILT_IN.values())


def _entry(env):
    """Returns the factory and the default arguments of an environment by its name."""
    known = {**_BUILT_IN, **_own}
    entry = known.get(_ALIASES.get(env, env) if isinstance(env, str) else None)
    if entry is None:
        names = {known_name.lower(): known_name for known_name in [*known, *_ALIASES]}
        matches = difflib.get_close_matches(str(env).lower(), names, n=5, cutoff=0.5)
        nearest = [names[match] for match in matches]
        hint = f"the nearest known names are {', '.join(nearest)}" if nearest else "none is similar"
        raise ValueError(
            f"`env` should be the name of a registered environment; {hint}. `registered_envs()` "
            f"lists all, `register_env` adds your own. Received: env={env!r}"
        )
    factory, defaults = entry
    if isinstance(factory, str):
        module, attribute = factory.split(":")
        factory = getattr(importlib.import_module(module), attribute)
    return factory, defaults


def register_env(name, factory):
    """Makes an environment of your own known to `make`.

    Args:
        name: String. A name of your own can be registered again, one of the package cannot.
        factory: Callable that takes keyword arguments and returns an `Environment`, such as its
            class, or a string `"package.module:attribute"` that is imported when it is first
            needed.

    Raises:
        ValueError: If `name` belongs to the package, or `factory` is neither callable nor such a
            string.

    Example:

    >>> from keras_s5rl import envs
    >>> from keras_s5rl.envs.popgym.repeat_previous import RepeatPrevious
    >>> envs.register_env("RepeatPreviousTiny", lambda k=2: RepeatPrevious(num_decks=1, k=k))
    >>> envs.make("RepeatPreviousTiny").k
    2
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"`name` should be a non-empty string. Received: name={name!r}")
    if name in _BUILT_IN or name in _ALIASES:
        raise ValueError(
            "`name` should not be that of an environment of the package. Choose another name. "
            f"Received: name={name!r}"
        )
    is_path = isinstance(factory, str) and factory.count(":") == 1
    if not (callable(factory) or is_path):
        raise ValueError(
            "`factory` should be a callable that returns an environment, or a string "
            f'"package.module:attribute". Received: factory={factory!r}'
        )
    _own[name] = (factory, {})


def registered_envs():
    """Returns the names that `make` knows, a sorted list of strings without aliases."""
    return sorted([*_BUILT_IN, *_own])
