"""The agent: reproducible, and the same however a training is divided."""

import math
import shutil

import keras
import numpy as np
import pytest

from keras_s5rl import PPO, PPOConfig
from keras_s5rl.envs import make
from keras_s5rl.runs import RunDirectory, RunError
from tests.support.small_runs import (
    STEPS,
    as_bytes,
    metrics_of,
    newest_arrays,
    small_config,
    without_times,
)

pytestmark = pytest.mark.not_on_tensorflow


def new_agent(seed=0, memory="mlp", **settings):
    config = small_config(anneal_learning_rate=False, **settings)
    return PPO("RepeatPreviousEasy", memory=memory, config=config, seed=seed)


def state_of(agent):
    return as_bytes(agent.snapshot()[1])


@pytest.mark.slow
def test_equal_seeds_train_bit_for_bit_the_same_and_others_do_not():
    runs = {}
    for name, seed in (("one", 7), ("again", 7), ("other", 8)):
        agent = new_agent(seed, memory="s5")
        history = agent.fit(6 * STEPS, log_every=1, verbose=False).history
        runs[name] = without_times(history), state_of(agent)
    np.testing.assert_equal(runs["one"][0], runs["again"][0])
    assert runs["one"][1] == runs["again"][1]
    assert runs["one"][0]["loss"] != runs["other"][0]["loss"]
    assert all(runs["one"][1][name] != runs["other"][1][name] for name in ("key", "trainable/0"))


@pytest.mark.slow
def test_a_second_fit_goes_on_from_the_first():
    whole, parts = new_agent(), new_agent()
    expected = whole.fit(6 * STEPS, log_every=1, verbose=False).history
    first = parts.fit(2 * STEPS, log_every=1, verbose=False).history
    assert parts.update == 2 and parts.env_steps == 2 * STEPS
    second = parts.fit(5 * STEPS + 1, log_every=1, verbose=False).history  # rounded up to 6
    joined = {name: first[name] + second[name] for name in first}
    np.testing.assert_equal(without_times(joined), without_times(expected))
    assert state_of(parts) == state_of(whole)
    assert parts.fit(6 * STEPS, verbose=False).history == {}
    assert state_of(parts) == state_of(whole)


@pytest.mark.slow
def test_weights_set_between_two_fits_are_trained_on():
    agent = new_agent(learning_rate=1e-30)
    agent.fit(STEPS, verbose=False)
    weights = [np.full_like(w, 0.125) for w in agent.policy.get_weights()]
    agent.policy.set_weights(weights)
    agent.fit(2 * STEPS, verbose=False)
    for weight, expected in zip(agent.policy.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.slow
def test_a_longer_fit_goes_on_under_a_learning_rate_that_falls_to_its_own_end():
    agent = PPO("RepeatPreviousEasy", memory="mlp", config=small_config(learning_rate=0.5))
    agent.fit(2 * STEPS, verbose=False)
    first = agent.policy.get_weights()
    assert float(agent.policy.optimizer.learning_rate) == 0.0
    agent.fit(2 * STEPS - 1, verbose=False)  # the same last update
    agent.fit(2 * STEPS, verbose=False)
    for weight, before in zip(agent.policy.get_weights(), first, strict=True):
        np.testing.assert_array_equal(weight, before)

    rates = []
    read = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs=None: rates.append(
            float(agent.policy.optimizer.learning_rate)
        )
    )
    agent.fit(8 * STEPS, callbacks=[read], verbose=False)
    # Update u of 8 begins at 0.5 * (1 - u / 8), whatever the line before was.
    np.testing.assert_allclose(rates, [0.5 * (1 - u / 8) for u in range(2, 8)], rtol=1e-6)
    assert agent.update == 8 and float(agent.policy.optimizer.learning_rate) == 0.0
    changed = [(a != b).any() for a, b in zip(agent.policy.get_weights(), first, strict=True)]
    assert all(changed)


