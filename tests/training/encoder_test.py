"""Encoders of observations in trainings and in runs."""

import json

import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from keras import ops

from keras_s5rl import PPO, random
from keras_s5rl.cli import train
from keras_s5rl.envs import register_env
from tests.support.any_spaces import AnySpaces
from tests.support.small_runs import FLAGS, STEPS, metrics_of, newest_arrays, small_config

pytestmark = pytest.mark.slow

CONFIG = small_config(num_epochs=1, anneal_learning_rate=False)


def pictures():
    """Shows a picture, a direction and a mask that forbids all actions but 1 and 3."""
    mask = MultiBinary(4)
    mask.sample = lambda: np.array([0, 1, 0, 1], "int8")
    image = Box(0, 255, (7, 7, 3), "uint8")
    space = Dict(image=image, direction=Discrete(4), action_mask=mask)
    return AnySpaces(space, Discrete(4))


register_env("Pictures", pictures)


def layer():
    return keras.Sequential([keras.layers.Dense(5, activation="tanh", name="own")])


def trained(encoder, folder=None, updates=2, resume=False):
    agent = PPO("Pictures", memory="mlp", config=CONFIG, encoder=encoder)
    agent.fit(updates * STEPS, run_dir=folder, resume=resume, verbose=False)
    return agent


def recorded(folder):
    return json.loads((folder / "config.json").read_text())["encoder"]


def assert_equal_policies(first, second):
    rows = np.random.default_rng(0).normal(size=(2, 1, 161)).astype("float32")
    ours, theirs = (ops.convert_to_numpy(each.policy(rows)[0]) for each in (first, second))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.portable
def test_a_run_goes_on_bit_for_bit_with_its_encoder_and_is_loaded(tmp_path):
    trained(None, tmp_path / "whole", 2)
    trained(None, tmp_path / "run", 1)
    assert recorded(tmp_path / "run") == "entries"
    agent = trained(None, tmp_path / "run", 2, resume=True)
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    assert newest_arrays(tmp_path / "run") == newest_arrays(tmp_path / "whole")
    assert_equal_policies(agent, PPO.load(tmp_path / "run"))


def test_a_run_records_a_layer_of_ones_own(tmp_path):
    trained(layer(), tmp_path / "run", 1)
    assert recorded(tmp_path / "run")["class_name"] == "Sequential"
    agent = trained(layer(), tmp_path / "run", 2, resume=True)  # under other names in Keras
    assert_equal_policies(agent, PPO.load(tmp_path / "run"))
    with pytest.raises(ValueError, match="`encoder` should be .*Received: encoder='dense'"):
        trained("dense", tmp_path / "run", 3, resume=True)


def test_the_command_takes_an_encoder_and_resumes_with_it(tmp_path, capsys):
    flags = ["train.py", "--env=Pictures", "--memory=mlp", *FLAGS, f"--run_dir={tmp_path / 'run'}"]
    flags += ["--num_epochs=1", "--anneal_learning_rate=false"]
    assert train.main([*flags, "--encoder=densest", f"--total_steps={STEPS}"]) == 2
    assert "`encoder` should be one of" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert train.main([*flags, "--encoder=dense", f"--total_steps={STEPS}"]) == 0
    assert recorded(tmp_path / "run") == "dense"
    assert train.main([*flags, "--resume", f"--total_steps={2 * STEPS}"]) == 0
    assert train.main([*flags, "--resume", "--encoder=entries"]) == 2
    assert "`encoder` should be 'dense'" in capsys.readouterr().err


def test_illegal_actions_are_not_taken_in_training_and_evaluation():
    agent = trained(None)
    assert agent.evaluate(8)["return_mean"] == 0.0  # the best action, 0, is illegal
    view, memory, taken = agent.environment, agent.policy.get_initial_state(256), set()
    state = view.initial(view.draw_initial(random.key(0), 256))
    for step in range(3):
        observation, is_first = view.observation(state), state["is_first"]
        action, memory = agent.policy.act(observation, is_first, memory, False, random.key(step))
        taken |= set(ops.convert_to_numpy(action).tolist())
        state, *_ = view.transition(state, action, {})
    assert taken == {1, 3}
