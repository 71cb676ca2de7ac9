"""Keras callbacks: what they are called with, and that what they do counts."""

import csv

import keras
import numpy as np
import pytest

from keras_s5rl import PPO
from keras_s5rl.training.metrics import interval_means
from tests.support.small_runs import METRICS, STEPS, metrics_of, small_config

pytestmark = pytest.mark.not_on_tensorflow


def new_agent(**settings):
    config = small_config(anneal_learning_rate=False, **settings)
    return PPO("RepeatPreviousEasy", memory="mlp", config=config)


def fit(agent, num_updates, *callbacks, **arguments):
    return agent.fit(
        num_updates * STEPS, callbacks=list(callbacks), verbose=False, **arguments
    ).history


class Calls(keras.callbacks.Callback):
    """Notes every hook with its index and logs."""

    def __init__(self):
        super().__init__()
        self.calls, self.logs = [], []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch}")

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(f"update {batch}")

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(f"updated {batch}")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"end of epoch {epoch}")
        self.logs.append(dict(logs))

    def on_train_end(self, logs=None):
        self.calls.append("end")


@pytest.mark.slow
def test_an_epoch_is_log_every_updates_and_its_logs_are_means(tmp_path):
    calls = Calls()
    history = fit(new_agent(), 11, calls, log_every=4, run_dir=tmp_path / "run")
    one_epoch = [f"{word} {i}" for i in range(4) for word in ("update", "updated")]
    assert calls.calls == [
        *("begin", "epoch 0", *one_epoch, "end of epoch 0"),
        *("epoch 1", *one_epoch, "end of epoch 1"),
        *("epoch 2", *one_epoch[:6], "end of epoch 2", "end"),
    ]
    rows = metrics_of(tmp_path / "run")
    for epoch, logs in enumerate(calls.logs):
        part = rows[4 * epoch : 4 * epoch + 4]
        assert set(logs) == set(METRICS)
        assert logs["update"] == part[-1]["update"] and logs["env_steps"] == part[-1]["env_steps"]
        assert logs["loss"] == pytest.approx(np.mean([row["loss"] for row in part]))
        assert logs["episodes"] == sum(row["episodes"] for row in part) > 0
        values = [m for row in part if (m := row["episode_return_mean"]) is not None]
        expected = np.mean(values) if values else np.nan
        assert logs["episode_return_mean"] == pytest.approx(expected, nan_ok=True)
    expected = {name: [logs[name] for logs in calls.logs] for name in calls.logs[0]}
    np.testing.assert_equal(history, expected)


def test_means_are_over_the_updates_that_have_a_value_and_nan_without_any():
    names = ("update", "env_steps", "wall_time_s", "mmer", "episodes", "loss")
    rows = [dict.fromkeys(names, 1.0) for _ in range(3)]
    for row, episodes, value in zip(rows, (1, 0, 3), (10.0, None, 2.0), strict=True):
        row |= {"episodes": episodes, "episode_return_mean": value, "episode_length_mean": value}
    rows[2] |= {"update": 3.0, "mmer": 10.0, "loss": 4.0}
    means = interval_means(rows)
    assert means["episode_return_mean"] == means["episode_length_mean"] == (10 + 2) / 2
    assert (means["update"], means["mmer"], means["episodes"], means["loss"]) == (3, 10, 4, 2)
    assert np.isnan(interval_means(rows[1:2])["episode_return_mean"])
    assert np.isnan(interval_means([{**rows[1], "mmer": None}])["mmer"])


