"""Linear probes: how much of a target a ridge regression on features tells, out of sample."""

import numpy as np

from keras_s5rl.typing import Array

_FOLDS = 4
_PENALTIES = np.logspace(-3, 3, 13)  # relative to the mean square of a feature


def predict_out_of_sample(features: Array, targets: Array) -> tuple[Array, Array]:
    """Predicts each row from a ridge regression on the other folds.

    In each of four fits the penalty is the one with the least error of generalised
    cross-validation. Features are standardised; those that don't vary are left out.

    Args:
        features: Array `(rows, features)`.
        targets: Array `(rows, targets)`.

    Returns:
        Two arrays `(rows, targets)`: predictions, and the means of the targets in the other folds.
    """
    features, targets = features.astype("float64"), targets.astype("float64")
    predicted, means = np.empty_like(targets), np.empty_like(targets)
    fold = np.arange(len(features)) % _FOLDS
    for number in range(_FOLDS):
        held_out = fold == number
        known, wanted = features[~held_out], targets[~held_out]
        centre, spread = known.mean(axis=0), known.std(axis=0)
        spread = np.where(spread > 1e-6, spread, np.inf)
        means[held_out] = mean = wanted.mean(axis=0)
        weights = _ridge((known - centre) / spread, wanted - mean)
        predicted[held_out] = mean + (features[held_out] - centre) / spread @ weights
    return predicted, means


def _ridge(features: Array, targets: Array) -> Array:
    """The weights `(features, targets)` of the best of all penalties."""
    left, sizes, right = np.linalg.svd(features, full_matrices=False)
    along, rows = left.T @ targets, len(features)
    best, weights = np.inf, np.zeros((features.shape[1], targets.shape[1]))
    for penalty in rows * _PENALTIES:
        kept = sizes**2 / (sizes**2 + penalty)
        error = ((targets - left @ (kept[:, None] * along)) ** 2).sum()
        error /= (1.0 - (1.0 + kept.sum()) / (rows + 1.0)) ** 2
        if error < best:
            shrunk = sizes / (sizes**2 + penalty)
            best, weights = error, right.T @ (shrunk[:, None] * along)
    return weights


def explained_share(features: Array, targets: Array) -> float:
    """Returns the share of the targets' variance that a linear probe explains out of sample.

    Of all targets together: `1 - sum (t - prediction)^2 / sum (t - mean)^2`. 0 says that features
    tell no more than the mean does; chance may make it a little less.

    Args:
        features: Array `(rows, features)`.
        targets: Array `(rows, targets)`.
    """
    predicted, means = predict_out_of_sample(features, targets)
    total = float(((targets - means) ** 2).sum())
    return 1.0 - float(((targets - predicted) ** 2).sum()) / total if total > 0.0 else 0.0


def accuracy(features: Array, classes: Array) -> float:
    """Returns the share of rows whose class a linear probe finds out of sample.

    Args:
        features: Array `(rows, features)`.
        classes: Array of integers `(rows,)`.
    """
    one_hot = np.eye(int(classes.max()) + 1)[classes]
    predicted, _ = predict_out_of_sample(features, one_hot)
    return float((predicted.argmax(axis=1) == classes).mean())
