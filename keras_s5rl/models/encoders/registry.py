"""The registry of encoders."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_s5rl import entry_points
from keras_s5rl.models.keras_configs import plain_config

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
        ValueError: If the name is taken or no name, or the builder cannot be called.

    Example:

    >>> import keras
    >>> from keras_s5rl.models import register_encoder
    >>> def build(*, entries, width, activation, dtype, seed):
    ...     return keras.layers.LayerNormalization(dtype=dtype)
    >>> register_encoder("normalized", build)
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"`name` should be a string that is not empty. Received: name={name!r}")
    if not callable(builder):
        raise ValueError(
            f"`builder` should be a function that returns a layer. Received: builder={builder!r}"
        )
    other = _BUILDERS.get(name, builder)
    if not entry_points.is_same(other, builder):
        raise ValueError(
            "`name` should not be that of another encoder, and this one is registered already, as "
            f"{entry_points.path_of(other) or other!r}. Choose another name. "
            f"Received: name={name!r}"
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
    return encoder if isinstance(encoder, str | Mapping) else plain_config(encoder)


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
