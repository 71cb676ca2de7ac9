"""Environments by name: `make`, `register_env`, `registered_envs`.

A module of the package declares the names of its environments in a table `ENVIRONMENTS`, class by
class with the arguments that each name stands for, and other names of them in a table `ALIASES`.
The tables are read from the sources, so that names are known before anything imports Keras.
Installed packages declare theirs as entry points of the group `keras_s5rl.envs`.
"""

import difflib
import importlib
import inspect
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_s5rl import entry_points
from keras_s5rl.envs.gymnasium.ids import register_id
from keras_s5rl.envs.tables import read_tables

if TYPE_CHECKING:  # it imports Keras
    from keras_s5rl.envs.environment import Environment

_Factory = Callable[..., Any]

_NAME = re.compile(r"[\w.-]+")  # what an id of Gymnasium may hold

_BUILT_IN: dict[str, tuple[str, dict[str, Any]]] = {}  # name: "module:class", default arguments
_ALIASES: dict[str, str] = {}
for _module, _name, _table in read_tables("envs", "ENVIRONMENTS", "ALIASES"):
    if _name == "ALIASES":
        _ALIASES |= _table
    else:
        for _class, _names in _table.items():
            _BUILT_IN |= {env: (f"{_module}:{_class}", args) for env, args in _names.items()}

_own: dict[str, _Factory | str] = {}
_declared = {
    name: points
    for name, points in entry_points.declared("keras_s5rl.envs").items()
    if _NAME.fullmatch(name)
}


def make(env: str, /, **env_args: Any) -> "Environment":
    """Makes a registered environment.

    Args:
        env: String, a name of `registered_envs()` or the POPGym paper's name of one
            (`"StatelessCartPoleEasy"` is `"PositionOnlyCartPoleEasy"`); or `"gymnax:<name>"`, one
            of gymnax.
        **env_args: Arguments of the environment, which replace those that the name stands for.

    Returns:
        An `Environment`.

    Raises:
        ValueError: If the name is unknown, if the environment does not take an argument, or if an
            installed package declares the name and cannot be imported.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("RepeatPreviousEasy", k=8).max_episode_steps
    51
    """
    factory, arguments = resolve(env, env_args)
    return factory(**arguments)


def resolve(env: str, env_args: dict[str, Any]) -> tuple[_Factory, dict[str, Any]]:
    """Returns what `make` calls: `(factory, arguments)`, those that the name stands for and the
    dict `env_args` together."""
    factory, defaults = _entry(env)
    arguments = {**defaults, **env_args}
    signature = inspect.signature(factory)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ValueError(
            f"`env_args` should fit {env}{_without_types(signature)}: {error}. "
            f"Received: env_args={env_args}"
        ) from None
    return factory, arguments


def arguments_of(env: str) -> list[str]:
    """Returns the names of the arguments that the environment called `env` takes."""
    factory, _ = _entry(env)
    return list(inspect.signature(factory).parameters)


def is_built_in(env: object) -> bool:
    """Returns whether `env` is an object of one of the package's own classes of environments."""
    path = f"{type(env).__module__}:{type(env).__qualname__}"
    return any(path == factory for factory, _ in _BUILT_IN.values())


def is_registered(env: object) -> bool:
    """Returns whether `make` knows the name `env`."""
    known = (_BUILT_IN, _ALIASES, _own, _declared)
    return isinstance(env, str) and (_is_gymnax(env) or any(env in names for names in known))


