"""Scores of a policy while it trains: what they are, what they leave alone, and what is kept."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_s5rl import PPO, load_policy, random
from keras_s5rl.cli import evaluate
from keras_s5rl.runs import RunError
from keras_s5rl.training.evaluation import compile_episodes
from keras_s5rl.training.keys import WHILE_TRAINING
from tests.envs.gymnasium.counting_env import CountingEnv
from tests.support.small_runs import (
    EVALUATION_METRICS,
    METRICS,
    STEPS,
    as_bytes,
    metrics_of,
    newest_arrays,
    small_config,
)

pytestmark = pytest.mark.not_on_tensorflow

ENV, SEED, EPISODES = "PositionOnlyCartPoleEasy", 3, 6
SETTINGS = {"checkpoint_every": 2, "log_every": 2, "verbose": False}
EVALUATION = {"eval_every": 2, "eval_episodes": EPISODES}
UPDATES = 7


def new_agent(env=ENV, **settings):
    config = small_config(num_epochs=1, learning_rate=0.05, anneal_learning_rate=False, **settings)
    return PPO(env, memory="mlp", config=config, seed=SEED)


class Weights(keras.callbacks.Callback):
    """Notes the weights after each update."""

    def on_train_begin(self, logs=None):
        self.after = {}

    def on_train_batch_end(self, batch, logs=None):
        self.after[int(logs["update"])] = self.model.get_weights()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with evaluations, `(folder, agent, weights after each update)`."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    agent, weights, saved = new_agent(), Weights(), folder.parent / "saved.keras"
    saving = keras.callbacks.ModelCheckpoint(
        saved, monitor="eval_return_mean", mode="max", save_best_only=True
    )
    agent.fit(UPDATES * STEPS, folder, callbacks=[weights, saving], **EVALUATION, **SETTINGS)
    return folder, agent, weights.after


def scores_of(folder):
    """`{update: mean return}` of the evaluations in metrics.jsonl."""
    rows = metrics_of(folder)
    return {r["update"]: r["eval_return_mean"] for r in rows if r["eval_return_mean"] is not None}


def assert_same(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_evaluations_leave_training_as_it_is_without_them(run, tmp_path):
    folder, _, _ = run
    new_agent().fit(UPDATES * STEPS, tmp_path / "run", **SETTINGS)
    rows = [
        {name: value for name, value in row.items() if name not in EVALUATION_METRICS}
        for row in metrics_of(folder)
    ]
    assert rows == metrics_of(tmp_path / "run")
    (update, evaluated), (_, plain) = newest_arrays(folder), newest_arrays(tmp_path / "run")
    training = {n: array for n, array in evaluated.items() if not n.startswith("best_policy/")}
    assert update == UPDATES and training == plain and len(evaluated) > len(plain)
    assert not (tmp_path / "run" / "best_policy.keras").exists()


@pytest.mark.slow
def test_the_first_update_and_every_second_one_are_scored_on_the_same_episodes(run):
    folder, agent, weights = run
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [list(row) for row in rows] == [[*METRICS, *EVALUATION_METRICS]] * UPDATES
    play = compile_episodes(agent.environment, agent.policy, EPISODES)
    key = random.fold_in(random.key(SEED), WHILE_TRAINING)
    last, seen = agent.policy.get_weights(), set()
    for row in rows:
        scores = [row[name] for name in EVALUATION_METRICS]
        if row["update"] not in (1, 2, 4, 6):
            assert scores == [None] * 3
            continue
        agent.policy.set_weights(weights[row["update"]])
        ((returns, lengths),) = play(agent.policy, key, (True,))
        expected = np.mean(returns), np.std(returns, ddof=1, dtype="float64"), np.mean(lengths)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-7)
        seen.add(scores[0])
    agent.policy.set_weights(last)
    assert len(seen) > 1


@pytest.mark.slow
def test_the_best_policy_is_kept_with_its_scores(run):
    folder, agent, weights = run
    scores, best = scores_of(folder), json.loads((folder / "best_policy.json").read_text())
    update = max(scores, key=scores.get)  # the first of equal ones
    assert (best["update"], best["eval_return_mean"]) == (update, scores[update])
    assert set(best) == {"update", *EVALUATION_METRICS}
    assert_same(load_policy(folder / "best_policy.keras").get_weights(), weights[update])
    assert_same(load_policy(folder / "policy.keras").get_weights(), weights[UPDATES])
    assert_same(agent.policy.get_weights(), weights[UPDATES])
    assert agent.scores.best == best


@pytest.mark.slow
def test_callbacks_see_the_latest_scores_and_keras_keeps_the_same_best(run):
    folder, agent, weights = run
    scores, history = scores_of(folder), agent.policy.history.history
    assert history["eval_return_mean"] == [scores[2], scores[4], scores[6], scores[6]]
    at_ends = {update: scores[update] for update in (2, 4, 6)}
    saved = keras.saving.load_model(folder.parent / "saved.keras", compile=False)
    assert_same(saved.get_weights(), weights[max(at_ends, key=at_ends.get)])


@pytest.mark.slow
def test_tensorboard_has_a_point_for_each_evaluation(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, _, _ = run
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    points = [(event.step, event.value) for event in events.Scalars("eval_return_mean")]
    expected = [(update * STEPS, score) for update, score in scores_of(folder).items()]
    np.testing.assert_allclose(points, expected, rtol=1e-6)


@pytest.fixture
def interrupted(run, tmp_path):
    """The run as if it had been killed in update 5, with a best policy that is not the
    checkpoint's."""
    folder = shutil.copytree(run[0], tmp_path / "run")
    for update in (6, UPDATES):
        shutil.rmtree(folder / "checkpoints" / f"checkpoint_{update:08d}")
    new_agent().policy.save(folder / "best_policy.keras")
    (folder / "best_policy.json").write_text("{}")
    return folder


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_best_of_before_bit_for_bit(run, interrupted):
    folder, _, _ = run
    new_agent().fit(UPDATES * STEPS, interrupted, resume=True, **EVALUATION, **SETTINGS)
    assert metrics_of(interrupted) == metrics_of(folder)
    assert newest_arrays(interrupted) == newest_arrays(folder)
    assert (interrupted / "best_policy.json").read_text() == (
        folder / "best_policy.json"
    ).read_text()
    best = [load_policy(f / "best_policy.keras").get_weights() for f in (interrupted, folder)]
    assert_same(*best)


