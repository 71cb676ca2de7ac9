"""Wrong arguments: each is one sentence that names the argument, and nothing happens."""

import keras
import numpy as np
import pytest

from keras_s5rl import PPO, PPOConfig, load_policy, random
from keras_s5rl.training import evaluate_gymnasium, evaluate_in_context
from tests.support.small_runs import small_config

pytestmark = pytest.mark.not_on_tensorflow

NAME = "RepeatPreviousEasy"


@pytest.fixture(scope="module")
def agent():
    return PPO(NAME, memory="gru", config=small_config())


@pytest.fixture(scope="module")
def contexts():
    env_args = {"num_trials": 2, "trial_steps": 3}
    return PPO("projected_cartpole", env_args, memory="mlp", config=small_config())


class NoTransition:
    """Has some of the methods of an environment."""

    def draw_initial(self, key, num_envs):
        return {}

    def initial(self, draws):
        return {}


class MyCallback(keras.callbacks.Callback):
    pass


CONSTRUCTION = [
    ({"env": None}, "`env` should be the name .*Received: env=None"),
    ({"env": 3}, "`env` should be the name .*Received: env=3"),
    ({"env": ""}, "`env` should be the name of a registered .*Received: env=''"),
    ({"env": [NAME]}, r"`env` should be the name .*Received: env=\['Repeat"),
    ({"env": NoTransition()}, "`env` should be .*`NoTransition` lacks .*transition"),
    ({"env": NoTransition}, r"`env` should be an environment, not the class of one.*NoTransition"),
    ({"env": "RepeatPreviusEasy"}, "`env` should be .*RepeatPreviousEasy"),
    ({"env_args": [1]}, r"`env_args` should be a dict .*Received: env_args=\[1\]"),
    ({"env_args": [("k", 1)]}, r"`env_args` should be a dict .*Received: env_args=\[\("),
    ({"env_args": '{"k": 1}'}, "`env_args` should be a dict .*Received: env_args="),
    ({"env_args": {1: 2}}, r"`env_args` should be a dict .*Received: env_args=\{1: 2\}"),
    ({"env_args": 5}, "`env_args` should be a dict .*Received: env_args=5"),
    ({"env_args": {"decks": 1}}, "`env_args` should fit .*Received: env_args"),
    ({"memory": None}, "`memory` should be one of .*Received: memory=None"),
    ({"memory": ["s5"]}, r"`memory` should be one of .*Received: memory=\['s5'\]"),
    ({"memory": 5}, "`memory` should be one of .*Received: memory=5"),
    ({"memory": keras.layers.GRUCell}, "`memory` should be one of .*Received: memory="),
    ({"config": {"num_envs": 4}}, r"`config` should be a PPOConfig: .*PPOConfig\(\*\*settings\)"),
    ({"config": {}}, r"`config` should be a PPOConfig.*Received: config=\{\}"),
    ({"config": "default"}, "`config` should be a PPOConfig.*Received: config='default'"),
    ({"config": PPOConfig}, r"`config` should be an object: make one with PPOConfig\(...\)"),
    ({"config": small_config(activation="wavy")}, "`activation` .*Received: activation='wavy'"),
    ({"seed": -1}, "`seed` should be an integer from 0 .*Received: seed=-1"),
    ({"seed": 2**32}, "`seed` should be an integer from 0 .*Received: seed=4294967296"),
    ({"seed": 1.0}, r"`seed` should be an integer from 0 .*Received: seed=1\.0"),
    ({"seed": True}, "`seed` should be an integer from 0 .*Received: seed=True"),
    ({"seed": "7"}, "`seed` should be an integer from 0 .*Received: seed='7'"),
    ({"seed": None}, "`seed` should be an integer from 0 .*Received: seed=None"),
]
FIT = [
    ({"total_steps": 1e5}, "`total_steps` should be a positive integer.*=100000.0"),
    ({"total_steps": "many"}, "`total_steps` should be a positive integer.*='many'"),
    ({"checkpoint_every": 0}, "`checkpoint_every` should be a positive integer"),
    ({"log_every": None}, "`log_every` should be a positive integer.*=None"),
    ({"run_dir": 7}, "`run_dir` should be the path of a folder.*Received: run_dir=7"),
    ({"run_dir": ""}, "`run_dir` should be the path of a folder.*Received: run_dir=''"),
    ({"run_dir": b"run"}, "`run_dir` should be the path of a folder.*Received: run_dir=b'run'"),
    ({"run_dir": ["run"]}, r"`run_dir` should be the path of a folder.*Received: run_dir=\["),
    ({"resume": True}, "`run_dir` should name the run to resume"),
    ({"resume": "yes"}, "`resume` should be True or False. Received: resume='yes'"),
    ({"verbose": "loud"}, "`verbose` should be True or False. Received: verbose='loud'"),
    ({"verbose": 3}, "`verbose` should be True or False. Received: verbose=3"),
    ({"callbacks": [print]}, "`callbacks` should hold Keras callbacks .*built-in function print"),
    ({"callbacks": "log"}, "`callbacks` should hold Keras callbacks .*Received: 'log'"),
    ({"callbacks": [MyCallback]}, "`callbacks` should hold .*an object and not its class"),
    ({"callbacks": [MyCallback(), 3]}, "`callbacks` should hold Keras callbacks .*Received: 3"),
]
EVALUATION = [
    ({"num_episodes": 0}, "`num_episodes` should be a positive integer.*=0"),
    ({"num_episodes": 2.0}, "`num_episodes` should be a positive integer.*=2.0"),
    ({"num_episodes": None}, "`num_episodes` should be a positive integer.*=None"),
    ({"deterministic": "no"}, "`deterministic` should be True or False.*='no'"),
    ({"deterministic": 1}, "`deterministic` should be True or False.*=1"),
    ({"deterministic": None}, "`deterministic` should be True or False.*=None"),
    ({"env": 3}, "`env` should be the name .*Received: env=3"),
    ({"env": "PositionOnlyCartPoleEasy"}, "`env` should have the spaces"),
    ({"env_args": ["k"]}, r"`env_args` should be a dict .*Received: env_args=\['k'\]"),
    ({"env_args": {"decks": 2}}, "`env_args` should fit"),
    ({"seed": -1}, "`seed` should be an integer from 0"),
    ({"seed": 0.5}, "`seed` should be an integer from 0"),
    ({"seed": "one"}, "`seed` should be an integer from 0"),
]
ROWS = np.zeros((3, 10), "float32")
ACT = [
    ({"observation": None}, "`observation` should be numbers .*Received: observation=None"),
    ({"observation": "cards"}, "`observation` should be numbers .*Received: observation='cards'"),
    ({"observation": [[0.0] * 10, [0.0]]}, "`observation` should be numbers"),
    ({"observation": ROWS[0]}, r"`observation` should have the shape `\(batch, 10\)`.*\(10,\)"),
    ({"observation": ROWS[None]}, r"`observation` should have the shape .*\(1, 3, 10\)"),
    ({"observation": ROWS[:, :9]}, r"`observation` should have the shape .*\(3, 9\)"),
    ({"reset": None}, "`reset` should be flags .*Received: reset=None"),
    ({"reset": [True]}, r"`reset` should have the shape `\(3,\)`.*\(1,\)"),
    ({"reset": True}, r"`reset` should have the shape `\(3,\)`.*\(\)"),
    ({"reset": [[True]] * 3}, r"`reset` should have the shape `\(3,\)`.*\(3, 1\)"),
    ({"reset": [0.0, float("nan"), 1.0]}, "`reset` should hold bools.*nan"),
    ({"reset": np.array([0.0, 0.5, 1.0])}, "`reset` should hold bools.*0.5"),
    ({"reset": [0, 2, 1]}, "`reset` should hold bools.*2"),
    ({"state": None}, r"`state` should be a list of 1 tensors.*get_initial_state.*state=None"),
    ({"state": []}, "`state` should be a list of 1 tensors.*Received: state=0 of them"),
    ({"state": [ROWS, ROWS]}, "`state` should be a list of 1 tensors.*state=2 of them"),
    ({"state": [ROWS]}, r"`state` should be that of 3 environments.*\(3, 10\) for \(3, 16\)"),
    ({"state": [np.zeros((2, 16), "float32")]}, r"`state` .*3 environments.*\(2, 16\)"),
    ({"deterministic": "no"}, "`deterministic` should be True or False.*='no'"),
    ({"deterministic": False}, "`key` should be a key .*Received: key=None"),
    ({"deterministic": False, "key": 7}, r"`key` should be a key .*random.key\(0\).*key=7"),
    ({"deterministic": False, "key": ROWS[0]}, "`key` should be a key "),
]


