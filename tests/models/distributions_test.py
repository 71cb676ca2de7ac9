import json

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.gymnasium.values import single_to_array, single_value
from keras_s5rl.envs.spaces import value_bounds
from keras_s5rl.models import (
    Categorical,
    DiagonalGaussian,
    MultiCategorical,
    distribution_for,
)

BOX = gymnasium.spaces.Box(-1, 3, (2,))
LOGITS = np.array([[0.5, -1.0, 2.0, 0.0, 1.0]], "float32")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def softmax(logits):
    weights = np.exp(np.asarray(logits, "float64"))
    return weights / weights.sum(-1, keepdims=True)


def test_the_distribution_follows_the_action_space():
    spaces = gymnasium.spaces
    assert distribution_for(spaces.Discrete(4)).num_outputs == 4
    multi = distribution_for(spaces.MultiDiscrete([3, 2]))
    assert isinstance(multi, MultiCategorical) and multi.num_outputs == 5
    box = distribution_for(spaces.Box(-2, 2, (3,)))
    assert isinstance(box, DiagonalGaussian) and box.num_outputs == 3


NESTED = gymnasium.spaces.Dict(
    {
        "a": gymnasium.spaces.Tuple((BOX, gymnasium.spaces.Box(-1, 1, ()))),
        "b": gymnasium.spaces.MultiDiscrete([[3, 2]], start=[[1, -1]]),
        "c": gymnasium.spaces.Discrete(2, start=5),
        "d": BOX,
        "e": gymnasium.spaces.MultiBinary((1, 2)),
    }
)


def test_discrete_spaces_side_by_side_are_one_distribution_of_their_numbers():
    spaces = gymnasium.spaces
    for space, sizes, starts in (
        (
            spaces.MultiDiscrete([[3, 2], [2, 4]], start=[[1, 0], [-1, 2]]),
            [3, 2, 2, 4],
            [1, 0, -1, 2],
        ),
        (spaces.MultiBinary((2, 2)), [2, 2, 2, 2], [0, 0, 0, 0]),
        (spaces.Tuple((spaces.Discrete(3, start=2), spaces.MultiBinary(1))), [3, 2], [2, 0]),
        (spaces.Dict(a=spaces.Tuple((spaces.Discrete(3),))), [3], [0]),
    ):
        distribution = distribution_for(space)
        assert isinstance(distribution, MultiCategorical)
        assert (distribution.num_actions, distribution.starts) == (sizes, starts)
    assert distribution_for(spaces.Discrete(3, start=1)).start == 1


def test_boxes_of_any_shape_are_gaussians_of_their_numbers():
    low = np.arange(4, dtype="float32").reshape(2, 2)
    distribution = distribution_for(gymnasium.spaces.Box(low, low + 1))
    assert (distribution.low, distribution.high) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert distribution_for(gymnasium.spaces.Box(-np.inf, np.inf, ())).num_log_stds == 1


def test_a_nested_space_has_its_parts_in_order():
    joint = distribution_for(NESTED)
    first, classes, second, binary = joint.parts
    assert (first.num_outputs, second.num_outputs) == (3, 2)
    assert (classes.num_actions, classes.starts) == ([3, 2, 2], [1, -1, 5])
    assert binary.num_actions == [2, 2]
    assert (joint.num_outputs, joint.num_log_stds, joint.num_parameters) == (16, 5, 21)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (
            gymnasium.spaces.Box(0, 3, (2,), "int32"),
            "`action_space` should hold boxes of floats alone",
        ),
        (gymnasium.spaces.Box(0, 1, (2,), bool), "describe integers by Discrete"),
        (gymnasium.spaces.Text(3), "`action_space` should be Discrete"),
        (
            gymnasium.spaces.Dict(a=BOX, b=gymnasium.spaces.Tuple((gymnasium.spaces.Text(3),))),
            "`action_space` should be Discrete.*Leave its entry b/0 out",
        ),
        (gymnasium.spaces.Tuple(()), "should have at least one entry"),
        (None, "`action_space` should be"),
    ],
)
def test_other_action_spaces_are_refused(space, expected):
    with pytest.raises(ValueError, match=f"{expected}.*Received: (action_space|b/0)="):
        distribution_for(space)


