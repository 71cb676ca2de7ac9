"""Training in environments of Gymnasium: whole runs, and what is refused."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from keras_s5rl import PPO
from keras_s5rl.envs.gymnasium.host_environments import EnvironmentFailedError
from tests.envs.gymnasium.counting_env import BrokenEnv, CountingEnv
from tests.support.small_runs import STEPS, as_bytes, metrics_of, newest_arrays, small_config

pytestmark = pytest.mark.not_on_tensorflow

ID = "gymnasium:CartPole-v1"


def agent_in(env, seed=0, **settings):
    config = small_config(anneal_learning_rate=False, **settings)
    return PPO(env, memory="mlp", config=config, seed=seed)


@pytest.mark.slow
def test_a_run_that_is_resumed_twice_goes_on_alike_and_says_that_episodes_are_new(tmp_path, capsys):
    ends = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        agent_in(ID).fit(2 * STEPS, folder, verbose=False)
        agent = agent_in(ID)
        agent.fit(4 * STEPS, folder, resume=True, verbose=False)
        ends.append((metrics_of(folder), newest_arrays(folder)))
    assert ends[0] == ends[1] and len(ends[0][0]) == 4
    assert capsys.readouterr().err.count("goes on with new episodes") == 2
    agent_of_two_fits = agent_in(ID)
    for num_updates in (2, 4):
        agent_of_two_fits.fit(num_updates * STEPS, verbose=False)
    assert as_bytes(agent_of_two_fits.snapshot()[1]) == ends[0][1][1]
    report = PPO.load(tmp_path / "one").evaluate(4)
    assert report == agent.evaluate(4) and report["env"] == ID and len(report["returns"]) == 4
    names = "env env_args num_episodes deterministic seed update env_steps"
    assert list(report)[:7] == names.split() and report["update"] == 4


@pytest.mark.slow
def test_given_environments_stay_open_and_made_ones_are_closed_when_training_ends():
    made = []

    class Closing(CountingEnv):
        def __init__(self):
            made.append(self)
            self.is_open = True

        def close(self):
            self.is_open = False

    given = SyncVectorEnv([Closing] * 8)
    for env, is_open in ((given, True), (Closing, False)):
        made.clear() if env is Closing else None
        agent_in(env).fit(STEPS, verbose=False)
        assert len(made) == 8 and all(env.is_open == is_open for env in made)
    with pytest.raises(ValueError, match="fresh copies can be made"):
        agent_in(given).evaluate(2)
    vector = gymnasium.make_vec("CartPole-v1", num_envs=8)
    assert len(agent_in(vector).evaluate(3)["returns"]) == 3
    one = agent_in(gymnasium.make("CartPole-v1"), num_envs=1, num_minibatches=1)
    assert len(one.fit(16, verbose=False).history["loss"]) == 1


@pytest.mark.slow
def test_a_failing_environment_is_named_and_the_last_checkpoint_is_whole(tmp_path, monkeypatch):
    BrokenEnv.steps = -2 * STEPS  # it fails in the third update
    gymnasium.register("BrokenEnv-v0", BrokenEnv)
    monkeypatch.setattr(BrokenEnv, "spec", None)
    try:
        agent = agent_in("gymnasium:BrokenEnv-v0")
        with pytest.raises(EnvironmentFailedError, match="BrokenEnv-v0.*the sensor fell off"):
            agent.fit(4 * STEPS, tmp_path / "run", verbose=False)
        assert newest_arrays(tmp_path / "run")[0] == agent.update == 2
        agent.fit(4 * STEPS, tmp_path / "run", resume=True, verbose=False)
        assert np.isfinite([row["loss"] for row in metrics_of(tmp_path / "run")]).all()
    finally:
        del gymnasium.registry["BrokenEnv-v0"]


@pytest.mark.parametrize(
    ("env", "settings", "expected"),
    [
        ("gymnasium:Nowhere-v0", {}, "`env` should be the id.*Received: env='gymnasium:Nowhere-v0"),
        (CountingEnv(), {}, "one Env alone trains with num_envs=1.*num_envs=8"),
        (CountingEnv, {"stagger_starts": True}, "`stagger_starts` should be False"),
        (CountingEnv, {"num_devices": 2}, "`num_devices` should be 1"),
        (SyncVectorEnv([CountingEnv] * 3), {}, "`num_envs` should be 3"),
        ("gymnasium:keras_s5rl/RepeatPreviousEasy-v0", {}, "trains without Gymnasium"),
    ],
)
def test_what_cannot_train_is_refused(env, settings, expected):
    with pytest.raises(ValueError, match=expected):
        agent_in(env, **settings)


def test_a_run_needs_an_id():
    agent = agent_in(CountingEnv)
    with pytest.raises(ValueError, match="`gymnasium.register`.*Received: env=CountingEnv"):
        agent.fit(STEPS, "runs/no")
