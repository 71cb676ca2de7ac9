"""POPGym's environments, step for step equal to popgym 1.0.7.

Reference: Morad et al., 2023, "POPGym: Benchmarking Partially Observable Reinforcement Learning".
"""

# family: (where it is defined, keyword arguments of each difficulty). Strings, so that making one
# family imports no other.
FAMILIES = {
    "RepeatPrevious": (
        "keras_s5rl.envs.popgym.repeat_previous:RepeatPrevious",
        {
            "Easy": {"num_decks": 1, "k": 4},
            "Medium": {"num_decks": 2, "k": 32},
            "Hard": {"num_decks": 3, "k": 64},
        },
    ),
    "RepeatFirst": (
        "keras_s5rl.envs.popgym.repeat_first:RepeatFirst",
        {"Easy": {"num_decks": 1}, "Medium": {"num_decks": 8}, "Hard": {"num_decks": 16}},
    ),
    "PositionOnlyCartPole": (
        "keras_s5rl.envs.popgym.position_only_cart_pole:PositionOnlyCartPole",
        {
            "Easy": {"max_episode_steps": 200},
            "Medium": {"max_episode_steps": 400},
            "Hard": {"max_episode_steps": 600},
        },
    ),
    "PositionOnlyPendulum": (
        "keras_s5rl.envs.popgym.position_only_pendulum:PositionOnlyPendulum",
        {
            "Easy": {"max_episode_steps": 200},
            "Medium": {"max_episode_steps": 150},
            "Hard": {"max_episode_steps": 100},
        },
    ),
}

# The paper's name of a family: POPGym's name.
PAPER_NAMES = {
    "StatelessCartPole": "PositionOnlyCartPole",
    "StatelessPendulum": "PositionOnlyPendulum",
}
