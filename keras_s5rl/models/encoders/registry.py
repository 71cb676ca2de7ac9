"""The registry of encoders."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_BUILDERS: dict[str, Callable[..., Any]] = {}


def register_encoder(name: str, builder: Callable[..., Any]) -> None:
    """Makes an encoder known under a name, for `PPO(encoder=name)` and `--encoder=name`.

    The same function can be registered again: what a reloaded module or a notebook's cell defines
    anew takes the place of the old one.

    Args:
        name: String, which no other encoder has.
        builder: Function of the keyword arguments `entries` (what a flat observation holds: a list
            of dicts as `keras_s5rl.envs.AgentView.entries` has it), `width` (features of the
            memory), `activation`, `dtype` (the name of a dtype policy) and `seed` (an integer, from
            which initial weights are drawn). It returns a layer from `(batch, observation_size)` to
            `(batch, features)`, or `None` where the dense layers of the policy are to get the
            observation as it is.

    Raises:
        ValueError: If the name is taken, or no name.

    Example:

    >>> import keras
    >>> from keras_s5rl.models import register_encoder
    >>> def build(*, entries, width, activation, dtype, seed):
    ...     return keras.layers.LayerNormalization(dtype=dtype)
    >>> register_encoder("normalized", build)
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"`name` should be a string that is not empty. Received: name={name!r}")
    known = _BUILDERS.get(name, builder)
    if (known.__module__, known.__qualname__) != (builder.__module__, builder.__qualname__):
        raise ValueError(
            f"`name` should not be that of another encoder, and {known.__module__} has registered "
            f"this one. Choose another name. Received: name={name!r}"
        )
    _BUILDERS[name] = builder


def registered_encoders() -> list[str]:
    """Returns the known names, in the order in which they were registered."""
    return list(_BUILDERS)


def check_encoder(encoder: Any) -> None:
    """Raises a ValueError unless the value is a registered name, a Keras layer, or the serialised
    form of one."""
    if isinstance(encoder, Mapping) or (callable(encoder) and hasattr(encoder, "get_config")):
        return
    if not isinstance(encoder, str) or encoder not in _BUILDERS:
        known = registered_encoders()
        near = difflib.get_close_matches(str(encoder), known, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"`encoder` should be one of {known}, or a Keras layer{hint} "
            f"Received: encoder={encoder!r}"
        )


def encoder_setting(encoder: Any) -> Any:
    """Returns an encoder as config.json has it: its name, or the serialised layer."""
    if isinstance(encoder, str | Mapping):
        return encoder
    import keras

    return json.loads(json.dumps(keras.saving.serialize_keras_object(encoder)))


def same_encoder(one: Any, other: Any) -> bool:
    """Returns whether two encoders, as config.json has them, are the same but for the names that
    Keras gave to layers."""
    return _without_names(one, _names_in(one)) == _without_names(other, _names_in(other))


def _names_in(config: Any) -> list[str]:
    """The names of layers in a serialised one, in their order."""
    own = [config["name"]] if isinstance(config, dict) and "name" in config else []
    parts = config.values() if isinstance(config, dict) else config
    found = [_names_in(part) for part in parts] if isinstance(config, dict | list) else []
    return list(dict.fromkeys(own + [name for names in found for name in names]))


def _without_names(config: Any, names: list[str]) -> Any:
    """A serialised layer with the places of names in their list instead of them."""
    if isinstance(config, dict):
        return {key: _without_names(part, names) for key, part in config.items()}
    if isinstance(config, list):
        return [_without_names(part, names) for part in config]
    return names.index(config) if config in names else config


def make_encoder(
    encoder: Any,
    entries: Sequence[Mapping[str, Any]],
    *,
    width: int,
    activation: str = "leaky_relu",
    dtype: str | None = None,
    seed: int | None = None,
) -> Any:
    """Returns the layer of an encoder, or `None` for none.

    Args:
        encoder: String, one of `registered_encoders()`; a Keras layer, which is returned; or the
            serialised form of one.
        entries: List of dicts, as `register_encoder` explains them.
        width: Positive integer, features of the memory.
        activation: String, the name of a Keras activation. Defaults to `"leaky_relu"`.
        dtype: String, the name of a dtype policy, or `None` for Keras' own. Defaults to `None`.
        seed: Integer or `None`, from which initial weights are drawn. Defaults to `None`.

    Raises:
        ValueError: If the encoder is not known.
    """
    check_encoder(encoder)
    if isinstance(encoder, Mapping):
        import keras

        try:
            return keras.saving.deserialize_keras_object(encoder)
        except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "`encoder` should be a Keras layer that can be made again from its config; import "
                f"what defines it first ({' '.join(str(error).split())[:200]}). "
                f"Received: encoder={str(encoder)[:200]}"
            ) from error
    if isinstance(encoder, str):
        return _BUILDERS[encoder](
            entries=entries, width=width, activation=activation, dtype=dtype, seed=seed
        )
    return encoder
