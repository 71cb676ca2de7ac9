"""Packages whose names are looked up when they are first used (PEP 562).

A type checker does not run this: the `__init__.py` imports the same names under `TYPE_CHECKING`.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def attach(
    package: str, names: Mapping[str, str], submodules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the functions `__getattr__` and `__dir__` of a package that has `__all__`.

    Args:
        package: String, the package's `__name__`.
        names: Mapping of modules, relative to the package, to the names that each defines, between
            spaces.
        submodules: Modules of the package that are attributes of it too.
    """
    modules = {name: module for module, defined in names.items() for name in defined.split()}

    def look_up(name: str) -> Any:
        if name in submodules:
            return importlib.import_module(f"{package}.{name}")
        if name in modules:
            return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return look_up, lambda: sys.modules[package].__all__
