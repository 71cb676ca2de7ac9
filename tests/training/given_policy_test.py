"""Policies of the user's own: what is asked of them, and runs of them."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, load_policy
from keras_s5rl.cli import evaluate, train
from keras_s5rl.models import Categorical, Policy
from tests.support.small_runs import STEPS, metrics_of, newest_arrays, small_config

pytestmark = pytest.mark.not_on_tensorflow

CONFIG = small_config(anneal_learning_rate=False)
SIZE = 4 + 4 + 2  # of what an agent sees in RepeatPreviousEasy


class Averaging(Policy):
    """Remembers a running sum of its features; `mistakes` says what it does wrong."""

    def __init__(self, observation_size, distribution, width=8, mistakes=(), **kwargs):
        super().__init__(observation_size, distribution, **kwargs)
        self.width, self.mistakes = width, mistakes
        self.encoder = keras.layers.Dense(width, activation="tanh")
        self.actor = keras.layers.Dense(distribution.num_outputs)
        self.critic = keras.layers.Dense(1)

    def get_initial_state(self, batch_size):
        if "flat state" in self.mistakes:
            return ops.zeros((batch_size, self.width))
        if "no batch" in self.mistakes:
            return [ops.zeros((self.width,))]
        return [ops.zeros((batch_size, self.width))]

    def call(self, observations, resets=None, initial_state=None):
        features = self.encoder(observations)
        state = initial_state[0] if initial_state else ops.zeros_like(features[:, 0])
        states = []
        for t in range(observations.shape[1]):
            if resets is not None and "no reset" not in self.mistakes:
                state = ops.where(resets[:, t, None], 0.0, state)
            state = 0.5 * state + features[:, t]
            states.append(state)
        states = ops.stack(states, axis=1)
        value = self.critic(states)
        if "values" not in self.mistakes:
            value = value[..., 0]
        if "no state" in self.mistakes:
            return self.actor(states), value
        if "other state" in self.mistakes:
            state = states
        return self.actor(states), value, [state]

    def step(self, observation, reset, state):
        parameters, value, state = super().step(observation, reset, state)
        return parameters + ("step" in self.mistakes), value, state

    def get_config(self):
        return super().get_config() | {"width": self.width}


@keras.saving.register_keras_serializable("given_policy_test")
class Registered(Averaging):
    pass


class Unwritten(Averaging):
    def get_config(self):
        raise NotImplementedError


def make(policy_class=Registered, size=SIZE, **arguments):
    keras.utils.set_random_seed(3)
    return policy_class(size, Categorical(4), **arguments)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        ("no reset", "`policy` should clear its memory where `resets` is true"),
        ("step", "`policy` should return from `step` what `call` returns for a sequence.*up to 1"),
        ("flat state", r"return from `get_initial_state\(2\)` a flat list of tensors"),
        ("no batch", r"return from `get_initial_state\(2\)` a flat list of tensors, batch first"),
        ("values", r"return from `call` values float32 \(2, 3\). Received: float32 \(2, 3, 1\)"),
        ("no state", r"return `\(action_parameters, value, state\)` from `call`. Received: tuple"),
        ("other state", "return from `call` a state like the initial one"),
    ],
)
def test_a_policy_that_breaks_the_protocol_is_refused_by_name(mistake, expected):
    with pytest.raises(ValueError, match=f"{expected}.*policy=Averaging"):
        PPO("RepeatPreviousEasy", config=CONFIG, policy=make(Averaging, mistakes=(mistake,)))


def test_what_does_not_fit_is_refused():
    for wrong in (keras.Sequential(), Registered, "s5"):
        with pytest.raises(ValueError, match="`policy` should be a `keras_s5rl.models.Policy`"):
            PPO("RepeatPreviousEasy", config=CONFIG, policy=wrong)
    with pytest.raises(ValueError, match="`env` should have the spaces that the policy was made"):
        PPO("RepeatPreviousEasy", config=CONFIG, policy=make(size=SIZE + 1))
    config = small_config(normalize_observations=True)
    with pytest.raises(ValueError, match="`normalize_observations` should be True exactly where"):
        PPO("RepeatPreviousEasy", config=config, policy=make())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a registered policy over three updates, and one that was stopped after two."""
    folder = tmp_path_factory.mktemp("runs")
    for name, updates in (("whole", 3), ("parts", 2)):
        agent = PPO("RepeatPreviousEasy", config=CONFIG, policy=make())
        agent.fit(updates * STEPS, run_dir=folder / name, verbose=False)
    return folder


@pytest.mark.slow
def test_a_run_of_a_given_policy_is_recorded_loaded_and_resumed(folder):
    config = json.loads((folder / "parts" / "config.json").read_text())
    assert config["memory"] == "Registered" and config["memory_args"] == {}
    assert config["policy"]["registered_name"] == "given_policy_test>Registered"
    loaded, given = PPO.load(folder / "parts"), PPO.load(folder / "parts", policy=make())
    assert type(loaded.policy) is Registered and loaded.update == given.update == 2
    for one, other in zip(loaded.policy.weights, given.policy.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    message = "`policy` should be .*8.*as in the run's config.json"
    other = PPO("RepeatPreviousEasy", config=CONFIG, policy=make(width=9))
    with pytest.raises(ValueError, match=message):
        other.fit(3 * STEPS, run_dir=folder / "parts", resume=True, verbose=False)
    given.fit(3 * STEPS, run_dir=folder / "parts", resume=True, verbose=False)
    assert metrics_of(folder / "parts") == metrics_of(folder / "whole")
    assert newest_arrays(folder / "parts") == newest_arrays(folder / "whole")
    saved = load_policy(folder / "parts" / "policy.keras")
    given.policy.set_weights(saved.get_weights())
    assert given.evaluate(4)["returns"] == PPO.load(folder / "whole").evaluate(4)["returns"]


@pytest.mark.slow
def test_the_commands_score_and_resume_it_where_its_class_is_registered(folder, capsys):
    run_dir = f"--run_dir={folder / 'whole'}"
    assert evaluate.main(["evaluate.py", run_dir, "--num_episodes=4"]) == 0
    arguments = [run_dir, "--resume", f"--total_steps={4 * STEPS}"]
    assert train.main(["train.py", *arguments]) == 0
    assert "Registered with" in capsys.readouterr().out
    assert train.main(["train.py", *arguments, "--memory=gru"]) == 2
    assert "`memory` should be 'Registered'" in capsys.readouterr().err
    custom = keras.saving.get_custom_objects()
    registered = custom.pop("given_policy_test>Registered")
    try:
        for main in (evaluate.main, train.main):
            assert main(["command", run_dir, *(["--resume"] if main is train.main else [])]) == 2
            error = capsys.readouterr().err
            assert "`policy` should be given in Python" in error and error.count("\n") == 1
            assert "a Registered" in error
    finally:
        custom["given_policy_test>Registered"] = registered


@pytest.mark.slow
def test_a_policy_that_cannot_be_written_down_can_still_be_given_again(tmp_path):
    agent = PPO("RepeatPreviousEasy", config=CONFIG, policy=make(Unwritten))
    assert agent.settings()["policy"] is None