def test_actions_are_counted_from_their_starts():
    shifted, plain = Categorical(5, start=-2), Categorical(5)
    logits, key = ops.repeat(LOGITS, 50, 0), random.key(4)
    actions = numpy(shifted.sample(logits, key))
    np.testing.assert_array_equal(actions, numpy(plain.sample(logits, key)) - 2)
    assert actions.dtype == "int32" and numpy(shifted.mode(LOGITS)).tolist() == [0]
    np.testing.assert_array_equal(
        numpy(shifted.log_prob(logits, actions)), numpy(plain.log_prob(logits, actions + 2))
    )


@pytest.mark.slow
def test_a_joint_distribution_is_the_product_of_its_parts():
    joint = distribution_for(NESTED)
    draw = np.random.default_rng(0)
    outputs = draw.normal(size=(7, 16)).astype("float32")
    log_std = draw.normal(size=5).astype("float32")
    parameters = joint.parameters(outputs, log_std)
    actions = numpy(joint.sample(parameters, random.key(1)))
    mode = numpy(joint.mode(parameters))
    assert actions.shape == (7, 10) and actions.dtype == mode.dtype == "float32"
    for values in (actions, mode):
        for index in range(7):
            action = single_value(NESTED, np.clip(values, *value_bounds(NESTED)), index)
            assert action in NESTED
            np.testing.assert_array_equal(
                single_to_array(NESTED, action)[0, 3:6], values[index, 3:6]
            )
    # Each part by hand: the half range of BOX is 2, its centre 1.
    half, centre = np.array([2, 2, 1, 2, 2]), np.array([1, 1, 0, 1, 1])
    mean = centre + half * outputs[:, [0, 1, 2, 10, 11]]
    std = half * np.exp(log_std)
    numbers = actions[:, [0, 1, 2, 6, 7]]
    log_prob = -0.5 * ((numbers - mean) / std) ** 2 - np.log(std * np.sqrt(2 * np.pi))
    log_prob = log_prob.sum(1)
    entropy = np.full(7, np.log(std * np.sqrt(2 * np.pi * np.e)).sum())
    for columns, column, start in (
        (slice(3, 6), 3, 1),
        (slice(6, 8), 4, -1),
        (slice(8, 10), 5, 5),
        (slice(12, 14), 8, 0),
        (slice(14, 16), 9, 0),
    ):
        probabilities = softmax(outputs[:, columns])
        log_prob += np.log(probabilities[np.arange(7), (actions[:, column] - start).astype(int)])
        entropy -= (probabilities * np.log(probabilities)).sum(1)
        np.testing.assert_array_equal(mode[:, column], probabilities.argmax(1) + start)
    np.testing.assert_allclose(numpy(joint.log_prob(parameters, actions)), log_prob, rtol=1e-5)
    np.testing.assert_allclose(numpy(joint.entropy(parameters)), entropy, rtol=1e-5)
    np.testing.assert_allclose(mode[:, [0, 1, 2, 6, 7]], mean, rtol=1e-5)


@pytest.mark.parametrize("space", [NESTED, gymnasium.spaces.Discrete(3, start=2), BOX])
def test_a_distribution_is_made_again_from_its_config(space):
    distribution = distribution_for(space)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(distribution)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(distribution) and repr(again) == repr(distribution)


def test_categorical_log_prob_and_entropy_are_those_of_the_softmax():
    distribution = Categorical(5)
    probabilities = softmax(LOGITS[0])
    for action in range(5):
        log_prob = numpy(distribution.log_prob(LOGITS, np.array([action], "int32")))
        np.testing.assert_allclose(log_prob, np.log(probabilities[action]), rtol=1e-5)
    entropy = -(probabilities * np.log(probabilities)).sum()
    np.testing.assert_allclose(numpy(distribution.entropy(LOGITS)), entropy, rtol=1e-5)
    assert numpy(distribution.mode(LOGITS)).tolist() == [2]


