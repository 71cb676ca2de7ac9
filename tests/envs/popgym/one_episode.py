"""Plays one episode step by step."""

import keras
import numpy as np
from keras import ops


def play_one(env, draws, actions, watch=None):
    """Plays from the state of `draws`.

    Args:
        env: An `Environment`.
        draws: Dict of arrays of one environment, without leading axis.
        actions: List of actions.
        watch: Function of the state, by default the observation.

    Returns:
        What is watched, of each state, the first included, then rewards, `terminated` and
        `truncated` of each step: four lists.
    """
    watch = watch or env.observation
    state = env.initial({name: to_tensor([value]) for name, value in draws.items()})
    leaves = keras.tree.flatten(state)
    assert len({id(leaf) for leaf in leaves}) == len(leaves), "the state could not be donated"
    seen, outcomes = [watch(state)], []
    for action in actions:
        state, *outcome = env.transition(state, to_tensor([action]), {})
        seen.append(watch(state))
        outcomes.append([ops.convert_to_numpy(value)[0] for value in outcome])
    rows = [ops.convert_to_numpy(values)[0].tolist() for values in seen]
    return rows, *map(list, zip(*outcomes, strict=True))


def to_tensor(values):
    return ops.convert_to_tensor(np.array(values, "int32"))
