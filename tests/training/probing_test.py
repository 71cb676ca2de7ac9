"""`probe_memory`, on a memory of which it is known what it tells."""

import math

import keras
import pytest

from keras_s5rl import PPO
from keras_s5rl.cli import probe
from keras_s5rl.models import register_memory
from keras_s5rl.models.memories import registry
from keras_s5rl.training import probe_memory
from tests.support.small_runs import STEPS, small_config

ENV_ARGS = {
    "tasks": ["cartpole_balance", "point_mass_easy"],
    "num_trials": 1,
    "trial_steps": 6,
    "projected_size": 6,
    "observations": "minimal",
}


class StopAtOnce(keras.callbacks.Callback):
    """Leaves a run with its first checkpoint, before anything is compiled."""

    def on_train_begin(self, logs=None):
        self.model.stop_training = True


@pytest.fixture(scope="module")
def agent():
    config = small_config(encoder_sizes=(), width=4)
    return PPO("projected_control", ENV_ARGS | {"projection": "identity"}, "mlp", config, seed=0)


def identity_memory(*, width, num_layers, activation, dtype, seed):
    from keras_s5rl.models.feed_forward import FeedForward

    return FeedForward(1, 12, activation="linear", seed=seed, dtype=dtype, name="memory")


def values(report, target, task):
    (found,) = (p for p in report["probes"] if (p["target"], p["task"]) == (target, task))
    return found["trained"]


@pytest.mark.slow
def test_a_memory_that_sees_the_state_tells_it_and_no_matrix(monkeypatch):
    monkeypatch.setattr(registry, "_MEMORIES", dict(registry._MEMORIES))
    register_memory("linear", identity_memory)
    config = small_config(encoder_sizes=())
    agent = PPO("projected_control", ENV_ARGS, "linear", config, seed=0)
    report = probe_memory(agent, 64, steps=[0, 5], env_args={"projection": "identity"})

    assert {(p["target"], p["task"]) for p in report["probes"]} == {
        ("task", None),
        *(("state", task) for task in ENV_ARGS["tasks"]),
        *(("action matrix", task) for task in ENV_ARGS["tasks"]),
    }
    for task in ENV_ARGS["tasks"]:
        assert min(values(report, "state", task)) > 0.95
        assert max(values(report, "action matrix", task)) < 0.4
    assert report["steps"] == [0, 5] and report["num_contexts"] == 64
    assert math.isfinite(values(report, "task", None)[0])

    report = probe_memory(agent, 64, steps=[5])
    assert values(report, "state", "cartpole_balance")[0] < 0.6
    assert values(report, "observation matrix", "cartpole_balance")[0] < 0.4


@pytest.mark.slow
def test_the_command_writes_numbers_and_picture_into_the_run(tmp_path, capsys):
    agent = PPO("projected_control", ENV_ARGS, "mlp", small_config(), seed=0)
    agent.fit(STEPS, run_dir=tmp_path / "run", callbacks=[StopAtOnce()], verbose=False)
    flags = [f"--run_dir={tmp_path / 'run'}", "--num_contexts=16", "--steps=0,3"]
    assert probe.main(["probe.py", *flags]) in (0, None)
    out = capsys.readouterr().out
    assert "observation matrix  cartpole_balance" in out and "step 3" in out
    assert {"probes.json", "probes.png"} <= {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_contexts": 8}, "`num_contexts` should be at least 16"),
        ({"steps": [0, 6]}, "`steps` should be increasing integers from 0 to 5"),
        ({"steps": [3, 1]}, "`steps` should be increasing"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(agent, arguments, message):
    with pytest.raises(ValueError, match=message):
        probe_memory(agent, **arguments)


def test_an_environment_without_projections_is_refused():
    agent = PPO("RepeatFirstEasy", memory="mlp", config=small_config())
    with pytest.raises(ValueError, match="`env` should be projected_control"):
        probe_memory(agent)
