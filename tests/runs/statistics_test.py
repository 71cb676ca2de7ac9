"""Statistics of several runs, beside scipy, loops and rliable."""

import itertools

import numpy as np
import pytest
import scipy.stats

from keras_s5rl.runs import statistics


def scores(*numbers, seed=0):
    """One array of runs for each task; rounded, so that some are equal."""
    rng = np.random.default_rng(seed)
    return [rng.normal(loc=task, size=n).round(1) for task, n in enumerate(numbers)]


@pytest.mark.parametrize("numbers", [(1,), (3,), (4,), (7, 2, 5), (10,) * 5])
def test_iqm_is_the_trimmed_mean_of_all_runs(numbers):
    x = scores(*numbers)
    expected = scipy.stats.trim_mean(np.concatenate(x), 0.25)
    np.testing.assert_allclose(statistics.iqm(x), expected, atol=1e-12)


def test_mean_and_median_are_of_the_means_of_the_tasks():
    x = [[0.0, 10.0], [1.0], [2.0, 2.0, 5.0]]  # means 5, 1, 3
    assert statistics.mean(x) == 3.0
    assert statistics.median(x) == 3.0
    assert statistics.median([*x, [9.0]]) == 4.0


def test_the_optimality_gap_counts_nothing_beyond_the_optimum():
    assert statistics.optimality_gap([[0.0, 5.0], [0.5]]) == pytest.approx(1 - (0.5 + 0.5) / 2)
    assert statistics.optimality_gap([[1.0, 5.0]], optimum=4.0) == pytest.approx(1.5)
    assert statistics.optimality_gap([[7.0]]) == 0.0


def test_the_probability_of_improvement_counts_pairs_of_runs_and_ties_by_half():
    x, y = scores(4, 7), scores(6, 3, seed=1)
    y[0][0] = x[0][0]
    of_tasks = []
    for runs, others in zip(x, y, strict=True):
        pairs = list(itertools.product(runs, others))
        of_tasks.append(sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs))
    np.testing.assert_allclose(statistics.probability_of_improvement(x, y), np.mean(of_tasks))
    assert statistics.probability_of_improvement(x, x) == 0.5
    u = scipy.stats.mannwhitneyu(x[0], y[0]).statistic
    np.testing.assert_allclose(
        statistics.probability_of_improvement(x[:1], y[:1]), u / (x[0].size * y[0].size)
    )


def test_a_performance_profile_is_the_share_of_runs_above_each_threshold():
    x, thresholds = scores(4, 7), np.linspace(-1, 2, 31)
    expected = [np.mean([(runs > t).mean() for runs in x]) for t in thresholds]
    np.testing.assert_allclose(statistics.performance_profile(x, thresholds), expected)


@pytest.mark.parametrize(
    "statistic", [statistics.iqm, statistics.mean, statistics.median, statistics.optimality_gap]
)
def test_axes_in_front_of_the_runs_are_kept(statistic):
    x = [np.stack([runs, runs + 1, 2 * runs]) for runs in scores(3, 6)]
    expected = [statistic([runs[i] for runs in x]) for i in range(3)]
    np.testing.assert_allclose(statistic(x), expected)


def test_a_score_that_is_missing_or_not_finite_is_refused():
    for wrong in ([], [[]], [[1.0], []], [2.0]):
        with pytest.raises(ValueError, match="`scores` should hold an array with .*Received: "):
            statistics.iqm(wrong)
    with pytest.raises(ValueError, match="`scores` should be finite.*Received: scores="):
        statistics.iqm([[0.0, np.nan]])


def test_the_definitions_are_those_of_rliable():
    metrics = pytest.importorskip("rliable.metrics", exc_type=ImportError)
    x, y = np.array(scores(10, 10, 10)), np.array(scores(8, 8, 8, seed=1))
    for ours, theirs in (
        (statistics.iqm(x), metrics.aggregate_iqm(x.T)),
        (statistics.mean(x), metrics.aggregate_mean(x.T)),
        (statistics.median(x), metrics.aggregate_median(x.T)),
        (statistics.optimality_gap(x), metrics.aggregate_optimality_gap(x.T)),
        (
            statistics.probability_of_improvement(x, y),
            metrics.probability_of_improvement(x.T, y.T),
        ),
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
