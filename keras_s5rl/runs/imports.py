"""The modules that a run needs: those that registered its environment or its memory.

A run names them, in `imports` of its config.json, and nothing imports them because it does: they
would be somebody else's code.
"""

import re
from collections.abc import Container
from typing import Any

from keras_s5rl.runs.files import RunError

_MODULE = re.compile(r"\w+(\.\w+)*")


def recorded_imports(config: dict[str, Any]) -> list[str]:
    """Returns the list `imports` of a config.json, empty where there is none.

    Raises:
        RunError: when it is not a list of names of modules.
    """
    imports = config.get("imports", [])
    is_list = isinstance(imports, list)
    if not (is_list and all(isinstance(m, str) and _MODULE.fullmatch(m) for m in imports)):
        raise RunError(
            "`imports` should be a list of the names of modules, such as my_package.envs. "
            f"Received: imports={imports!r}"
        )
    return imports


def check_imports(config: dict[str, Any], imported: Container[str]) -> None:
    """Raises a RunError that says which modules a run needs besides those that were imported.

    Args:
        config: the settings of the run.
        imported: the names of modules that were imported.
    """
    imports = recorded_imports(config)
    missing = [module for module in imports if module not in imported]
    if missing:
        needed = " ".join(f"--import={module}" for module in missing)
        raise RunError(
            f"this run needs {needed} (in Python: import {', '.join(missing)} first), which a run "
            f"does not import by itself. Received: imports={imports} in its config.json"
        )
