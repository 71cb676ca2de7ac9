"""Intervals and tests over seeds, beside enumerations of all samples and rliable."""

import functools
import itertools

import numpy as np
import pytest

from keras_s5rl.runs import bootstrap, statistics


def quantiles(samples):
    return np.quantile(samples, [0.025, 0.975], axis=0)


def test_the_interval_lies_between_the_percentiles_of_all_samples_with_replacement():
    x = [np.array([0.0, 1.0, 4.0, 6.0])]
    every = [statistics.iqm([list(sample)]) for sample in itertools.product(x[0], repeat=4)]
    low, high = bootstrap.bootstrap_interval(statistics.iqm, x)
    np.testing.assert_allclose([low, high], quantiles(every), atol=0.26)
    assert low < high


def test_each_task_is_resampled_by_itself():
    """A sample that mixed the tasks would not have the mean 5 of two constant ones."""
    interval = bootstrap.bootstrap_interval(statistics.mean, [[0.0, 0.0], [10.0, 10.0, 10.0]])
    assert interval == (5.0, 5.0)


def test_two_sets_of_scores_are_resampled_independently():
    x, y = [[0.0, 2.0]], [[0.0, 2.0]]

    def difference(x, y):
        return statistics.mean(x) - statistics.mean(y)

    low, high = bootstrap.bootstrap_interval(difference, x, y)
    assert (low, high) == (-2.0, 2.0)  # with the same runs in both it would be 0


def test_a_sample_draws_the_same_runs_at_all_steps():
    """Of two runs that add up to 1 at each step the mean of any sample is of one pair."""
    steps = np.array([0.0, 1.0])
    samples = bootstrap._resample(statistics.mean, [[np.stack([steps, 3 * steps])]], 100, 0)
    np.testing.assert_allclose(samples[:, 1], 3 * samples[:, 0])


def test_samples_do_not_depend_on_how_many_are_drawn_at_a_time_but_for_the_draws(monkeypatch):
    x = [np.arange(12.0), np.arange(5.0)]
    together = bootstrap.bootstrap_interval(statistics.iqm, x)
    monkeypatch.setattr(bootstrap, "_CHUNK", 1000)
    apart = bootstrap.bootstrap_interval(statistics.iqm, x)
    np.testing.assert_allclose(apart, together, atol=0.3)
    assert bootstrap.bootstrap_interval(statistics.iqm, x) == apart


def test_of_three_runs_each_one_in_five_intervals_of_equal_algorithms_excludes_that_they_are():
    """What docs/how_to/compare.md says: intervals depend on ranks alone, all as likely."""
    deals = list(itertools.combinations(range(6), 3))
    excluding = 0
    for deal in deals:
        others = [rank for rank in range(6) if rank not in deal]
        low, high = bootstrap.bootstrap_interval(
            statistics.probability_of_improvement, [list(deal)], [others], replications=2000
        )
        excluding += not low <= 0.5 <= high
    assert excluding / len(deals) == 1 / 5


def test_the_permutation_test_finds_the_share_of_all_deals():
    x, y = [[1.0, 5.0, 6.0]], [[0.0, 2.0, 3.0, 4.0]]
    pooled = np.array([*x[0], *y[0]])
    found = abs(statistics.probability_of_improvement(x, y) - 0.5)
    deals = list(itertools.combinations(range(7), 3))
    as_clear = [
        abs(statistics.probability_of_improvement([pooled[list(d)]], [np.delete(pooled, d)]) - 0.5)
        >= found - 1e-9
        for d in deals
    ]
    assert bootstrap.permutation_p_value(x, y) == pytest.approx(np.mean(as_clear), abs=0.02)
    assert bootstrap.permutation_p_value(x, x) == 1.0


def test_the_smallest_p_value_is_that_of_a_better_run_in_every_pair():
    x, y = [[1.0, 2.0, 3.0, 4.0]], [[5.0, 6.0, 7.0]]
    expected = bootstrap.permutation_p_value(x, y)
    assert bootstrap.smallest_p_value(x, y) == pytest.approx(expected, abs=0.01)
    assert bootstrap.smallest_p_value([[1.0]] * 2, [[2.0]] * 2) == 0.5
    assert bootstrap.smallest_p_value([[1.0]], [[2.0]]) == 1.0


def test_a_sample_efficiency_curve_is_the_iqm_where_all_runs_have_values():
    rng = np.random.default_rng(0)
    curves = [
        [(np.arange(0, 101, 10.0), rng.normal(size=11)) for _ in range(5)],
        [(np.arange(20, 121, 20.0), rng.normal(size=6)) for _ in range(4)],
    ]
    steps, middle, low, high = bootstrap.sample_efficiency_curve(curves, num_points=17)
    np.testing.assert_allclose(steps, np.linspace(20, 100, 17))
    at_40 = [[np.interp(40, *run) for run in of_task] for of_task in curves]
    np.testing.assert_allclose(middle[4], statistics.iqm(at_40))
    expected = bootstrap.bootstrap_interval(statistics.iqm, at_40, replications=2000)
    np.testing.assert_allclose([low[4], high[4]], expected, atol=0.1)
    apart = [[(np.array([0.0, 1.0]), np.zeros(2)), (np.array([2.0, 3.0]), np.zeros(2))]]
    assert all(part.size == 0 for part in bootstrap.sample_efficiency_curve(apart))


def test_what_is_no_level_and_no_number_is_refused():
    for wrong in ({"level": 95}, {"level": 0}, {"replications": 0}):
        ((name, value),) = wrong.items()
        with pytest.raises(ValueError, match=f"`{name}` should be .*Received: {name}={value}"):
            bootstrap.bootstrap_interval(statistics.iqm, [[1.0]], **wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_intervals_are_those_of_rliable():
    library = pytest.importorskip("rliable.library", exc_type=ImportError)
    metrics = pytest.importorskip("rliable.metrics", exc_type=ImportError)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 10)), rng.normal(0.4, size=(3, 8))
    improvement = statistics.probability_of_improvement
    for statistic, sets, theirs in (
        (statistics.iqm, (x,), metrics.aggregate_iqm),
        (improvement, (x, y), metrics.probability_of_improvement),
    ):
        given = [scores.T for scores in sets]
        _, intervals = library.get_interval_estimates(
            {"a": given if len(given) > 1 else given[0]},
            lambda *scores, of=theirs: np.array([of(*scores)]),
            reps=1000,
            random_state=np.random.RandomState(0),
        )
        ours = bootstrap.bootstrap_interval(statistic, *sets)
        np.testing.assert_allclose(ours, intervals["a"][:, 0], atol=0.05)
    thresholds = np.linspace(-2, 2, 9)
    profiles, intervals = library.create_performance_profile({"a": x.T}, thresholds, reps=500)
    profile = functools.partial(statistics.performance_profile, thresholds=thresholds)
    np.testing.assert_allclose(profile(x), profiles["a"])
    np.testing.assert_allclose(bootstrap.bootstrap_interval(profile, x), intervals["a"], atol=0.07)
