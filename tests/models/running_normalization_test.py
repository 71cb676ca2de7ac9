"""Running means and variances against numpy in float64."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.models import (
    ActorCritic,
    Categorical,
    FeedForward,
    RunningNormalization,
    load_policy,
)

pytestmark = pytest.mark.not_on_tensorflow


def layer_of(size, features=None):
    layer = RunningNormalization(features)
    layer.build((None, size))
    return layer


def numpy(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def test_features_are_centred_scaled_and_clipped_and_the_others_left_alone():
    layer = layer_of(3, features=[0, 2])
    statistics = np.float32([1.0, 5.0, -2.0]), np.float32([4.0, 9.0, 0.25]), np.float32(7.0)
    for variable, value in zip(layer.variables, statistics, strict=True):
        variable.assign(value)
    assert not layer.trainable_variables
    outputs = layer(np.float32([[[5.0, 100.0, -2.5], [-1e6, -1e6, 1e6]]]))
    expected = [[[2.0, 100.0, -1.0], [-10.0, -1e6, 10.0]]]
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), expected, rtol=1e-5)


def test_before_the_first_inputs_nothing_changes_but_what_is_clipped():
    inputs = np.float32([[0.5, -3.0], [11.0, 9.0]])
    outputs = ops.convert_to_numpy(layer_of(2)(inputs))
    np.testing.assert_allclose(outputs, np.clip(inputs, -10, 10), rtol=1e-6)


def test_statistics_of_ten_million_inputs_are_those_of_float64():
    generator = np.random.default_rng(0)
    offset, scale = np.array([0.0, 300.0, -1e4]), np.array([1.0, 0.1, 1e3])
    layer = layer_of(3)
    merge = backend.compile(lambda statistics, inputs: layer.merged(statistics, inputs))
    statistics = numpy(layer.variables)
    total, squares, count = np.zeros(3), np.zeros(3), 0
    for _ in range(100):
        drift = generator.normal(size=3) * scale
        inputs = offset + drift + scale * generator.standard_normal((1000, 100, 3), "float32")
        inputs = inputs.astype("float32")
        statistics = merge(statistics, inputs)
        exact = inputs.astype("float64") - offset
        total, squares = total + exact.sum((0, 1)), squares + (exact**2).sum((0, 1))
        count += 100_000
    mean, variance, counted = numpy(statistics)
    assert counted == count == 10_000_000
    expected = total / count
    std = np.sqrt(squares / count - expected**2)
    np.testing.assert_allclose((mean - offset - expected) / std, 0.0, atol=1e-3)
    np.testing.assert_allclose(np.sqrt(variance), std, rtol=1e-3)


def test_many_small_rollouts_count_as_much_as_few_large_ones():
    inputs = np.random.default_rng(1).normal(3.0, 2.0, (4000, 2, 1)).astype("float32")
    layer, results = layer_of(1), []
    merge = backend.compile(lambda statistics, inputs: layer.merged(statistics, inputs))
    for length in (2, 4000):
        statistics = numpy(layer.variables)
        for piece in np.split(inputs, len(inputs) // length):
            statistics = merge(statistics, piece)
        results.append([float(value[0]) for value in numpy(statistics[:2])])
    exact = inputs.astype("float64")
    np.testing.assert_allclose(results, [[exact.mean(), exact.var()]] * 2, rtol=1e-5)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("value", [0.1, 1e4 / 3, -1e7 / 3])
def test_a_feature_that_never_changes_is_zero(value):
    layer = layer_of(1)
    inputs = np.full((37, 3, 1), value, "float32")
    statistics = numpy(layer.variables)
    for _ in range(5):
        statistics = numpy(layer.merged(statistics, inputs))
    assert statistics[0] == inputs[0, 0] and statistics[1] == 0.0
    for variable, value in zip(layer.variables, statistics, strict=True):
        variable.assign(value)
    assert not ops.convert_to_numpy(layer(inputs)).any()


@pytest.mark.slow
def test_a_policy_saves_its_statistics_and_its_encoder_sees_normalised_features(tmp_path):
    def make(features):
        sizes = {"encoder_sizes": (4,), "head_sizes": (4,), "normalized_features": features}
        return ActorCritic(3, Categorical(2), FeedForward(1, 4, seed=0), seed=1, **sizes)

    policy, plain = make((0, 1)), make(())
    policy.normalization.mean.assign([1.0, 2.0, 3.0])
    policy.normalization.variance.assign([4.0, 1.0, 1.0])
    policy.save(tmp_path / "policy.keras")
    loaded = load_policy(tmp_path / "policy.keras")
    observations = np.random.default_rng(0).normal(size=(2, 3, 3)).astype("float32")
    seen = (observations - [1.0, 2.0, 0.0]) / [2.0, 1.0, 1.0]
    expected = numpy(plain(seen.astype("float32"))[:2])
    for found in (policy, loaded):
        for a, b in zip(numpy(found(observations)[:2]), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        first = ops.convert_to_numpy(found.step(observations[:, 0], np.ones(2, bool), [])[0])
        np.testing.assert_allclose(first, expected[0][:, 0], rtol=1e-5, atol=1e-6)
    assert len(policy.trainable_variables) == len(plain.trainable_variables)
