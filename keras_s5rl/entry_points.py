"""Entry points: what installed packages declare by name, imported when it is asked for.

A package declares an environment or a memory in its pyproject.toml:

    [project.entry-points."keras_s5rl.envs"]
    MyEnv = "my_package.envs:MyEnv"

    [project.entry-points."keras_s5rl.memories"]
    my_memory = "my_package.memory"
"""

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any


def declared(group: str) -> dict[str, list[EntryPoint]]:
    """Returns the entry points of a group by name; several where several packages have the name."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return found


def load(argument: str, points: Sequence[EntryPoint]) -> Any:
    """Imports what an entry point names.

    Args:
        argument: String, the argument that was given its name, for errors.
        points: The entry points of that name.

    Raises:
        ValueError: If it cannot be imported, or several packages declare it.
    """
    point = points[0]
    if len(points) > 1:
        raise ValueError(
            f"`{argument}` should be declared by one installed package, and {packages(points)} "
            f"declare it. Uninstall all but one. Received: {argument}={point.name!r}"
        )
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"`{argument}` names what the package {packages(points)} declares, and that cannot be "
            f"imported from {point.value} ({type(error).__name__}: {error}). Mend or uninstall the "
            f"package. Received: {argument}={point.name!r}"
        ) from error


def path_of(named: Any) -> str | None:
    """Returns the `"module:attribute"` of a class or function, or of what is that string already;
    `None` of what has no such name, as a lambda and an inner function have none."""
    if isinstance(named, str):
        return named
    name = getattr(named, "__qualname__", "<unnamed>")
    return None if "<" in name else f"{named.__module__}:{name}"


def is_same(one: Any, other: Any) -> bool:
    """Returns whether two classes or functions are one, perhaps defined anew: by a module that is
    reloaded, or a notebook's cell that is run again."""
    return one is other or path_of(one) == path_of(other) is not None


def packages(points: Sequence[EntryPoint]) -> str:
    """Returns the names of the packages that declare these entry points."""
    return " and ".join(str(point.dist and point.dist.name) for point in points)
