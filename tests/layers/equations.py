"""A layer beside its equations, written as one step in numpy: outputs, states and all gradients."""

import keras
import numpy as np

from tests.support.differentiate import gradients

BATCH, TIME = 2, 5
RESETS = np.array([[False, False, True, False, True], [True, False, False, False, False]])
MASK = np.array([[True, False, True, True, True], [True, True, False, True, False]])


def check_equations(layer, step, features, step_scale=False, tolerance=1e-5):
    """Asserts that a layer over time is a step repeated, in float64, with resets and a mask.

    Each array is within the tolerance of the reference, relative to its largest entry or to 1.
    Gradients are those of outputs and last states under random weights; the reference takes central
    differences.

    Args:
        layer: `SequenceLayer` with `return_state=True` and `zero_output_for_mask=True`.
        step: Function `(weights, inputs, states, lengths) -> outputs, states` of float64 arrays,
            batch first; `weights` is a list in the order of `layer.trainable_weights`.
        features: Integer, features of the input.
        step_scale: Whether the layer takes lengths of steps; they are 1 otherwise.
        tolerance: Float.
    """
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.normal(size=shape).astype("float32")

    layer.build((None, None, features))
    weights = [
        np.asarray(keras.ops.convert_to_numpy(weight)) + 0.3 * normal(*weight.shape)
        for weight in layer.trainable_weights
    ]
    values = [normal(BATCH, TIME, features), *(normal(BATCH, *s) for s in layer.state_shapes)]
    if step_scale:
        values.append(generator.uniform(0.5, 2.0, (BATCH, TIME)).astype("float32"))
    upstream = [normal(*shape) for shape in layer.compute_output_shape((BATCH, TIME, features))]

    def split(tensors):
        """The weights, the inputs, the states and the lengths of steps."""
        weights_, (inputs, *states) = tensors[: len(weights)], tensors[len(weights) :]
        lengths = states.pop() if step_scale else None
        return list(weights_), inputs, states, lengths

    def loss(*tensors):
        upstream_, tensors = tensors[: len(upstream)], tensors[len(upstream) :]
        weights, inputs, states, lengths = split(tensors)
        scaled = {"step_scale": lengths} if step_scale else {}
        results, _ = layer.stateless_call(
            weights, [], inputs, initial_state=states, resets=RESETS, mask=MASK, **scaled
        )
        return sum(keras.ops.sum(a * b) for a, b in zip(results, upstream_, strict=True))

    def expected_results():
        weights, inputs, states, lengths = split(exact)
        lengths = np.ones((BATCH, TIME)) if lengths is None else lengths
        outputs, states = np.zeros(upstream[0].shape), list(states)
        order = range(TIME)[:: -1 if layer.go_backwards else 1]
        for t in order:
            place = t + 1 if layer.go_backwards else t
            cut = RESETS[:, place] if place < TIME else np.zeros(BATCH, bool)
            states = [np.where(_along(cut, state), 0.0, state) for state in states]
            results, new = step(weights, inputs[:, t], states, lengths[:, t])
            valid = MASK[:, t]
            states = [np.where(_along(valid, a), a, b) for a, b in zip(new, states, strict=True)]
            outputs[:, t] = np.where(valid[:, None], results, 0.0)
        return [outputs[:, list(order)], *states]

    given = [*weights, *values]
    # The gradient for the weight of a result is the result itself.
    found = gradients(loss, [*upstream, *given], compile=True)
    exact = [value.astype("float64") for value in given]
    expected = expected_results()
    for argument in exact:
        slope = np.zeros(argument.shape)
        for place in np.ndindex(argument.shape):
            value = argument[place]
            for nudge in (1e-6, -1e-6):
                argument[place] = value + nudge
                pairs = zip(expected_results(), upstream, strict=True)
                slope[place] += sum(np.sum(a * b) for a, b in pairs) / (2 * nudge)
            argument[place] = value
        expected.append(slope)
    for index, (result, wanted) in enumerate(zip(found, expected, strict=True)):
        assert result.shape == wanted.shape
        error = np.abs(result - wanted).max()
        assert error <= tolerance * max(1.0, np.abs(wanted).max()), (index, error)


def _along(flags, values):
    return flags.reshape(-1, *(1,) * (values.ndim - 1))
