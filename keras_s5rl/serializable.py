"""What Keras needs to load a saved layer or policy, without Keras and the layers being imported.

A file names the classes in it, and Keras looks the names up among those that were registered. A
class registers itself when its module is imported; until then a stand-in has its place.
"""

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = Path(__file__).parent
_FOLDERS = ("layers", "models", "ops", "ppo")  # where such classes are
_REGISTERED = re.compile(
    r'^@keras\.saving\.register_keras_serializable\("keras_s5rl"\)\nclass (\w+)', re.MULTILINE
)


def registered_classes() -> Iterator[tuple[str, str]]:
    """Reads from the sources which classes register themselves, without importing them.

    Yields:
        `(module, name)`, both strings.
    """
    for folder in _FOLDERS:
        for path in sorted((_PACKAGE / folder).rglob("*.py")):
            module = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
            for name in _REGISTERED.findall(path.read_text(encoding="utf-8")):
                yield module, name


class _StandIn:
    """A class that is imported when Keras makes an object of it."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def from_config(self, config: dict[str, Any]) -> Any:
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


class _KerasImport:
    """A finder for `sys.meta_path` that calls a function once Keras has been imported."""

    def __init__(self, function: Callable[[ModuleType], None]) -> None:
        self.function = function

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                sys.meta_path.remove(self)
                self.function(module)

            # For this one import, of which the loader is the only way to hear when it is over.
            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _register(keras: ModuleType) -> None:
    registered = keras.saving.get_custom_objects()
    for module, name in registered_classes():
        registered.setdefault(f"keras_s5rl>{name}", _StandIn(module, name))


def register_with_keras() -> None:
    """Makes the classes of the package known to Keras, now or when Keras is imported."""
    if "keras" in sys.modules:
        _register(sys.modules["keras"])
    else:
        sys.meta_path.insert(0, _KerasImport(_register))
