"""The registry of memories, and the settings that each declares.

Installed packages declare memories as entry points of the group `keras_s5rl.memories`: of each the
module that registers it, which is imported when the memory is asked for.
"""

import dataclasses
import difflib
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from keras_s5rl import entry_points
from keras_s5rl.models.settings import Setting

# What every builder is given, beside the settings of its memory.
_SHARED = ("width", "num_layers", "activation", "dtype", "seed")


@dataclasses.dataclass(frozen=True)
class _Memory:
    builder: Callable[..., Any]
    settings: dict[str, Setting]


_MEMORIES: dict[str, _Memory] = {}
_declared = entry_points.declared("keras_s5rl.memories")


def register_memory(
    name: str, builder: Callable[..., Any], settings: Mapping[str, Setting] | None = None
) -> None:
    """Makes a memory known under a name, for `PPO(memory=name)` and `--memory=name`.

    The same function can be registered again: what a reloaded module or a notebook's cell defines
    anew, under the same name in the same module, takes the place of the old one.

    Args:
        name: String, which no other memory has.
        builder: Function of the keyword arguments `width` (features that come in and go out),
            `num_layers`, `activation` (of the agent's dense layers), `dtype` (the name of a dtype
            policy), `seed` (an integer, from which initial weights are drawn) and of one for each
            setting. It returns a layer with the call signature, `step` and `get_initial_state` of
            `keras_s5rl.layers.S5Stack`, and raises a ValueError where settings do not go together.
        settings: Dict of the settings that are the memory's own, by name, made with
            `keras_s5rl.models.settings`; they are `PPO(memory_args=...)` and flags of the command.
            Defaults to `None`, for none.

    Raises:
        ValueError: If the name is taken, or if an argument is not what it should be.

    Example:

    >>> from keras_s5rl.layers import S5
    >>> from keras_s5rl.models import register_memory, settings
    >>> def build(*, width, num_layers, activation, dtype, seed, dt_max):
    ...     return S5(width, dt_max=dt_max, return_state=True, seed=seed, dtype=dtype)
    >>> register_memory("one_s5", build, {"dt_max": settings.positive(0.1, "largest time step")})
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"`name` should be a string that is not empty. Received: name={name!r}")
    owner = _owner_of_another(name, builder)
    if owner is not None:
        raise ValueError(
            f"`name` should not be that of another memory, and this one is {owner}. Choose another "
            f"name. Received: name={name!r}"
        )
    settings = {} if settings is None else settings
    _check_settings(settings)
    _check_builder(builder, settings)
    _MEMORIES[name] = _Memory(builder, dict(settings))


def registered_memories() -> list[str]:
    """Returns the known names: those registered, in their order, and those that installed packages
    declare."""
    return list(dict.fromkeys([*_MEMORIES, *_declared]))


def check_memory(name: str) -> None:
    """Raises a ValueError that lists the known names, the nearest first, if no memory has this one.
    The module of an installed package that declares it is imported."""
    known = registered_memories()
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, cutoff=0.3) or known
        raise ValueError(
            f"`memory` should be one of {known}; did you mean {near[0]!r}? "
            f"Received: memory={name!r}"
        )
    if name not in _MEMORIES:
        entry_points.load("memory", _declared[name])
        if name not in _MEMORIES:
            raise ValueError(
                f"`memory` should be registered by the package that declares it: "
                f"{_declared[name][0].value} of the package "
                f"{entry_points.packages(_declared[name])} should call "
                f"`register_memory({name!r}, ...)`. Received: memory={name!r}"
            )
    elif name in _declared and _is_built_in(_MEMORIES[name].builder):
        warnings.warn(
            f"The memory {name!r} of the package {entry_points.packages(_declared[name])} is "
            "ignored: keras_s5rl has one of this name.",
            stacklevel=3,
        )


def memory_settings(name: str) -> dict[str, Setting]:
    """Returns the settings that are a memory's own, by name.

    Raises:
        ValueError: If the memory is not known.
    """
    check_memory(name)
    return dict(_MEMORIES[name].settings)


def memories_with(setting: str) -> list[str]:
    """Returns the names of the memories that have a setting of this name. Those of packages that
    were not imported are not asked."""
    return [name for name, memory in _MEMORIES.items() if setting in memory.settings]


def resolve_memory_args(name: str, memory_args: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the value of every setting of a memory: the one given, or the default.

    Args:
        name: String, one of `registered_memories()`.
        memory_args: Dict of values by the name of the setting, or `None`. Defaults to `None`.

    Raises:
        ValueError: If the memory is not known or has no such setting, or if a value is not what it
            should be.
    """
    settings = memory_settings(name)
    given = {} if memory_args is None else memory_args
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValueError(
            "`memory_args` should be a dict of settings of the memory, such as "
            f"{{'state_size': 64}}, or None. Received: memory_args={given!r}"
        )
    for unknown in given:
        if unknown not in settings:
            known = f"the settings {', '.join(settings)}" if settings else "no settings of its own"
            near = difflib.get_close_matches(unknown, settings)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(
                f"`memory_args` should fit {name}, which has {known}{hint} "
                f"Received: {unknown}={given[unknown]!r}"
            )
    return {
        key: setting.checked(key, given.get(key, setting.default))
        for key, setting in settings.items()
    }