def register_env(name: str, factory: _Factory | str) -> None:
    """Makes an environment of your own known to `make`, to the commands and to Gymnasium, as
    `"keras_s5rl/<name>-v0"`.

    The same class or function can be registered again: what a reloaded module or a notebook's cell
    defines anew, under the same name in the same module, takes the place of the old one.

    Args:
        name: String of letters, digits, `_`, `-` and `.`, which no other environment has.
        factory: Callable that takes keyword arguments and returns an `Environment`, such as its
            class, or a string `"package.module:attribute"` that is imported when it is first
            needed.

    Raises:
        ValueError: If `name` is taken or is not such a string, or `factory` is neither callable nor
            such a string.

    Example:

    >>> from keras_s5rl import envs
    >>> from keras_s5rl.envs.popgym.repeat_previous import RepeatPrevious
    >>> envs.register_env("RepeatPreviousTiny", lambda k=2: RepeatPrevious(num_decks=1, k=k))
    >>> envs.make("RepeatPreviousTiny").k
    2
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            "`name` should be a string of letters, digits, `_`, `-` and `.`. "
            f"Received: name={name!r}"
        )
    is_path = isinstance(factory, str) and factory.count(":") == 1
    if not (callable(factory) or is_path):
        raise ValueError(
            "`factory` should be a callable that returns an environment, or a string "
            f'"package.module:attribute". Received: factory={factory!r}'
        )
    owner = _owner_of_another(name, factory)
    if owner is not None:
        raise ValueError(
            f"`name` should not be that of another environment, and this one is {owner}. Choose "
            f"another name. Received: name={name!r}"
        )
    _own[name] = factory
    register_id(name)


def registered_envs() -> list[str]:
    """Returns the names that `make` knows, a sorted list of strings without aliases."""
    return sorted({*_BUILT_IN, *_own, *_declared} - set(_ALIASES))


def register_ids() -> None:
    """Makes the environments of the package and of installed packages known to Gymnasium."""
    for env in registered_envs():
        register_id(env)


def _entry(env: str) -> tuple[_Factory, dict[str, Any]]:
    """Returns the factory and the default arguments of an environment by its name."""
    if not is_registered(env):
        raise ValueError(_unknown(env))
    if _is_gymnax(env):
        factory_of = _import("keras_s5rl.envs.gymnax:factory_of")
        return factory_of(env), {}
    name = _ALIASES.get(env, env)
    if name in _BUILT_IN:
        if env in _declared:
            warnings.warn(
                f"The environment {env!r} of the package {entry_points.packages(_declared[env])} "
                "is ignored: keras_s5rl has one of this name.",
                stacklevel=3,
            )
        path, defaults = _BUILT_IN[name]
        return _import(path), defaults
    if name in _own:
        factory = _own[name]
        return _import(factory) if isinstance(factory, str) else factory, {}
    factory = entry_points.load("env", _declared[name])
    if not callable(factory):
        raise ValueError(
            f"`env` should name an environment, and {_declared[name][0].value} of the package "
            f"{entry_points.packages(_declared[name])} cannot be called. Received: env={env!r}"
        )
    return factory, {}


def _is_gymnax(env: str) -> bool:
    return env.startswith("gymnax:")


def _unknown(env: object) -> str:
    known = [*_BUILT_IN, *_own, *_declared, *_ALIASES]
    names = {name.lower(): name for name in known}
    matches = difflib.get_close_matches(str(env).lower(), names, n=5, cutoff=0.5)
    nearest = [names[match] for match in matches]
    hint = f"the nearest known names are {', '.join(nearest)}" if nearest else "none is similar"
    return (
        f"`env` should be the name of a registered environment; {hint}. `registered_envs()` "
        f"lists all, `register_env` adds your own. Received: env={env!r}"
    )


def _without_types(signature: inspect.Signature) -> inspect.Signature:
    parameters = signature.parameters.values()
    bare = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    return inspect.Signature(bare)


def _import(path: str) -> _Factory:
    module, attribute = path.split(":")
    factory: _Factory = getattr(importlib.import_module(module), attribute)
    return factory


def _owner_of_another(name: str, factory: _Factory | str) -> str | None:
    """Says whose a name is that another factory has; returns `None` where it is free or that of
    `factory`."""
    if name in _BUILT_IN or name in _ALIASES:
        return "the package's own"
    if name in _own:
        other = _own[name]
        if not entry_points.is_same(other, factory):
            return f"already registered, as {entry_points.path_of(other) or other!r}"
    elif name in _declared:
        paths = [point.value for point in _declared[name]]
        if entry_points.path_of(factory) not in paths:
            return f"declared by the package {entry_points.packages(_declared[name])}"
    return None
