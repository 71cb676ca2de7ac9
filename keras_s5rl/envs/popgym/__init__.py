"""POPGym's environments, step for step equal to popgym 1.0.7.

Reference: Morad et al., 2023, "POPGym: Benchmarking Partially Observable Reinforcement Learning".
"""

from typing import Any


def _family(path: str, **arguments: Any) -> tuple[str, dict[str, dict[str, Any]]]:
    """Returns `"module:class"` and the keyword arguments of each difficulty.

    An argument is given by its values at Easy, Medium and Hard. The class is named, not imported,
    so that making one family imports no other.
    """
    difficulties = [
        dict(zip(arguments, values, strict=True))
        for values in zip(*arguments.values(), strict=True)
    ]
    names = ("Easy", "Medium", "Hard")
    return f"keras_s5rl.envs.popgym.{path}", dict(zip(names, difficulties, strict=True))


FAMILIES = {
    "Autoencode": _family("autoencode:Autoencode", num_decks=(1, 2, 3)),
    "Battleship": _family("battleship:Battleship", board_size=(8, 10, 12)),
    "Concentration": _family(
        "concentration:Concentration",
        num_decks=(1, 2, 1),
        deck_type=("colors", "colors", "ranks"),
    ),
    "CountRecall": _family(
        "count_recall:CountRecall",
        num_decks=(1, 2, 4),
        deck_type=("colors", "suits", "ranks"),
    ),
    "HigherLower": _family("higher_lower:HigherLower", num_decks=(1, 2, 3)),
    "LabyrinthEscape": _family(
        "labyrinth_escape:LabyrinthEscape", maze_dims=((10, 10), (14, 14), (18, 18))
    ),
    "LabyrinthExplore": _family(
        "labyrinth_explore:LabyrinthExplore", maze_dims=((10, 10), (14, 14), (18, 18))
    ),
    "MineSweeper": _family(
        "mine_sweeper:MineSweeper", dims=((4, 4), (6, 6), (8, 8)), num_mines=(2, 6, 10)
    ),
    "MultiarmedBandit": _family(
        "multiarmed_bandit:MultiarmedBandit",
        num_bandits=(10, 20, 30),
        episode_length=(200, 400, 600),
    ),
    "NoisyPositionOnlyCartPole": _family(
        "noisy_position_only_cart_pole:NoisyPositionOnlyCartPole", noise_sigma=(0.1, 0.2, 0.3)
    ),
    "NoisyPositionOnlyPendulum": _family(
        "noisy_position_only_pendulum:NoisyPositionOnlyPendulum", noise_sigma=(0.1, 0.2, 0.3)
    ),
    "PositionOnlyCartPole": _family(
        "position_only_cart_pole:PositionOnlyCartPole", max_episode_steps=(200, 400, 600)
    ),
    "PositionOnlyPendulum": _family(
        "position_only_pendulum:PositionOnlyPendulum", max_episode_steps=(200, 150, 100)
    ),
    "RepeatFirst": _family("repeat_first:RepeatFirst", num_decks=(1, 8, 16)),
    "RepeatPrevious": _family("repeat_previous:RepeatPrevious", num_decks=(1, 2, 3), k=(4, 32, 64)),
    # POPGym spells this one with a small p.
    "VelocityOnlyCartpole": _family(
        "velocity_only_cart_pole:VelocityOnlyCartPole", max_episode_steps=(200, 400, 600)
    ),
}

# The paper's name of a family, where it is another: POPGym's name.
PAPER_NAMES = {
    "NoisyStatelessCartPole": "NoisyPositionOnlyCartPole",
    "NoisyStatelessPendulum": "NoisyPositionOnlyPendulum",
    "StatelessCartPole": "PositionOnlyCartPole",
    "StatelessPendulum": "PositionOnlyPendulum",
}