def test_multi_categorical_is_a_product_over_axes_side_by_side():
    distribution = MultiCategorical([3, 2])
    first, second = softmax(LOGITS[0, :3]), softmax(LOGITS[0, 3:])
    log_prob = numpy(distribution.log_prob(LOGITS, np.array([[1, 0]], "int32")))
    np.testing.assert_allclose(log_prob, np.log(first[1]) + np.log(second[0]), rtol=1e-5)
    entropy = -(first * np.log(first)).sum() - (second * np.log(second)).sum()
    np.testing.assert_allclose(numpy(distribution.entropy(LOGITS)), entropy, rtol=1e-5)
    assert numpy(distribution.mode(LOGITS)).tolist() == [[2, 1]]


@pytest.mark.portable
def test_a_multi_categorical_of_one_number_is_a_categorical_of_a_column():
    distribution = MultiCategorical([5], starts=[1])
    actions = numpy(distribution.sample(ops.convert_to_tensor(LOGITS), random.key(0)))
    assert actions.shape == (1, 1) and numpy(distribution.mode(LOGITS)).tolist() == [[3]]
    np.testing.assert_array_equal(
        numpy(distribution.log_prob(LOGITS, actions)),
        numpy(Categorical(5).log_prob(LOGITS, actions[:, 0] - 1)),
    )


def test_gaussian_parameters_are_in_the_units_of_the_environment():
    distribution = DiagonalGaussian([-2.0, 0.0, -np.inf], [2.0, 1.0, np.inf])
    parameters = distribution.parameters(
        np.array([[0.5, 0.5, 0.5]], "float32"), np.zeros(3, "float32")
    )
    expected = [[1.0, 0.75, 0.5, np.log(2.0), np.log(0.5), 0.0]]
    np.testing.assert_allclose(numpy(parameters), expected, rtol=1e-6)


