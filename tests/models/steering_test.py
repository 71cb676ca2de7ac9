"""Policies whose memory hands on directions of the action."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from keras_s5rl.models import ActorCritic, Categorical, DiagonalGaussian, make_memory
from keras_s5rl.models.steering import split_directions, steer

SIZE = 4


def memory():
    return make_memory(
        "s5_equivariant",
        {"projected_size": SIZE, "num_directions": 3, "state_size": 4},
        width=8,
        num_layers=1,
        seed=0,
    )


def box():
    return DiagonalGaussian([-1.0, -1.0], [1.0, 1.0])


@pytest.mark.slow
def test_a_policy_turns_its_action_with_the_basis_of_the_actions_and_keeps_its_value():
    policy = ActorCritic(SIZE + 6, box(), memory(), encoder_sizes=(), head_sizes=(8,), seed=0)
    outputs = policy.actor[-1]
    outputs.kernel.assign(30 * ops.convert_to_numpy(outputs.kernel) * ([1] * 3 + [0] * 2))
    rng = np.random.default_rng(0)
    observations = 0.3 * rng.normal(size=(2, 20, SIZE + 6)).astype("float32")
    turned, turns = observations.copy(), [np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (4, 2)]
    turned[..., :4] = observations[..., :4] @ turns[0].T
    turned[..., 6:8] = observations[..., 6:8] @ turns[1].T
    both = np.concatenate([observations, turned])
    parameters, value, _ = backend.compile(lambda inputs: policy(inputs))(both)
    mean, value = ops.convert_to_numpy(parameters)[..., :2], ops.convert_to_numpy(value)
    assert np.abs(mean[:2]).mean() > 0.05
    np.testing.assert_allclose(mean[2:], mean[:2] @ turns[1].T, atol=0.02)
    np.testing.assert_allclose(value[2:], value[:2], atol=0.02)
    assert np.abs(mean[2:] - mean[:2]).max() > 0.2


def test_an_action_is_the_weighed_sum_of_directions_and_of_the_axes_within_a_circle():
    rng = np.random.default_rng(1)
    features, weights = rng.normal(size=(5, 3 + 4)), rng.normal(size=(5, 2 + 2))
    kept, directions = split_directions(ops.convert_to_tensor(features, "float32"), 2, 2)
    np.testing.assert_allclose(kept, features[:, :3], rtol=1e-6)
    actions = ops.convert_to_numpy(steer(ops.convert_to_tensor(weights, "float32"), directions))
    for action, row, weight in zip(actions, features, weights, strict=True):
        sum_of = weight[0] * row[3:5] + weight[1] * row[5:7] + weight[2:]
        expected = sum_of / np.sqrt(1 + sum_of @ sum_of / 1.5)
        np.testing.assert_allclose(action, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("distribution", "arguments", "message"),
    [
        (lambda: Categorical(2), {"encoder_sizes": ()}, "directions of a pair of actions"),
        (box, {}, r"`encoder_sizes` should be \(\) where"),
        (box, {"encoder_sizes": (), "normalized_features": (0,)}, "1 normalized features"),
    ],
)
def test_a_policy_that_cannot_hand_on_the_observation_is_refused(distribution, arguments, message):
    with pytest.raises(ValueError, match=message):
        ActorCritic(SIZE + 6, distribution(), memory(), **arguments)
