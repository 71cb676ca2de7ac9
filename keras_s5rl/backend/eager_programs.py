"""What is asked about compiled programs, for backends that tell nothing before they run one."""

from typing import Any


def memory_needed(program: Any, *arguments: Any) -> int | None:
    """Returns `None`: not known."""
    return None


def use_compilation_cache() -> None:
    """Does nothing: no compiled program outlives the process."""