def test_gaussian_log_prob_and_entropy_are_those_of_independent_normals():
    distribution = DiagonalGaussian([-2.0, -2.0], [2.0, 2.0])
    mean, std = np.array([0.3, -1.0]), np.array([0.5, 2.0])
    parameters = np.concatenate([mean, np.log(std)])[None].astype("float32")
    action = np.array([[5.0, 0.0]], "float32")  # outside the range: not clipped
    density = np.exp(-0.5 * ((action[0] - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(
        numpy(distribution.log_prob(parameters, action)), np.log(density).sum(), rtol=1e-5
    )
    entropy = np.sum(0.5 * np.log(2 * np.pi * np.e * std**2))
    np.testing.assert_allclose(numpy(distribution.entropy(parameters)), entropy, rtol=1e-5)
    np.testing.assert_allclose(numpy(distribution.mode(parameters)), mean[None], rtol=1e-6)


@pytest.mark.slow
def test_draws_have_the_frequencies_of_the_distribution():
    n = 40_000
    actions = numpy(Categorical(5).sample(ops.repeat(LOGITS, n, 0), random.key(0)))
    assert actions.dtype == np.int32
    np.testing.assert_allclose(np.bincount(actions) / n, softmax(LOGITS[0]), atol=0.01)

    pairs = numpy(MultiCategorical([3, 2]).sample(ops.repeat(LOGITS, n, 0), random.key(1)))
    joint = np.histogram2d(*pairs.T, bins=[3, 2])[0] / n
    np.testing.assert_allclose(
        joint, np.outer(softmax(LOGITS[0, :3]), softmax(LOGITS[0, 3:])), atol=0.01
    )

    parameters = ops.repeat(np.array([[1.0, -3.0, np.log(0.5), np.log(2.0)]], "float32"), n, 0)
    draws = numpy(DiagonalGaussian([-1, -1], [1, 1]).sample(parameters, random.key(2)))
    np.testing.assert_allclose(draws.mean(0), [1.0, -3.0], atol=0.04)
    np.testing.assert_allclose(draws.std(0), [0.5, 2.0], rtol=0.02)


BOUNDS = {
    "degenerate": (0.5, 0.5),
    "degenerate and far away": (3e38, 3e38),
    "from below": (10.0, np.inf),
    "from above": (-np.inf, -10.0),
    "nowhere": (-np.inf, np.inf),
    "subnormal": (0.0, 1e-40),
    "tiny": (0.0, 1e-30),
    "tiny and far from 0": (1.0, np.nextafter(np.float32(1), np.float32(2))),
    "huge": (-1e30, 1e30),
    "all of float32": (-3.4e38, 3.4e38),
}


@pytest.mark.slow
@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
def test_a_gaussian_is_finite_whatever_the_bounds(bounds):
    low, high = np.array([bounds, (-2.0, 2.0)], "float32").T
    distribution = distribution_for(gymnasium.spaces.Box(low, high))
    outputs = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    log_std = np.array([-5.0, 0.5], "float32")

    def loss(values):
        parameters = distribution.parameters(*values)
        action = ops.stop_gradient(distribution.sample(parameters, random.key(0)))
        log_prob, entropy = (
            distribution.log_prob(parameters, action),
            distribution.entropy(parameters),
        )
        return ops.sum(log_prob) + ops.sum(entropy), (parameters, action, log_prob, entropy)

    values = [ops.convert_to_tensor(value) for value in (outputs, log_std)]
    (_, results), gradients = backend.value_and_gradients(loss, values)
    assert all(np.isfinite(numpy(value)).all() for value in (*results, *gradients))
    assert np.abs(numpy(gradients[0])[:, 1]).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, -1.5, 1e30])
def test_an_axis_without_room_has_one_action_and_changes_no_probability(value):
    distribution = DiagonalGaussian([-2.0, value], [2.0, value])
    alone = DiagonalGaussian([-2.0], [2.0])
    outputs, log_std = np.array([[0.3, 0.7]], "float32"), np.array([-0.5, 0.5], "float32")
    parameters = distribution.parameters(outputs, log_std)
    of_other = alone.parameters(outputs[:, :1], log_std[:1])
    action = numpy(distribution.sample(ops.repeat(parameters, 100, 0), random.key(3)))
    np.testing.assert_array_equal(action[:, 1], np.float32(value))
    assert action[:, 0].std() > 0.5
    np.testing.assert_array_equal(numpy(distribution.mode(parameters))[0, 1], np.float32(value))
    for ours, others in (
        (distribution.log_prob(parameters, action[:1]), alone.log_prob(of_other, action[:1, :1])),
        (distribution.entropy(parameters), alone.entropy(of_other)),
    ):
        np.testing.assert_allclose(numpy(ours), numpy(others), rtol=1e-6)


def test_an_unbounded_axis_starts_at_its_legal_number_nearest_to_0():
    distribution = DiagonalGaussian([-np.inf, 3.0, -np.inf, -1.0], [np.inf, np.inf, -4.0, np.inf])
    parameters = distribution.parameters(np.zeros((1, 4), "float32"), np.zeros(4, "float32"))
    np.testing.assert_array_equal(numpy(parameters), [[0, 3, -4, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ([1.0], [0.0]),
        ([np.nan], [1.0]),
        ([0.0], [np.nan]),
        ([np.inf], [np.inf]),
        ([1e300], [1e300]),
        ([0.0, 0.0], [1.0]),
    ],
)
def test_bounds_without_a_number_between_them_are_refused(low, high):
    with pytest.raises(ValueError, match="`low` and `high` should be .*Received: low="):
        DiagonalGaussian(low, high)


def test_ordinary_bounds_give_the_bits_that_saved_policies_were_trained_with():
    low, high = np.array([-2.0, 0.1, -np.inf]), np.array([2.0, 1.3, np.inf])
    distribution = DiagonalGaussian(low, high)
    outputs = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
    log_std = np.array([-0.5, 0.0, 0.3], "float32")
    unit = np.array([2.0, (1.3 - 0.1) / 2, 1.0]).astype("float32")
    centre = np.array([0.0, (1.3 + 0.1) / 2, 0.0]).astype("float32")
    expected_mean = numpy(ops.add(centre, ops.multiply(unit, outputs)))
    expected_std = numpy(ops.broadcast_to(ops.add(log_std, np.log(unit)), (8, 3)))
    parameters = numpy(distribution.parameters(outputs, log_std))
    np.testing.assert_array_equal(parameters, np.concatenate([expected_mean, expected_std], 1))
