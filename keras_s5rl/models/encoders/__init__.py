"""Encoders: what takes a flat observation apart before the dense layers of a policy, by name.

Each module here registers an encoder when it is imported, and all of them are: a new one needs no
list. They import Keras where an encoder is built, so that names can be read without it.
"""

import importlib
import pkgutil

from keras_s5rl.models.encoders.registry import (
    check_encoder,
    encoder_setting,
    make_encoder,
    register_encoder,
    registered_encoders,
)

__all__ = [
    "check_encoder",
    "encoder_setting",
    "make_encoder",
    "register_encoder",
    "registered_encoders",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
