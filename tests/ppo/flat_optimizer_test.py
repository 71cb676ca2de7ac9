import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.ppo.adam import GroupAdam
from keras_s5rl.ppo.flat_optimizer import FlatOptimizer

SHAPES = [(3, 2), (), (4,), (2, 1, 2)]
RNG = np.random.default_rng(0)
START = [RNG.normal(size=shape).astype("float32") for shape in SHAPES]
# The second step is clipped, the others are not.
GRADIENTS = [
    [scale * RNG.normal(size=shape).astype("float32") for shape in SHAPES]
    for scale in (0.01, 10.0, 0.02)
]


def adam(**settings):
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, 5, 0.0)
    return keras.optimizers.Adam(schedule, global_clipnorm=0.5, epsilon=1e-3, **settings)


def group_adam():
    return GroupAdam(
        0.1,
        [0.25, 1.0, 0.5, 1.0],
        counts_skipped=True,
        global_clipnorm=0.5,
        weight_decay=0.01,
    )


def built(optimizer, dtypes=("float32",) * 4):
    variables = [
        keras.Variable(value, dtype=dtype) for value, dtype in zip(START, dtypes, strict=True)
    ]
    optimizer.build(variables)
    return optimizer, variables


def values_of(variables):
    return [ops.copy(ops.stop_gradient(variable.value)) for variable in variables]


def numpy_of(tensors):
    return [ops.convert_to_numpy(ops.cast(tensor, "float32")) for tensor in tensors]


def skip(optimizer, state):
    return optimizer.skip(state) if isinstance(optimizer, GroupAdam) else state


def step_along(gradients, optimizer, values, state):
    """A step of an optimizer along these gradients, those of a linear loss."""

    def loss(values):
        return sum(ops.sum(v * g) for v, g in zip(values, gradients, strict=True)), {}

    return backend.gradient_step(loss, optimizer, values, state)[:2]


@pytest.mark.portable
@pytest.mark.parametrize("make", [adam, group_adam])
def test_steps_are_those_of_the_optimizer_on_each_weight(make):
    optimizer, variables = built(make())
    flat = FlatOptimizer(optimizer, variables)
    trainable, state = values_of(variables), values_of(optimizer.variables)
    vectors, flat_state = flat.join(trainable, state)
    assert [tuple(vector.shape) for vector in vectors] == [(15,)]

    @backend.compile
    def step(trainable, state, gradients):
        return step_along(gradients, optimizer, trainable, state)

    @backend.compile
    def flat_step(vectors, flat_state, gradients):
        return step_along(flat.vectors(gradients), flat.optimizer, vectors, flat_state)

    for gradients in GRADIENTS:
        gradients = [ops.convert_to_tensor(gradient) for gradient in gradients]
        trainable, state = step(trainable, state, gradients)
        vectors, flat_state = flat_step(vectors, flat_state, gradients)
        state, flat_state = skip(optimizer, state), skip(flat.optimizer, flat_state)
    for expected, found in zip((trainable, state), flat.split(vectors, flat_state), strict=True):
        for one, other in zip(numpy_of(expected), numpy_of(found), strict=True):
            np.testing.assert_allclose(other, one, rtol=2e-6, atol=1e-8)


@pytest.mark.portable
def test_weights_of_two_dtypes_keep_theirs():
    dtypes = ("float32", "bfloat16", "float32", "bfloat16")
    optimizer, variables = built(adam(), dtypes)
    flat = FlatOptimizer(optimizer, variables)
    trainable, state = values_of(variables), values_of(optimizer.variables)
    vectors, flat_state = flat.join(trainable, state)
    assert [tuple(vector.shape) for vector in vectors] == [(10,), (5,)]
    new_trainable, new_state = flat.split(vectors, flat_state)
    for old, new in ((trainable, new_trainable), (state, new_state)):
        for one, other in zip(old, new, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(*numpy_of([one, other]))


@pytest.mark.portable
def test_a_gradient_for_the_vector_is_that_for_each_weight():
    optimizer, variables = built(adam())
    flat = FlatOptimizer(optimizer, variables)

    @backend.compile
    def gradients(trainable):
        def loss(vectors):
            weights = flat.weights(vectors)
            return sum(ops.sum(ops.square(w) * i) for i, w in enumerate(weights)), {}

        return backend.value_and_gradients(loss, flat.vectors(trainable))[1]

    found = flat.weights(gradients(values_of(variables)))
    for i, (start, gradient) in enumerate(zip(START, numpy_of(found), strict=True)):
        np.testing.assert_allclose(gradient, 2 * i * start, rtol=1e-6)