@pytest.mark.slow
def test_a_longer_fit_keeps_the_moments_of_the_optimizer():
    agent = PPO("RepeatPreviousEasy", memory="mlp", config=small_config())
    agent.fit(2 * STEPS, verbose=False)
    before = [variable.numpy() for variable in agent.policy.optimizer.variables]
    agent.prepare(3 * STEPS)
    after = [variable.numpy() for variable in agent.policy.optimizer.variables]
    assert int(before[0]) == 2 * 4 * 4
    for value, expected in zip(after, before, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.slow
def test_a_loaded_agent_is_the_one_that_was_trained(tmp_path):
    agent = new_agent(seed=4)
    agent.fit(3 * STEPS, run_dir=tmp_path / "run", checkpoint_every=2, verbose=False)
    loaded = PPO.load(tmp_path / "run")
    assert loaded.settings() == agent.settings()
    assert (loaded.update, loaded.num_parameters) == (3, agent.num_parameters)
    assert loaded.evaluate(8) == agent.evaluate(8)
    assert state_of(loaded) == state_of(agent)
    agent.fit(5 * STEPS, verbose=False)
    loaded.fit(5 * STEPS, verbose=False)
    assert state_of(loaded) == state_of(agent)


@pytest.mark.slow
def test_the_record_of_a_run_is_cut_back_to_the_checkpoint_and_goes_on(tmp_path):
    """Killed after update 6 it keeps checkpoint 4; resumed, it is as never stopped."""
    folder, whole = tmp_path / "run", new_agent()
    whole.fit(8 * STEPS, run_dir=tmp_path / "whole", checkpoint_every=4, verbose=False)
    new_agent().fit(6 * STEPS, run_dir=folder, checkpoint_every=4, verbose=False)
    shutil.rmtree(folder / "checkpoints" / "checkpoint_00000006")
    assert len(metrics_of(folder)) == 6 and newest_arrays(folder)[0] == 4
    with pytest.raises(ValueError, match="already holds a run"):
        new_agent().fit(8 * STEPS, run_dir=folder, verbose=False)
    new_agent().fit(8 * STEPS, run_dir=folder, resume=True, checkpoint_every=4, verbose=False)
    assert metrics_of(folder) == metrics_of(tmp_path / "whole")
    assert newest_arrays(folder) == newest_arrays(tmp_path / "whole")


@pytest.mark.slow
def test_resuming_with_other_versions_or_another_backend_works_with_a_warning(tmp_path, capsys):
    folder = tmp_path / "run"
    new_agent().fit(STEPS, run_dir=folder, verbose=False)
    run = RunDirectory.open(folder)
    config = run.read_config()
    backend = config["backend"]
    config["versions"]["keras"] = "3.0.0"
    config |= {"backend": "another", "device": "elsewhere"}
    run.write_config(config)
    new_agent().fit(STEPS, run_dir=folder, resume=True, verbose=False)
    printed = capsys.readouterr().err
    assert "warning: versions have changed (keras 3.0.0 -> " in printed
    assert f"warning: the backend has changed (another -> {backend});" in printed
    config = run.read_config()
    assert config["backend"] == backend and config["device"] != "elsewhere"


@pytest.mark.slow
def test_a_trained_agent_may_record_the_rest_of_its_training(tmp_path):
    agent = new_agent()
    agent.fit(2 * STEPS, verbose=False)
    agent.fit(4 * STEPS, run_dir=tmp_path / "rest", verbose=False)
    assert [row["update"] for row in metrics_of(tmp_path / "rest")] == [3, 4]
    assert newest_arrays(tmp_path / "rest")[0] == 4


@pytest.mark.devices
@pytest.mark.skipif(keras.config.backend() != "jax", reason="Other backends use one device.")
def test_two_devices_go_on_where_they_stopped_and_the_policy_is_on_one(tmp_path):
    whole, parts, seen = new_agent(num_devices=2), new_agent(num_devices=2), []

    def look(batch, logs):
        seen.append(parts.evaluate(4)["return_mean"])

    expected = whole.fit(4 * STEPS, run_dir=tmp_path / "whole", verbose=False)
    watcher = keras.callbacks.LambdaCallback(on_train_batch_end=look)
    parts.fit(2 * STEPS, run_dir=tmp_path / "run", verbose=False, callbacks=[watcher])
    new_agent(num_devices=2).fit(4 * STEPS, run_dir=tmp_path / "run", resume=True, verbose=False)
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    assert newest_arrays(tmp_path / "run") == newest_arrays(tmp_path / "whole")
    assert state_of(PPO.load(tmp_path / "run")) == state_of(whole)
    assert len(seen) == 2 and expected.history["loss"]
    assert all(len(variable.value.devices()) == 1 for variable in whole.policy.variables)
    with pytest.raises(RunError, match="`num_devices` should be 2"):
        new_agent().fit(8 * STEPS, run_dir=tmp_path / "run", resume=True, verbose=False)


def test_more_devices_than_there_are_are_refused_and_nothing_is_written(tmp_path):
    agent = new_agent(num_devices=8, num_envs=32)
    with pytest.raises(ValueError, match="`num_devices` should be at most .*num_devices=8"):
        agent.fit(STEPS, run_dir=tmp_path / "run", verbose=False)
    assert not list(tmp_path.iterdir())


def test_parameters_are_counted():
    agent = new_agent()
    assert agent.num_parameters == sum(w.size for w in agent.policy.get_weights()) > 0


def test_the_default_configuration_is_that_of_ppo_config():
    assert PPO("RepeatPreviousEasy").config == PPOConfig()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env": "RepeatPreviusEasy"}, "RepeatPreviousEasy"),
        ({"env_args": {"decks": 1}}, "decks"),
        ({"memory": "s55"}, "`memory` should be one of"),
        ({"memory_args": {"stat_size": 4}}, "did you mean .state_size.*Received: stat_size=4"),
        ({"memory_args": {"dt_min": 1.0}}, "`dt_max` should be not below `dt_min`"),
        ({"seed": -1}, "`seed`"),
        ({"seed": 2**32}, "`seed`"),
        ({"seed": 1.0}, "`seed`"),
        ({"config": small_config(activation="wavy")}, "`activation`.*Received: activation='wavy'"),
        ({"env": make("RepeatPreviousEasy"), "env_args": {"k": 1}}, "`env_args`"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PPO(**{"env": "RepeatPreviousEasy", **arguments})


@pytest.mark.parametrize("name", ["total_steps", "checkpoint_every", "log_every"])
@pytest.mark.parametrize("value", [0, -5, 1.5, True, math.inf, None])
def test_a_wrong_count_is_named_and_nothing_is_written(name, value, tmp_path):
    arguments = {"total_steps": 10, "run_dir": tmp_path / "run", "verbose": False, name: value}
    with pytest.raises(
        ValueError, match=f"`{name}` should be a positive integer. Received: {name}"
    ):
        new_agent().fit(**arguments)
    assert not list(tmp_path.iterdir())


def test_a_run_needs_an_environment_with_a_name(tmp_path):
    agent = PPO(make("RepeatPreviousEasy"), memory="mlp", config=small_config())
    with pytest.raises(ValueError, match="register_env"):
        agent.fit(STEPS, run_dir=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_resuming_needs_a_run(tmp_path):
    with pytest.raises(ValueError, match="`run_dir` should name the run"):
        new_agent().fit(STEPS, resume=True)
    with pytest.raises(RunError, match="no config.json"):
        new_agent().fit(STEPS, run_dir=tmp_path / "absent", resume=True)
    with pytest.raises(RunError, match="no config.json"):
        PPO.load(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can be made and written to"):
        new_agent().fit(STEPS, run_dir=tmp_path / "file" / "run")
