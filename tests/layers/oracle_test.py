"""S5 against its equations in complex128: outputs, states and every gradient, over all options.

Each array is within 1e-5 of the reference, as `max|error| / max(1, max|reference|)`. Gradients are
those of the outputs and last states under random weights; the reference takes central differences
of the complex128 loop, entry by entry.
"""

import random

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5
from tests.support.differentiate import BACKEND, gradients

FEATURES = 3
OPTIONS = {
    "state_size": (4, 8),
    "num_blocks": (1, 2),
    "discretization": ("zoh", "bilinear"),
    "c_init": ("lecun_normal", "truncate_standard_normal", "complex_normal"),
    "conjugate_symmetry": (True, False),
    "clip_eigenvalues": (True, False),
    "bidirectional": (True, False),
    "step_rescale": (1.0, 0.4),
    "go_backwards": (True, False),
    "return_sequences": (True, False),
    "zero_output_for_mask": (True, False),
    "implementation": ("sequential", "associative"),
}
SIZES = ((2, 6), (1, 6), (3, 5), (3, 1))
TENSORS = ("initial_state", "step_scale", "resets", "mask")


def s5(layer, weights, inputs, states, step_scale, resets, mask):
    """The layer step by step in complex128: `[outputs, *last states]`, all real."""
    weight = dict(zip([weight.name for weight in layer.weights], weights, strict=True))
    real = weight["lambda_re"]
    eigenvalue = np.minimum(real, -1e-4) if layer.clip_eigenvalues else real
    eigenvalue = eigenvalue + 1j * weight["lambda_im"]
    length = layer.step_rescale * np.exp(weight["log_step"]) * step_scale[..., None]
    if layer.discretization == "zoh":
        decay = np.exp(eigenvalue * length)
        gain = (decay - 1) / eigenvalue
    else:
        gain = length / (1 - length / 2 * eigenvalue)
        decay = (1 + length / 2 * eigenvalue) / (1 - length / 2 * eigenvalue)
    B, C = (weight[name][0] + 1j * weight[name][1] for name in "BC")
    C = 2 * C if layer.conjugate_symmetry else C
    drive = gain * (inputs @ B.T)
    outputs = weight["D"] * inputs

    def steps(backwards):
        """Each step in turn, with whether an episode begins there the way that time runs."""
        cuts = resets
        if backwards:
            cuts = np.concatenate([resets[:, 1:], np.zeros_like(resets[:, :1])], axis=1)
        times = range(inputs.shape[1])
        return [(t, cuts[:, t, None]) for t in (reversed(times) if backwards else times)]

    lasts = []
    for index, state in enumerate(states):  # the second recurrence runs against the first
        x = state[:, 0] + 1j * state[:, 1]
        read = C[:, index * x.shape[1] : (index + 1) * x.shape[1]]
        for t, cut in steps(layer.go_backwards != bool(index)):
            x = np.where(cut, 0.0, x)
            x = np.where(mask[:, t, None], decay[:, t] * x + drive[:, t], x)
            outputs[:, t] += (x @ read.T).real
        lasts.append(np.stack([x.real, x.imag], axis=1))
    held = np.zeros_like(inputs[:, 0]) if inputs.shape[1] else None
    for t, cut in steps(layer.go_backwards):
        held = np.where(cut | layer.zero_output_for_mask, 0.0, held)
        held = outputs[:, t] = np.where(mask[:, t, None], outputs[:, t], held)
    outputs = outputs[:, ::-1] if layer.go_backwards else outputs
    return [outputs if layer.return_sequences else outputs[:, -1], *lasts]


def central_differences(function, arguments):
    """The derivative of `function()` for each entry of the arrays, which it reads."""
    results = [np.zeros_like(argument) for argument in arguments]
    for argument, result in zip(arguments, results, strict=True):
        for place in np.ndindex(argument.shape):
            value = argument[place]
            argument[place] = value + 1e-6
            above = function()
            argument[place] = value - 1e-6
            result[place] = (above - function()) / 2e-6
            argument[place] = value
    return results


