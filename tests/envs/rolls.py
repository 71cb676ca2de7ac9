"""Runs of `AutoReset`, step by step and compiled."""

import functools

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend


def make_cond_eager(monkeypatch):
    monkeypatch.setattr(backend, "cond", lambda predicate, yes, no: yes() if predicate else no())


def as_numpy(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def null_action(state):
    return ops.zeros_like(state["episode_length"])


def roll(autoreset, state, num_steps, action=null_action):
    """Steps eagerly; returns the state, and the transitions with `observation` and `is_first`."""
    rows = []
    for _ in range(num_steps):
        row = {"observation": autoreset.observation(state), "is_first": state["is_first"]}
        state, transition = autoreset.step(state, action(state))
        rows.append({**row, **transition})
    return state, {name: np.stack([as_numpy(row[name]) for row in rows]) for name in rows[0]}


@functools.cache
def compiled_roll(autoreset, num_steps, action=null_action):
    """Like `roll`, as one compiled program `state -> state, rows`."""

    def body(state, _):
        row = {name: state[name] for name in ("env", "pool", "is_first")}
        row["observation"] = autoreset.observation(state)
        state, transition = autoreset.step(state, action(state))
        return state, {**row, **transition}

    program = backend.compile(lambda state: backend.scan(body, state, None, length=num_steps))
    return lambda state: as_numpy(program(state))
