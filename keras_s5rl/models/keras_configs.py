"""Keras objects as plain values, as config.json has them. Importing it imports no Keras."""

import json
from typing import Any


def plain_config(value: Any) -> dict[str, Any]:
    """Returns a Keras layer or model as plain values, of which `keras.saving.
    deserialize_keras_object` makes one like it, not yet built.

    Raises:
        TypeError, ValueError: If its config holds what JSON has not.
    """
    import keras

    config = json.dumps(keras.saving.serialize_keras_object(value), allow_nan=False)
    return _not_built(json.loads(config))


def same_config(one: Any, other: Any) -> bool:
    """Returns whether two results of `plain_config` are the same but for the names that Keras gave
    to layers, on which it counts; other values, such as strings, as they are."""
    return _without_names(one, _names_in(one)) == _without_names(other, _names_in(other))


def _not_built(config: Any) -> Any:
    if isinstance(config, dict):
        left_out = ("build_config", "compile_config")
        return {name: _not_built(part) for name, part in config.items() if name not in left_out}
    return [_not_built(part) for part in config] if isinstance(config, list) else config


def _names_in(config: Any) -> list[str]:
    """The names of layers in their order."""
    own = [config["name"]] if isinstance(config, dict) and "name" in config else []
    parts = config.values() if isinstance(config, dict) else config
    found = [_names_in(part) for part in parts] if isinstance(config, dict | list) else []
    return list(dict.fromkeys(own + [name for names in found for name in names]))


def _without_names(config: Any, names: list[str]) -> Any:
    """A config with the places of names in their list instead of them."""
    if isinstance(config, dict):
        return {key: _without_names(part, names) for key, part in config.items()}
    if isinstance(config, list):
        return [_without_names(part, names) for part in config]
    return names.index(config) if config in names else config
