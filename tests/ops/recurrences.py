"""Random linear recurrences, and their definition as a loop over batch and time."""

import functools
import itertools

import keras
import numpy as np

from keras_s5rl.ops import linear_recurrence
from tests.support.differentiate import COMPILE, compiled

IMPLEMENTATIONS = ("associative", "sequential")
NAMES = "implementation, reverse, varying, compile, planes"
# All combinations of complex numbers; real ones with one implementation compiled, the other not.
CASES = [
    (implementation, *flags, compile, planes)
    for implementation, *flags, compile, planes in itertools.product(
        IMPLEMENTATIONS, *[(False, True)] * 3, (1, 2)
    )
    if planes == 2 or compile == (implementation == "associative")
]


def number(values):
    """The planes on the last axis but one as numbers."""
    return values[..., 0, :] + (1j * values[..., 1, :] if values.shape[-2] == 2 else 0)


def loop(decay, inputs, initial_state, resets, mask, reverse=False):
    """The definition, one batch entry and one step at a time, in float64 or complex128."""
    batch, time, planes, features = inputs.shape
    states = np.zeros((batch, time, planes, features))
    for b in range(batch):
        x = number(initial_state[b])
        for t in reversed(range(time)) if reverse else range(time):
            before = t + 1 if reverse else t
            if before < time and resets[b, before]:
                x = np.zeros(features)
            if mask[b, t]:
                x = number(decay if decay.ndim == 2 else decay[b, t]) * x + number(inputs[b, t])
            states[b, t] = np.stack([x.real, x.imag])[:planes]
    return states


def problem(time=7, varying=False, planes=2, batch=2, features=3, seed=0):
    generator = np.random.default_rng(seed)
    shape = (batch, time, planes, features)
    return {
        "decay": generator.uniform(-0.9, 0.9, shape if varying else (planes, features)),
        "inputs": generator.normal(size=shape),
        "initial_state": generator.normal(size=(batch, planes, features)),
        "resets": generator.random((batch, time)) < 0.25,
        "mask": generator.random((batch, time)) < 0.75,
    }


@functools.cache
def solver(**kwargs):
    def run(arrays):
        return linear_recurrence(**arrays, **kwargs)

    return compiled(run) if COMPILE else run


def solve(case, **kwargs):
    arrays = {k: v if v.dtype == bool else v.astype("float32") for k, v in case.items()}
    arrays = {k: keras.ops.convert_to_tensor(v) for k, v in arrays.items()}
    return keras.ops.convert_to_numpy(solver(**kwargs)(arrays))


def finite_differences(function, arguments):
    """Central differences in float64."""
    results = []
    for index, argument in enumerate(arguments):
        result = np.zeros_like(argument)
        for place in np.ndindex(argument.shape):
            moved = [a.copy() for a in arguments]
            moved[index][place] += 1e-6
            above = function(*moved)
            moved[index][place] -= 2e-6
            result[place] = (above - function(*moved)) / 2e-6
        results.append(result)
    return results