def check(arguments, batch, time, names, seed):
    generator = np.random.default_rng(seed)
    layer = S5(**arguments, return_state=True, dt_min=0.05, dt_max=0.5, seed=seed)
    layer.build((None, None, FEATURES))

    def normal(*shape):
        return generator.normal(size=shape).astype("float32")

    weights = [np.asarray(keras.ops.convert_to_numpy(weight)) for weight in layer.weights]
    weights[0] = weights[0] + 0.5 * normal(*weights[0].shape)  # unstable eigenvalues too
    values = {"inputs": normal(batch, time, FEATURES)}
    if "step_scale" in names:
        values["step_scale"] = generator.uniform(0.5, 2, (batch, time)).astype("float32")
    states = [normal(batch, *shape) for shape in layer.state_shapes]
    if "initial_state" in names:
        values.update({f"state_{index}": state for index, state in enumerate(states)})
    flags = {
        name: generator.random((batch, time)) < true
        for name, true in (("resets", 0.4), ("mask", 0.5))
        if name in names
    }
    shapes = layer.compute_output_shape(values["inputs"].shape)
    cotangents = [normal(*shape) for shape in shapes]

    def split(tensors):
        """The weights, and the call's arguments by name."""
        named = dict(zip(values, tensors[len(weights) :], strict=True))
        states = [named.pop(name) for name in list(named) if name.startswith("state")]
        return tensors[: len(weights)], {**named, "initial_state": states or None}

    def loss(*tensors):
        cotangents_, tensors = tensors[: len(cotangents)], tensors[len(cotangents) :]
        weights, call = split(tensors)
        results, _ = layer.stateless_call(weights, [], **call, **flags)
        terms = [keras.ops.sum(a * b) for a, b in zip(results, cotangents_, strict=True)]
        return sum(terms) + 0 * sum(keras.ops.sum(tensor) for tensor in tensors)

    # The gradient for the weight of a result is the result itself.
    given = [*weights, *values.values()]
    found = gradients(loss, [*cotangents, *given], compile=BACKEND == "jax" or seed % 2 == 0)

    exact = [np.asarray(value, "float64") for value in given]

    def expected_results():
        weights, call = split(exact)
        call = {
            "step_scale": np.ones((batch, time)),
            "resets": np.zeros((batch, time), bool),
            "mask": np.ones((batch, time), bool),
            **call,
            **flags,
        }
        states = call.pop("initial_state") or [np.zeros((batch, *s)) for s in layer.state_shapes]
        return s5(layer, weights, states=states, **call)

    def expected_loss():
        return sum(np.sum(a * b) for a, b in zip(expected_results(), cotangents, strict=True))

    expected = expected_results() + central_differences(expected_loss, exact)
    for result, wanted in zip(found, expected, strict=True):
        assert result.shape == wanted.shape
        error = np.abs(result - wanted).max(initial=0.0)
        assert error <= 1e-5 * max(1.0, np.abs(wanted).max(initial=0.0))


@pytest.mark.slow_after(1)
# Nearly all pairs of two options' values occur under these seeds.
@pytest.mark.portable
@pytest.mark.parametrize("seed", range(693, 711))
def test_outputs_states_and_gradients_are_those_of_the_equations(seed):
    choice = random.Random(seed)
    arguments = {name: choice.choice(values) for name, values in OPTIONS.items()}
    names = [name for name in TENSORS if choice.random() < 0.75]
    check(arguments, *choice.choice(SIZES), names, seed)


@pytest.mark.parametrize("bidirectional", (False, True))
def test_a_sequence_without_steps_hands_on_states_and_gradients(bidirectional):
    arguments = {"state_size": 4, "bidirectional": bidirectional}
    check(arguments, batch=2, time=0, names=TENSORS, seed=0)
