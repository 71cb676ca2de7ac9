"""States of the episodes that popgym 1.0.7 recorded, one environment and one step at a time."""

import functools

import keras

from keras_s5rl import envs
from tests.envs.play import play
from tests.envs.popgym.golden_test import Golden

NUM_STEPS = 70


@functools.cache
def recorded_states(name):
    """Replays the start of the recorded episodes.

    Returns:
        The environment, `Golden`, and for each episode the list of its first `NUM_STEPS + 1`
        states, or of all, without the batch axis.
    """
    env, golden = envs.make(name), Golden(name)
    steps = keras.tree.map_structure(lambda array: array[:NUM_STEPS], golden.steps())
    rows = play(env, golden.initial_draws(), *steps, {"state": lambda state: state})["state"]
    episodes = [
        [
            {leaf: values[time, episode] for leaf, values in rows.items()}
            for time in range(min(int(length), NUM_STEPS) + 1)
        ]
        for episode, length in enumerate(golden.data["lengths"])
    ]
    return env, golden, episodes