@pytest.mark.parametrize(("arguments", "message"), CONSTRUCTION)
def test_of_an_agent(arguments, message):
    with pytest.raises(ValueError, match=message):
        PPO(**{"env": NAME, **arguments})


@pytest.mark.parametrize(("arguments", "message"), FIT)
def test_of_a_training(arguments, message, agent, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        agent.fit(**{"total_steps": 10, "verbose": False, **arguments})
    assert agent.update == 0 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "message"), EVALUATION)
def test_of_an_evaluation(arguments, message, agent):
    with pytest.raises(ValueError, match=message):
        agent.evaluate(**{"num_episodes": 2, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [case for case in EVALUATION if not {"env", "env_args"} & set(case[0])],
)
def test_of_a_score_in_gymnasium_and_in_contexts(arguments, message, agent, contexts):
    with pytest.raises(ValueError, match=message):
        evaluate_gymnasium(agent.policy, **{"env": "CartPole-v1", **arguments})
    if "num_episodes" in arguments:
        arguments = {"num_contexts": arguments["num_episodes"]}
        message = message.replace("num_episodes", "num_contexts")
    with pytest.raises(ValueError, match=message):
        evaluate_in_context(contexts, **{"num_contexts": 2, **arguments})


@pytest.mark.parametrize("policy", [None, "policy.keras", keras.Sequential([keras.Input((1,))])])
def test_of_another_policy(policy):
    with pytest.raises(ValueError, match="`policy` should be a keras_s5rl policy"):
        evaluate_gymnasium(policy, "CartPole-v1", 2)


@pytest.mark.parametrize("run_dir", [None, 3, ""])
def test_of_a_run_to_load(run_dir):
    with pytest.raises(ValueError, match="`run_dir` should be the path of a folder"):
        PPO.load(run_dir)


@pytest.mark.parametrize(("arguments", "message"), ACT)
def test_of_an_action(arguments, message, agent):
    given = {
        "observation": ROWS,
        "reset": [True] * 3,
        "state": agent.policy.get_initial_state(3),
        **arguments,
    }
    with pytest.raises(ValueError, match=message):
        agent.policy.act(**given)


def test_resets_that_are_numbers_act_like_flags(agent):
    state = agent.policy.get_initial_state(3)
    key = random.key(0)
    actions = [
        np.asarray(agent.policy.act(ROWS, reset, state, False, key)[0]).tolist()
        for reset in ([True, False, True], [1, 0, 1], np.array([1.0, 0.0, 1.0]))
    ]
    assert actions[0] == actions[1] == actions[2]


@pytest.mark.slow
def test_of_a_policy_file(tmp_path, agent):
    text, truncated, other = (tmp_path / name for name in ("a.txt", "b.keras", "c.keras"))
    text.write_text("no policy")
    agent.policy.save(truncated)
    truncated.write_bytes(truncated.read_bytes()[:2000])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.save(other)
    (tmp_path / "d.keras").write_bytes(b"")
    for path, message in (
        (None, "`path` should be the file of a policy.*Received: path=None"),
        (3, "`path` should be the file of a policy.*Received: path=3"),
        (tmp_path, "`path` should be the file of a policy"),
        (tmp_path / "absent.keras", "`path` should be the file of a policy"),
        (text, "`path` should hold a policy saved .*cannot be read"),
        (truncated, "`path` should hold a policy saved .*cannot be read"),
        (tmp_path / "d.keras", "`path` should hold a policy saved .*cannot be read"),
        (other, "`path` should hold a keras_s5rl policy; it holds a Sequential"),
    ):
        with pytest.raises(ValueError, match=message):
            load_policy(path)
