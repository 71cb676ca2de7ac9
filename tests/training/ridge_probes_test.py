"""Linear probes, on features of which it is known what they tell."""

import numpy as np
import pytest

from keras_s5rl.training.ridge_probes import accuracy, explained_share, predict_out_of_sample


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_linear_target_is_explained_and_an_independent_one_is_not(rng):
    features = rng.normal(size=(200, 20))
    target = features[:, :3] @ rng.normal(size=(3, 2)) + 4.0
    assert explained_share(features, target) > 0.99
    assert -0.2 < explained_share(features, rng.normal(size=(200, 2))) < 0.1


def test_noise_of_equal_variance_halves_what_is_explained(rng):
    features = rng.normal(size=(4000, 5))
    target = features @ rng.normal(size=5)
    noisy = target + target.std() * rng.normal(size=4000)
    assert explained_share(features, noisy[:, None]) == pytest.approx(0.5, abs=0.05)


def test_each_prediction_is_of_a_row_that_its_fit_has_not_seen(rng):
    features, targets = rng.normal(size=(24, 4)), rng.normal(size=(24, 1))
    predicted, means = predict_out_of_sample(features, targets)
    targets[7] += 100.0  # in the fold of rows 3, 7, 11, ...
    changed, changed_means = predict_out_of_sample(features, targets)
    own = np.arange(24) % 4 == 3
    np.testing.assert_array_equal(changed[own], predicted[own])
    np.testing.assert_array_equal(changed_means[own], means[own])
    assert np.all(changed_means[~own] != means[~own])


def test_features_that_do_not_vary_tell_nothing(rng):
    assert explained_share(np.ones((40, 3)), rng.normal(size=(40, 1))) == pytest.approx(0.0)


def test_the_accuracy_is_the_share_of_classes_found(rng):
    classes = rng.integers(0, 3, size=300)
    target = np.eye(3)[classes] + 0.05 * rng.normal(size=(300, 3))
    assert accuracy(target, classes) > 0.99
    assert accuracy(rng.normal(size=(300, 3)), classes) < 0.5
