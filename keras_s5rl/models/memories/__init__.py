"""Memories: what stands between an agent's encoder and its heads, by name.

Each module here registers memories when it is imported, and all of them are: a new one needs no
list. They import Keras where a memory is built, so that its settings can be read without it.
"""

import importlib
import pkgutil

from keras_s5rl.models.memories.registry import (
    check_memory,
    make_memory,
    memories_with,
    memory_settings,
    register_memory,
    registered_memories,
    resolve_memory_args,
)

__all__ = [
    "check_memory",
    "make_memory",
    "memories_with",
    "memory_settings",
    "register_memory",
    "registered_memories",
    "resolve_memory_args",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