@pytest.mark.slow
def test_a_best_policy_from_after_the_checkpoint_gives_way_to_that_of_the_checkpoint(
    run, interrupted
):
    _, _, weights = run
    new_agent().fit(4 * STEPS, interrupted, resume=True, **EVALUATION, **SETTINGS)
    scores = scores_of(interrupted)
    update = max(scores, key=scores.get)
    assert max(scores) == 4
    assert json.loads((interrupted / "best_policy.json").read_text())["update"] == update
    assert_same(load_policy(interrupted / "best_policy.keras").get_weights(), weights[update])


@pytest.mark.slow
def test_a_best_policy_that_cannot_be_written_leaves_the_one_before(run, interrupted, monkeypatch):
    kept = (interrupted / "best_policy.keras").read_bytes()
    agent = new_agent()

    def save_half(path):
        path.write_bytes(kept[: len(kept) // 2])
        raise OSError("the disk is full")

    monkeypatch.setattr(agent.policy, "save", save_half)
    with pytest.raises(OSError, match="the disk is full"):
        agent.fit(UPDATES * STEPS, interrupted, resume=True, **EVALUATION, **SETTINGS)
    assert (interrupted / "best_policy.keras").read_bytes() == kept
    assert not list(interrupted.glob(".best_policy*"))
    assert_same(agent.policy.get_weights(), run[2][4])  # the policy itself is not the best one


@pytest.mark.slow
def test_evaluate_scores_the_best_policy_beside_the_last(run, tmp_path, unchanged_process):
    folder = shutil.copytree(run[0], tmp_path / "run")
    for policy in ("last", "best"):
        flags = [f"--run_dir={folder}", f"--policy={policy}", "--num_episodes=5"]
        assert evaluate.main(["evaluate.py", *flags]) == 0
    reports = [
        json.loads((folder / name).read_text())
        for name in ("evaluation.json", "best_evaluation.json")
    ]
    best = json.loads((folder / "best_policy.json").read_text())["update"]
    for report, update in zip(reports, (UPDATES, best), strict=True):
        agent = new_agent()
        agent.policy.set_weights(run[2][update])
        expected = agent.evaluate(5) | {"update": update, "env_steps": update * STEPS}
        assert report == expected


@pytest.mark.slow
def test_a_run_without_evaluations_has_no_best_policy(tmp_path, unchanged_process, capsys):
    new_agent().fit(STEPS, tmp_path / "run", **SETTINGS)
    flags = [f"--run_dir={tmp_path / 'run'}", "--policy=best"]
    assert evaluate.main(["evaluate.py", *flags]) == 2
    assert "`policy` should be last" in capsys.readouterr().err
    assert not (tmp_path / "run" / "best_evaluation.json").exists()


@pytest.mark.slow
def test_the_number_of_episodes_is_kept_unless_it_is_overridden(interrupted):
    other = {**EVALUATION, "eval_episodes": 5}
    with pytest.raises(RunError, match="`eval_episodes` should be 6.*`--override`"):
        new_agent().fit(UPDATES * STEPS, interrupted, resume=True, **other, **SETTINGS)


@pytest.mark.slow
def test_environments_of_gymnasium_are_scored_in_copies_of_their_own(tmp_path):
    made = []

    class Closing(CountingEnv):
        def __init__(self):
            super().__init__()
            made.append(self)
            self.closed = 0

        def close(self):
            self.closed += 1

    agent = new_agent(Closing)
    agent.fit(STEPS, verbose=False)
    update, arrays, metadata = agent.snapshot()
    agent.fit(3 * STEPS, verbose=False)
    expected = as_bytes(agent.snapshot()[1])
    loop = agent.prepare(STEPS)
    loop.restore({"update": update, "arrays": arrays, **metadata})
    num_made = len(made)
    history = agent.fit(3 * STEPS, log_every=1, verbose=False, eval_every=1, eval_episodes=4)
    arrays = {n: a for n, a in agent.snapshot()[1].items() if not n.startswith("best_policy/")}
    assert as_bytes(arrays) == expected
    assert len(made) == num_made + 8 + 4 and all(env.closed for env in made)
    # Episodes of 1 to 4 steps, whose rewards are 10 times the clock, and the action, 0 to 2.
    scores, lengths = (history.history[f"eval_{name}_mean"] for name in ("return", "length"))
    assert len(scores) == 2 and all(10 <= score <= 108 for score in scores)
    assert lengths[0] == lengths[1]  # the same episodes


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"eval_every": 0}, "`eval_every` .* should be a positive integer, or None. Received"),
        ({"eval_every": True}, "`eval_every` .* should be a positive integer, or None. Received"),
        ({"eval_episodes": None}, "`eval_episodes` .* should be a positive integer. Received"),
        ({"early_stop_patience": 2}, "give `eval_every`, too. Received: early_stop_patience=2"),
        ({"eval_every": 1, "early_stop_patience": 0}, "`early_stop_patience` .* should be"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(
    arguments, expected, tmp_path
):
    with pytest.raises(ValueError, match=expected):
        new_agent().fit(STEPS, tmp_path / "run", verbose=False, **arguments)
    assert not list(tmp_path.iterdir())