@pytest.mark.slow
def test_early_stopping_stops_and_its_best_weights_stay(tmp_path):
    class Weights(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.at_end = []

        def on_epoch_end(self, epoch, logs=None):
            self.at_end.append(self.model.get_weights())

    weights, agent = Weights(), new_agent()
    stopping = keras.callbacks.EarlyStopping(
        "update", mode="min", patience=2, restore_best_weights=True
    )
    history = fit(agent, 20, weights, stopping, log_every=2)
    assert history["update"] == [2, 4, 6] and agent.update == 6
    for kept, best in zip(agent.policy.get_weights(), weights.at_end[0], strict=True):
        np.testing.assert_array_equal(kept, best)
    assert any((a != b).any() for a, b in zip(*weights.at_end[:2], strict=True))
    fit(agent, 7)  # it can go on: the flag is down again
    assert agent.update == 7


@pytest.mark.slow
def test_what_callbacks_leave_in_the_weights_is_what_is_saved(tmp_path):
    stopping = keras.callbacks.EarlyStopping(
        "update", mode="min", patience=2, restore_best_weights=True
    )
    agent = new_agent()
    fit(agent, 20, stopping, log_every=2, checkpoint_every=2, run_dir=tmp_path / "run")
    saved = PPO.load(tmp_path / "run").policy.get_weights()
    for ours, theirs in zip(agent.policy.get_weights(), saved, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_hooks_see_the_weights_and_the_optimizer_as_they_are():
    class Check(keras.callbacks.Callback):
        seen = 0

        def check(self):
            _, arrays, _ = agent.snapshot()
            optimizer = self.model.optimizer
            for i, variable in enumerate(self.model.trainable_variables):
                np.testing.assert_array_equal(variable.numpy(), arrays[f"trainable/{i}"])
            for i, variable in enumerate(optimizer.variables):
                np.testing.assert_array_equal(variable.numpy(), arrays[f"optimizer/{i}"])
            assert int(optimizer.iterations.numpy()) == 16 * agent.update
            self.seen += 1

        def on_train_begin(self, logs=None):
            self.check()

        def on_train_batch_begin(self, batch, logs=None):
            self.check()

        def on_train_batch_end(self, batch, logs=None):
            self.check()

        def on_epoch_end(self, epoch, logs=None):
            self.check()

    check, agent = Check(), new_agent()
    fit(agent, 3, check, log_every=2)
    assert check.seen == 1 + 3 + 3 + 2
    assert check.model is agent.policy


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end", "on_batch_begin"])
def test_a_learning_rate_set_in_a_hook_takes_effect(hook):
    """Where it is set to 0, weights stand still from then on."""
    after, agent = [], new_agent()

    def note(batch, logs=None):
        after.append(agent.policy.get_weights())

    def stop_learning(index, logs=None):
        if agent.update >= 2:
            agent.policy.optimizer.learning_rate = 0.0

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    setattr(callback, hook if hook != "on_batch_begin" else "on_train_batch_begin", stop_learning)
    fit(agent, 4, callback, log_every=2)
    assert any((a != b).any() for a, b in zip(*after[:2], strict=True))
    for two, three, four in zip(*after[1:], strict=True):
        np.testing.assert_array_equal(two, three)
        np.testing.assert_array_equal(two, four)


@pytest.mark.slow
def test_weights_set_in_a_hook_are_trained_on():
    agent = new_agent(learning_rate=1e-30)

    def overwrite(epoch, logs=None):
        agent.policy.set_weights([np.full_like(w, 0.25) for w in agent.policy.get_weights()])

    fit(agent, 3, keras.callbacks.LambdaCallback(on_epoch_begin=overwrite), log_every=1)
    assert all((weight == 0.25).all() for weight in agent.policy.get_weights())


@pytest.mark.slow
def test_weights_set_at_the_end_of_an_epoch_are_in_the_checkpoint_and_stay(tmp_path):
    def overwrite(epoch, logs=None):
        weights = agent.policy.get_weights()
        agent.policy.set_weights([np.full_like(w, (epoch + 1) / 8) for w in weights])

    def look(batch, logs=None):
        if agent.update == 3:
            in_checkpoints.append(PPO.load(tmp_path / "run").policy.get_weights())

    in_checkpoints, agent = [], new_agent()
    callback = keras.callbacks.LambdaCallback(on_epoch_end=overwrite, on_train_batch_end=look)
    fit(agent, 4, callback, log_every=2, checkpoint_every=2, run_dir=tmp_path / "run")
    assert len(in_checkpoints) == 1
    assert all((weight == 1 / 8).all() for weight in in_checkpoints[0])
    assert all((weight == 2 / 8).all() for weight in agent.policy.get_weights())


@pytest.mark.slow
def test_the_callbacks_of_keras_run(tmp_path, capsys):
    agent = new_agent()
    history = agent.fit(
        4 * STEPS,
        log_every=2,
        verbose=False,
        callbacks=[
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.ProgbarLogger(),
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
            keras.callbacks.ReduceLROnPlateau("loss", patience=1),
        ],
    )
    assert isinstance(history, keras.callbacks.History)
    assert history.history["learning_rate"] == pytest.approx([1e-3, 5e-4])
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["update"]) for row in rows] == [2, 4]
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("callbacks", [None, (), "one"])
def test_callbacks_may_be_none_or_a_single_one(callbacks):
    calls = Calls()
    new_agent().fit(STEPS, callbacks=calls if callbacks == "one" else callbacks, verbose=False)
    assert calls.calls[-1:] == (["end"] if callbacks == "one" else [])


@pytest.mark.slow
def test_stopping_in_the_middle_of_an_epoch_ends_it():
    class Stop(Calls):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = logs["update"] == 3

    stop = Stop()
    history = fit(new_agent(), 10, stop, log_every=2)
    assert stop.calls[-3:] == ["update 0", "end of epoch 1", "end"]
    assert history["update"] == [2, 3]
