"""The seeds of a run in words."""


def seeds_text(seed: int, num_seeds: int) -> str:
    """Returns the seeds of a run, from `seed` on, in words.

    Example:

    >>> seeds_text(3, 1), seeds_text(0, 8)
    ('seed 3', 'seeds 0 to 7')
    """
    return f"seed {seed}" if num_seeds == 1 else f"seeds {seed} to {seed + num_seeds - 1}"
