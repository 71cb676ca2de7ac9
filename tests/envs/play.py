"""Plays given actions in an environment, as one compiled program."""

import keras
from keras import ops

from keras_s5rl import backend
from tests.support.differentiate import compiled


def play(env, initial_draws, actions, step_draws=None, watch=None):
    """Plays from the state of `initial_draws`; returns a dict of numpy arrays over time.

    Args:
        env: An `Environment`.
        initial_draws: Dict of arrays, as from `draw_initial`.
        actions: Array of shape `(time, num_envs, ...)`.
        step_draws: Dict of arrays, as from `draw_step`, with a leading axis of time.
        watch: Dict of functions of the state.

    Returns:
        Dict of arrays: `rewards`, `terminated` and `truncated` of each step, and what is watched of
        each state, the first included. Episodes go on past their end; what follows means nothing.
    """
    watch = watch or {"obs": env.observation}

    def look(state):
        return {name: function(state) for name, function in watch.items()}

    def body(state, step):
        state, rewards, terminated, truncated = env.transition(state, *step)
        outcome = {"rewards": rewards, "terminated": terminated, "truncated": truncated}
        return state, (outcome, look(state))

    def program(draws, steps):
        state = env.initial(draws)
        _, (outcomes, seen) = backend.scan(body, state, steps)
        seen = keras.tree.map_structure(
            lambda first, rest: ops.concatenate([ops.expand_dims(first, 0), rest]),
            look(state),
            seen,
        )
        return {**outcomes, **seen}

    arguments = (initial_draws, (actions, step_draws or {}))
    arguments = keras.tree.map_structure(ops.convert_to_tensor, arguments)
    return keras.tree.map_structure(ops.convert_to_numpy, compiled(program)(*arguments))
