import numpy as np
import pytest
from keras import ops

from keras_s5rl.ppo import losses

pytestmark = pytest.mark.portable


def tensor(values):
    return ops.convert_to_tensor(np.asarray(values, "float32"))


def test_policy_loss_takes_the_smaller_of_the_plain_and_the_clipped_gain():
    ratio = np.array([1.5, 1.5, 0.5, 0.5, 1.1])
    advantage = np.array([2.0, -2.0, 2.0, -2.0, 1.0])
    # min(r A, clip(r, .8, 1.2) A): 2.4 (clipped), -3 (plain), 1 (plain), -1.6 (clipped), 1.1
    expected = -np.mean([2.4, -3.0, 1.0, -1.6, 1.1])
    loss = losses.policy_loss(tensor(np.log(ratio)), tensor(advantage), 0.2)
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_value_loss_is_half_the_mean_squared_error():
    loss = losses.value_loss(tensor([1.0, 3.0]), tensor([9.0, 9.0]), tensor([0.0, 1.0]))
    assert float(loss) == pytest.approx(0.5 * (1 + 4) / 2)


def test_clipped_value_loss_takes_the_larger_error():
    # Old value 1, clip .2. Value 2, target 2: the clipped value 1.2 is .8 off. Value 1.1, target 0:
    # within the range, 1.1 off.
    loss = losses.value_loss(tensor([2.0, 1.1]), tensor([1.0, 1.0]), tensor([2.0, 0.0]), 0.2)
    assert float(loss) == pytest.approx(0.5 * (0.8**2 + 1.1**2) / 2, rel=1e-6)


def test_groups_are_normalized_apart():
    values = np.array([[1.0, 200.0, 3.0], [5.0, 800.0, 7.0]], "float32")
    group = np.array([[0, 2, 0], [0, 2, 3]], "int32")  # none in 1, a single one in 3
    expected = np.zeros_like(values)
    for number in (0, 2):
        own = values[group == number]
        expected[group == number] = (own - own.mean()) / own.std()
    found = losses.normalize_groups(tensor(values), ops.convert_to_tensor(group), 4)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5)


def test_normalized_advantages_have_mean_0_and_variance_1_in_each_minibatch():
    values = np.array([[[1.0, 2.0], [3.0, 10.0]], [[-5.0, 0.0], [0.0, 700.0]]], "float32")
    result = ops.convert_to_numpy(losses.normalize(tensor(values)))
    for minibatch, given in zip(result, values, strict=True):
        assert minibatch.mean() == pytest.approx(0, abs=1e-6)
        assert minibatch.std() == pytest.approx(1, rel=1e-5)
        np.testing.assert_allclose(
            np.diff(minibatch.ravel()), np.diff(given.ravel()) / given.std(), rtol=1e-5
        )


def test_approximate_kl_of_two_categoricals_is_close_to_the_true_one():
    generator = np.random.default_rng(0)
    old, new = np.array([0.2, 0.3, 0.5]), np.array([0.25, 0.25, 0.5])
    actions = generator.choice(3, size=200_000, p=old)
    estimate = losses.approximate_kl(tensor(np.log(new[actions] / old[actions])))
    assert float(estimate) == pytest.approx(np.sum(old * np.log(old / new)), rel=0.05)


def test_clip_fraction_counts_ratios_outside_the_range():
    assert float(losses.clip_fraction(tensor(np.log([0.7, 0.9, 1.1, 1.3])), 0.2)) == 0.5


def test_explained_variance_is_1_for_the_targets_and_0_for_their_mean():
    target = tensor([1.0, 2.0, 6.0])
    assert float(losses.explained_variance(target, target)) == pytest.approx(1)
    assert float(losses.explained_variance(tensor([3.0, 3.0, 3.0]), target)) == pytest.approx(
        0, abs=1e-6
    )


def test_values_that_are_not_valid_count_as_little_as_if_they_were_not_there():
    generator = np.random.default_rng(0)
    valid = np.array([[True, False, True], [False, True, True]])
    one, two, three = generator.normal(size=(3, 2, 3)).astype("float32")
    one[~valid] = 700.0  # the exponential of which is infinite
    left = [array[valid] for array in (one, two, three)]
    given = [tensor(array) for array in (np.where(valid, one, 0.0), two, three)]
    flags = ops.convert_to_tensor(valid)
    for name, count, arguments in (
        ("policy_loss", 2, (0.2,)),
        ("value_loss", 3, (0.2,)),
        ("approximate_kl", 1, ()),
        ("clip_fraction", 1, (0.2,)),
        ("explained_variance", 2, ()),
    ):
        function = getattr(losses, name)
        expected = float(function(*map(tensor, left[:count]), *arguments))
        assert float(function(*given[:count], *arguments, flags)) == pytest.approx(expected), name
    normalized = ops.convert_to_numpy(losses.normalize(tensor(one[None]), flags[None]))[0]
    expected = (left[0] - left[0].mean()) / left[0].std()
    np.testing.assert_allclose(normalized[valid], expected, rtol=1e-5)