def make_memory(
    name: str,
    memory_args: Mapping[str, Any] | None = None,
    *,
    width: int,
    num_layers: int,
    activation: str = "leaky_relu",
    dtype: str | None = None,
    seed: int | None = None,
) -> Any:
    """Returns a new memory layer.

    Args:
        name: String, one of `registered_memories()`.
        memory_args: Dict of the memory's own settings, or `None` for their defaults. Defaults to
            `None`.
        width: Positive integer, features of the memory.
        num_layers: Positive integer.
        activation: String, the name of a Keras activation. Defaults to `"leaky_relu"`.
        dtype: String, the name of a dtype policy, or `None` for Keras' own. Defaults to `None`.
        seed: Integer or `None`, from which its initial weights are drawn. Defaults to `None`.

    Raises:
        ValueError: If the memory is not known, has no such setting, or cannot have this value.
    """
    resolved = resolve_memory_args(name, memory_args)
    return _MEMORIES[name].builder(
        width=width,
        num_layers=num_layers,
        activation=activation,
        dtype=dtype,
        seed=seed,
        **resolved,
    )


def _owner_of_another(name: str, builder: Callable[..., Any]) -> str | None:
    """Says whose a name is that another memory has; returns `None` where it is free or that of
    `builder`."""
    if name in _MEMORIES:
        other = _MEMORIES[name].builder
        if entry_points.is_same(other, builder):
            return None
        path = entry_points.path_of(other) or repr(other)
        return "the package's own" if _is_built_in(other) else f"already registered, with {path}"
    points = () if _is_built_in(builder) else _declared.get(name, ())
    # Where the package's module is imported, it is that one which registers the memory.
    if points and not any(point.module in sys.modules for point in points):
        return f"declared by the package {entry_points.packages(points)}"
    return None


def _is_built_in(builder: Callable[..., Any]) -> bool:
    return str(getattr(builder, "__module__", "")).startswith("keras_s5rl.")


def _check_settings(settings: Any) -> None:
    if not isinstance(settings, Mapping):
        raise ValueError(f"`settings` should be a dict or None. Received: settings={settings!r}")
    for name, setting in settings.items():
        if not isinstance(name, str) or not name.isidentifier() or name in _SHARED:
            raise ValueError(
                "`settings` should have names that can be keyword arguments, and none of "
                f"{', '.join(_SHARED)}, which every memory is given. Received: {name!r} among them"
            )
        if not isinstance(setting, Setting):
            raise ValueError(
                f"`settings[{name!r}]` should be made with keras_s5rl.models.settings, such as "
                f"settings.count(64, 'what it means'). Received: {setting!r}"
            )
        setting.checked(name, setting.default)


def _check_builder(builder: Any, settings: Mapping[str, Setting]) -> None:
    """Raises a ValueError unless the builder can be called with what it will be given."""
    names = (*_SHARED, *settings)
    try:
        inspect.signature(builder).bind(**dict.fromkeys(names))
    except TypeError as error:  # not a function, or one of other arguments
        raise ValueError(
            f"`builder` should be a function of the keyword arguments {', '.join(names)} ({error})."
            f" Received: builder={builder!r}"
        ) from None
    except ValueError:  # a function whose signature Python does not know
        pass
