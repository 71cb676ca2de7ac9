"""What is asked about compiled programs, for backends that tell nothing before they run one."""


def memory_needed(program, *arguments):
    """Returns `None`: not known."""
    return None


def use_compilation_cache():
    """Does nothing: no compiled program outlives the process."""
