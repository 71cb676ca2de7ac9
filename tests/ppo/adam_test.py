import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.ppo.adam import GroupAdam

BETA_1, BETA_2, EPSILON, RATE, CLIP_NORM = 0.9, 0.999, 1e-3, 0.1, 0.5
FACTORS = [0.25, 1.0]
START = [np.array([1.0, -2.0, 0.5], "float32"), np.array([3.0, 1.0], "float32")]
TARGETS = np.random.default_rng(0).normal(size=(5, 5)).astype("float32")
IS_SKIPPED = [False, True, False, True, False]


def expected():
    """Adam in float64, with a rate for each weight, that falls in skipped steps too."""
    rates = RATE * np.repeat(FACTORS, [3, 2])
    weights, m, v, made = np.concatenate(START).astype("float64"), 0.0, 0.0, 0
    for step, (target, is_skipped) in enumerate(zip(TARGETS, IS_SKIPPED, strict=True)):
        if is_skipped:
            continue
        made += 1
        gradient = 2 * (weights - target)
        gradient *= min(1.0, CLIP_NORM / np.linalg.norm(gradient))
        m = BETA_1 * m + (1 - BETA_1) * gradient
        v = BETA_2 * v + (1 - BETA_2) * gradient**2
        correction = np.sqrt(1 - BETA_2**made) / (1 - BETA_1**made)
        rate = rates * (1 - step / len(TARGETS))
        weights = weights - rate * correction * m / (np.sqrt(v) + EPSILON)
    return weights


@pytest.mark.portable
def test_steps_are_those_of_adam_with_a_rate_for_each_variable_that_falls_in_skipped_steps():
    schedule = keras.optimizers.schedules.PolynomialDecay(RATE, len(TARGETS), 0.0)
    optimizer = GroupAdam(
        schedule, FACTORS, counts_skipped=True, epsilon=EPSILON, global_clipnorm=CLIP_NORM
    )
    optimizer.build([keras.Variable(np.zeros_like(value)) for value in START])

    @backend.compile
    def step(weights, values, target):
        def loss(weights):
            return ops.sum(ops.square(ops.concatenate(weights) - target)), {}

        return backend.gradient_step(loss, optimizer, weights, values)[:2]

    weights = [ops.convert_to_tensor(value) for value in START]
    values = [ops.copy(ops.stop_gradient(v.value)) for v in optimizer.variables]
    for target, is_skipped in zip(TARGETS, IS_SKIPPED, strict=True):
        if is_skipped:
            values = optimizer.skip(values)
        else:
            weights, values = step(weights, values, ops.convert_to_tensor(target))
    weights = np.concatenate([ops.convert_to_numpy(weight) for weight in weights])
    np.testing.assert_allclose(weights, expected(), rtol=1e-5)
    for variable, value in zip(optimizer.variables, values, strict=True):
        variable.assign(value)
    assert int(optimizer.iterations) == 3  # the corrections count what was made
    assert float(optimizer.learning_rate) == 0.0  # the schedule counts all


@pytest.mark.not_on_tensorflow
def test_with_one_rate_it_is_kerases_adam_bit_for_bit():
    results = []
    for optimizer in (keras.optimizers.Adam(RATE), GroupAdam(RATE, [1.0, 1.0])):
        optimizer.build(variables := [keras.Variable(value) for value in START])
        for row in TARGETS[:2]:
            optimizer.apply([ops.convert_to_tensor(row[:3]), ops.convert_to_tensor(row[3:])])
        results.append([ops.convert_to_numpy(v) for v in (*variables, *optimizer.variables)])
    for one, other in zip(*results, strict=True):
        if keras.backend.backend() == "jax":
            np.testing.assert_array_equal(one, other)
        else:  # torch's own takes the variables together
            np.testing.assert_allclose(one, other, rtol=1e-6)
