"""Several seeds side by side, beside agents that train one seed each."""

import json

import keras
import numpy as np
import pytest

from keras_s5rl import PPO, load_policy
from keras_s5rl.ppo import seeds_learner
from keras_s5rl.runs import RunError, bootstrap_interval, read_metrics, statistics
from keras_s5rl.training.score_record import ScoreRecord
from keras_s5rl.training.seed_scores import SeedScores
from tests.support.small_runs import (
    EVALUATION_METRICS,
    STEPS,
    as_bytes,
    metrics_of,
    newest_arrays,
    small_config,
)

pytestmark = pytest.mark.not_on_tensorflow

ENV, FIRST, NUM_SEEDS = "RepeatPreviousEasy", 5, 3
EVALUATION = {"eval_every": 2, "eval_episodes": 4}


def new_agent(seed=FIRST, num_seeds=NUM_SEEDS, **settings):
    config = small_config(**settings)
    return PPO(ENV, memory="mingru", config=config, seed=seed, num_seeds=num_seeds)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recorded training of all seeds, and agents that trained each alone, with evaluations."""
    run_dir = tmp_path_factory.mktemp("seeds") / "run"
    agent, options = new_agent(), {"log_every": 1, "verbose": False, **EVALUATION}
    agent.fit(4 * STEPS, run_dir=run_dir, **options)
    alone = [new_agent(seed, 1) for seed in agent.seeds]
    histories = [one.fit(4 * STEPS, **options).history for one in alone]
    return run_dir, agent, alone, histories


@pytest.mark.slow
def test_every_seed_trains_bit_for_bit_as_it_would_alone(recorded):
    _, agent, alone, _ = recorded
    for one in alone:
        with agent.seed_policy(one.seed) as policy:
            for found, expected in zip(policy.get_weights(), one.policy.get_weights(), strict=True):
                np.testing.assert_array_equal(found, expected)
    with agent.seed_policy(FIRST) as policy:
        first = policy.get_weights()
    np.testing.assert_equal(agent.policy.get_weights(), first)


@pytest.mark.slow
def test_metrics_are_means_with_a_list_of_the_seeds_beside_them(recorded):
    run_dir, _, _, histories = recorded
    rows = metrics_of(run_dir)
    assert [row["env_steps"] for row in rows] == [STEPS * update for update in range(1, 5)]
    for name in ("loss", "entropy", "approx_kl", "episodes"):
        of_seeds = np.array([history[name] for history in histories])
        np.testing.assert_array_equal([row[f"{name}_per_seed"] for row in rows], of_seeds.T)
        np.testing.assert_allclose([row[name] for row in rows], of_seeds.mean(axis=0), rtol=1e-12)
    columns = read_metrics(run_dir / "metrics.jsonl")
    assert np.shape(columns["episode_return_mean_per_seed"]) == (4, NUM_SEEDS)


@pytest.mark.slow
def test_every_seed_is_scored_while_it_trains_as_it_would_be_alone(recorded):
    run_dir, agent, alone, histories = recorded
    for name in EVALUATION_METRICS:
        of_seeds = np.array([history[name] for history in histories])
        rows = metrics_of(run_dir)
        for update in (1, 2, 4):
            row, expected = rows[update - 1], of_seeds[:, update - 1]
            assert row[f"{name}_per_seed"] == expected.tolist()
            np.testing.assert_allclose(row[name], expected.mean(), rtol=1e-12)
        assert (rows[2][name], rows[2][f"{name}_per_seed"]) == (None, [None] * NUM_SEEDS)
    assert len({tuple(history["eval_return_mean"]) for history in histories}) == NUM_SEEDS
    assert agent.scores.best == [one.scores.best for one in alone]


@pytest.mark.slow
def test_the_best_policy_of_each_seed_is_kept_with_its_scores(recorded):
    run_dir, _, alone, _ = recorded
    assert not list(run_dir.glob("best_policy*"))
    for one in alone:
        path = run_dir / "best_policies" / f"seed_{one.seed}.keras"
        assert json.loads(path.with_suffix(".json").read_text()) == one.scores.best
        np.testing.assert_equal(load_policy(path).get_weights(), one.scores.best_weights)
    assert {one.scores.best["update"] for one in alone} != {4}  # not simply the last ones


@pytest.mark.slow
def test_each_seed_has_its_policy_in_the_run_and_is_loaded_as_if_it_had_trained_alone(recorded):
    run_dir, _, alone, _ = recorded
    assert not (run_dir / "policy.keras").exists()
    for one in alone:
        saved = load_policy(run_dir / "policies" / f"seed_{one.seed}.keras")
        loaded = PPO.load(run_dir, seed=one.seed)
        assert (loaded.seed, loaded.num_seeds, loaded.update) == (one.seed, 1, 4)
        np.testing.assert_equal(saved.get_weights(), one.policy.get_weights())
        assert as_bytes(loaded.snapshot()[1]) == as_bytes(one.snapshot()[1])
    with pytest.raises(ValueError, match=r"`seed` should be one of the run's, 5 to 7\..*seed=8"):
        PPO.load(run_dir, seed=8)


@pytest.mark.slow
def test_a_resumed_run_is_that_of_one_that_was_not_stopped(recorded, tmp_path):
    run_dir = recorded[0]
    agent = new_agent()
    agent.fit(2 * STEPS, run_dir=tmp_path / "run", verbose=False, checkpoint_every=1)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["seed"], config["num_seeds"]) == (FIRST, NUM_SEEDS)
    # Annealing knows the end from the start: here both parts have that of the whole.
    parts = new_agent(anneal_learning_rate=False), new_agent(anneal_learning_rate=False)
    options = {"verbose": False, **EVALUATION}
    parts[0].fit(4 * STEPS, run_dir=tmp_path / "whole", **options)
    parts[1].fit(2 * STEPS, run_dir=tmp_path / "parts", **options)
    again = new_agent(anneal_learning_rate=False)
    again.fit(4 * STEPS, run_dir=tmp_path / "parts", resume=True, **options)
    assert again.scores.best == parts[0].scores.best
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")
    assert newest_arrays(tmp_path / "parts") == newest_arrays(tmp_path / "whole")
    with pytest.raises(RunError, match="num_seeds"):
        new_agent(num_seeds=2).fit(6 * STEPS, run_dir=run_dir, resume=True, verbose=False)


@pytest.mark.slow
def test_the_score_is_the_mean_of_those_of_the_seeds(recorded):
    _, agent, alone, _ = recorded
    report = agent.evaluate(num_episodes=8)
    scores = [one.evaluate(num_episodes=8) for one in alone]
    means = [score["return_mean"] for score in scores]
    assert report["return_mean_per_seed"] == means and report["num_seeds"] == NUM_SEEDS
    assert report["returns"] == [score["returns"] for score in scores]
    np.testing.assert_allclose(report["return_mean"], np.mean(means))
    # The 97.5 % quantile of Student's t with 2 degrees of freedom is 4.3027.
    half_width = 4.302652729911275 * np.std(means, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(report["return_ci95"], half_width, rtol=1e-6)
    interval = bootstrap_interval(statistics.iqm, [means])
    assert report["return_iqm_interval"] == list(interval)
    np.testing.assert_allclose(report["return_iqm"], np.mean(means))  # of three, the mean


@pytest.mark.slow
@pytest.mark.jax_alone
def test_one_program_of_all_seeds_computes_the_same(recorded, monkeypatch):
    monkeypatch.setattr(seeds_learner.backend, "device_name", lambda: "gpu")
    agent = new_agent()
    agent.fit(STEPS, verbose=False)
    for one in recorded[2]:
        single = new_agent(one.seed, 1)
        single.fit(STEPS, verbose=False)
        with agent.seed_policy(one.seed) as policy:
            for found, expected in zip(
                policy.get_weights(), single.policy.get_weights(), strict=True
            ):
                np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_a_callback_changes_the_learning_rate_of_all_seeds():
    def fit(agent):
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.0 if epoch else 1e-2)
        agent.fit(3 * STEPS, log_every=1, verbose=False, callbacks=[schedule])
        return agent

    agent = fit(new_agent(anneal_learning_rate=False))
    for seed in agent.seeds:
        single = fit(new_agent(seed, 1, anneal_learning_rate=False))
        with agent.seed_policy(seed) as policy:
            np.testing.assert_equal(policy.get_weights(), single.policy.get_weights())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_seeds": 0}, "`num_seeds` should be a positive integer.*num_seeds=0"),
        ({"num_seeds": 2, "seed": 2**32 - 1}, r"below 2\*\*32.*num_seeds=2"),
        ({"num_seeds": 2, "env": "gymnasium:CartPole-v1"}, "num_seeds=2 with env=gymnasium:Ca"),
    ],
)
def test_seeds_that_cannot_train_side_by_side_are_refused(arguments, message):
    given = {"env": ENV, "memory": "mlp", "config": small_config(), **arguments}
    with pytest.raises(ValueError, match=message):
        PPO(**given)


def test_an_early_stop_goes_with_one_seed(tmp_path):
    with pytest.raises(ValueError, match="`early_stop_patience` goes with one seed.*num_seeds=3"):
        new_agent().fit(STEPS, tmp_path / "run", eval_every=1, early_stop_patience=1)
    assert not list(tmp_path.iterdir())


def test_scores_of_another_number_of_seeds_are_refused():
    scores = SeedScores([ScoreRecord()] * NUM_SEEDS)
    assert scores.to_metadata() == scores.latest == {} and scores.best is None
    for wrong in ([{}], {}, [{}, None]):
        with pytest.raises(RunError, match="the scores of 3 seeds"):
            scores.restored({"scores_of_others": wrong, "others": [{}, {}], "arrays": {}}, [])
