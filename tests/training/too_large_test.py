"""Trainings and evaluations that are too large for the memory end with a sentence."""

import keras
import pytest

from keras_s5rl import PPO, backend
from keras_s5rl.ppo.host_memory import memory_errors_named
from tests.support.small_runs import STEPS, small_config

pytestmark = pytest.mark.not_on_tensorflow

on_jax = pytest.mark.skipif(keras.config.backend() != "jax", reason="Only JAX knows beforehand.")


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(backend, "available_memory", lambda: 2**27)


@pytest.mark.slow_after(1)
@on_jax
@pytest.mark.parametrize(
    ("settings", "env_args", "received"),
    [
        ({"num_envs": 4_000_000}, {}, "num_envs=4000000"),
        ({"num_steps": 1_000_000}, {}, "num_steps=1000000"),
        ({"num_envs": 100_000}, {"num_decks": 1_000}, "env_args={'num_decks': 1000}"),
    ],
)
def test_a_training_is_refused_before_it_runs(settings, env_args, received, little_memory):
    config = small_config(num_minibatches=1, **settings)
    agent = PPO("RepeatPreviousEasy", env_args, memory="mlp", config=config)
    message = r"`num_envs`, `num_steps`, .* should be smaller: .* [\d.]+ GiB .*" + received
    for _ in range(2):  # the agent is still whole
        with pytest.raises(ValueError, match=message):
            agent.fit(STEPS, verbose=False)
        assert agent.update == 0


@pytest.mark.slow
@on_jax
def test_an_evaluation_is_refused_before_it_runs(little_memory):
    agent = PPO("RepeatPreviousEasy", memory="mlp", config=small_config())
    for _ in range(2):
        with pytest.raises(ValueError, match="`num_episodes` should be smaller: .*=3000000"):
            agent.evaluate(3_000_000)
    assert len(agent.evaluate(4)["returns"]) == 4


@pytest.mark.slow
def test_what_fits_is_not_refused(monkeypatch):
    monkeypatch.setattr(backend, "available_memory", lambda: None)
    agent = PPO("RepeatPreviousEasy", memory="mlp", config=small_config())
    assert len(agent.evaluate(4)["returns"]) == 4


def test_weights_that_cannot_be_allocated_are_named():
    config = small_config(width=3_000_000_000, num_layers=1)
    with pytest.raises(ValueError, match="`width`.* should be smaller: memory could not be"):
        PPO("RepeatPreviousEasy", memory="mlp", config=config)


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), memory_errors_named({"width": 8}):
        1 / 0  # noqa: B018
