"""Tables that modules of a folder declare, read from their sources: no module is imported."""

import ast
import os
import re
from collections.abc import Iterator
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read_tables(folder: str, *names: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Reads dicts of literals from the modules in a folder of the package and below it.

    A table is a statement of its own, `NAME = {...}`, in the format of ruff: it is one line, or
    ends with the first line that begins with a brace.

    Args:
        folder: String, the folder relative to the package.
        *names: Strings, the names of the tables.

    Yields:
        `(module, name, table)`: the dotted name of the module, the name of the table and the dict.

    Raises:
        ValueError: If a table holds something else than literals.
    """
    statement = re.compile(
        rf"^({'|'.join(names)})\b[^=\n]*= (\{{[^\n]*\}}|\{{.*?^\}})$", re.MULTILINE | re.DOTALL
    )
    for path in _sources(os.path.join(_PACKAGE, folder)):
        with open(path, encoding="utf-8") as file:
            source = file.read()
        if not any(name in source for name in names):
            continue
        for name, literal in statement.findall(source):
            path_in_package = os.path.relpath(path, os.path.dirname(_PACKAGE))
            module = path_in_package.removesuffix(".py").replace(os.sep, ".")
            try:
                yield module, name, ast.literal_eval(literal)
            except (SyntaxError, ValueError) as error:
                raise ValueError(
                    f"`{name}` in {module} should be a dict of literals: it is read without "
                    f"importing the module. Received: {name} = {literal}"
                ) from error


def _sources(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        yield from (os.path.join(parent, file) for file in sorted(files) if file.endswith(".py"))
